-- Scrubs: writing the files anew, so that what was erased is no longer in them.

-- fragment: unscrubbed
project_id = :project_id AND state = 'erased' AND scrubbed_at IS NULL

-- name: oldest_unscrubbed
-- Since when a scrub is due; those of which a scrub has left something are not waited for.
SELECT erased_at FROM erasures
WHERE {unscrubbed} AND scrub_left IS NULL
ORDER BY erased_at
LIMIT 1;

-- name: oldest_edit
-- Their uuids are in the order of time, as near as matters here.
SELECT edited_at FROM edits
WHERE project_id = :project_id
ORDER BY uuid
LIMIT 1;

-- name: first_scrub_asked
SELECT scrub_asked_at FROM erasures
WHERE {unscrubbed} AND scrub_asked_at IS NOT NULL
LIMIT 1;

-- name: ask_scrub
UPDATE erasures SET scrub_asked_at = :now_at, scrub_left = NULL
WHERE project_id = :project_id AND uuid = :uuid AND scrubbed_at IS NULL
RETURNING {erasure_columns};

-- name: add_edit
INSERT INTO edits (project_id, uuid, edited_at) VALUES (:project_id, :uuid, :now_at);

-- name: cover_erasures
UPDATE erasures SET scrub_uuid = :scrub_uuid WHERE {unscrubbed};

-- name: cover_edits
UPDATE edits SET scrub_uuid = :scrub_uuid WHERE project_id = :project_id;

-- name: set_scrubbed
UPDATE erasures
SET scrubbed_at = :scrubbed_at, scrub_left = :scrub_left, scrub_asked_at = NULL
WHERE {unscrubbed} AND scrub_uuid = :scrub_uuid;

-- name: drop_covered_edits
DELETE FROM edits WHERE project_id = :project_id AND scrub_uuid = :scrub_uuid;

-- name: set_scrub_step
INSERT INTO installation (name, value) VALUES ('scrub', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: get_scrub_step
SELECT value FROM installation WHERE name = 'scrub';

-- name: drop_scrub_step
DELETE FROM installation WHERE name = 'scrub';
