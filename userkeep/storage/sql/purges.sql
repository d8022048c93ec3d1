-- Purges: rewriting the files, so that deleted data is no longer in them.

-- fragment: unpurged
project_id = :project_id AND state = 'deleted' AND purged_at IS NULL

-- name: oldest_unpurged
-- The time since when a purge is due. Erasures that a purge could not complete are not counted.
SELECT deleted_at FROM erasures
WHERE {unpurged} AND skipped_steps IS NULL
ORDER BY deleted_at
LIMIT 1;

-- name: oldest_edit
-- The order of the uuids is nearly that of time, which is enough here.
SELECT edited_at FROM pending_purges
WHERE project_id = :project_id
ORDER BY uuid
LIMIT 1;

-- name: first_purge_request
-- In an order, so that SQLite uses the index of what is not purged, and not that of all erasures.
SELECT purge_requested_at FROM erasures
WHERE {unpurged} AND purge_requested_at IS NOT NULL
ORDER BY deleted_at
LIMIT 1;

-- name: request_purge
UPDATE erasures SET purge_requested_at = :now_at, skipped_steps = NULL
WHERE project_id = :project_id AND uuid = :uuid AND purged_at IS NULL
RETURNING {erasure_columns};

-- name: add_edit
INSERT INTO pending_purges (project_id, uuid, edited_at) VALUES (:project_id, :uuid, :now_at);

-- name: assign_erasures_to_purge
UPDATE erasures SET purge_uuid = :purge_uuid WHERE {unpurged};

-- name: assign_edits_to_purge
UPDATE pending_purges SET purge_uuid = :purge_uuid WHERE project_id = :project_id;

-- name: set_purged
UPDATE erasures
SET purged_at = :purged_at, skipped_steps = :skipped_steps, purge_requested_at = NULL
WHERE {unpurged} AND purge_uuid = :purge_uuid;

-- name: delete_purged_edits
DELETE FROM pending_purges WHERE project_id = :project_id AND purge_uuid = :purge_uuid;

-- name: set_purge_status
INSERT INTO instance (name, value) VALUES ('purge', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: get_purge_status
SELECT value FROM instance WHERE name = 'purge';

-- name: delete_purge_status
DELETE FROM instance WHERE name = 'purge';
