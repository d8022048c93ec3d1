-- Projects. The columns of every query that returns projects are those of domain.project.Project.
-- The number of a project is called :project_id only where a query is about the project in which the
-- operation runs.

-- fragment: project_columns
project_id, CASE WHEN state = 'deleted' THEN NULL ELSE name END AS name, uuid, state,
max_messages_per_user, max_bytes_per_user, max_documents_per_user, user_count, session_count,
message_count, document_count,
created_at, updated_at, started_at, deleted_at, lease_expires_at,
purge_requested_at, purge_uuid, skipped_steps, purged_at, do_not_embed

-- name: project_ids
-- Those in which there is work to do, except that of their deletion.
SELECT project_id FROM projects WHERE state = 'active' ORDER BY project_id;

-- name: unpurged_project_ids
-- Those in which something may wait for a purge.
SELECT project_id FROM projects WHERE purged_at IS NULL ORDER BY project_id;

-- name: project_state
SELECT state FROM projects WHERE project_id = :project_id;

-- name: greatest_project_id
SELECT coalesce(max(project_id), 0) FROM projects;

-- name: add_project
-- Returns no row if the number or the name is used.
INSERT INTO projects (
    project_id, name, uuid, state, max_messages_per_user, max_bytes_per_user, max_documents_per_user,
    user_count, session_count, message_count, document_count, created_at, updated_at, do_not_embed
) VALUES (
    :number, :name, :uuid, 'active', :max_messages_per_user, :max_bytes_per_user, :max_documents_per_user,
    0, 0, 0, 0, :now_at, :now_at, 0
)
ON CONFLICT DO NOTHING
RETURNING {project_columns};

-- name: project_by_name
SELECT {project_columns} FROM projects WHERE name = :name;

-- name: project_by_uuid
SELECT {project_columns} FROM projects WHERE uuid = :uuid;

-- name: lock_project
-- No other transaction can change or delete the project until this one ends.
SELECT {project_columns} FROM projects WHERE uuid = :uuid {for_update};

-- name: list_projects
SELECT {project_columns}
FROM projects
WHERE state <> 'deleted'
    /*? after: AND project_id > CAST(:after AS bigint) */
    /*? before: AND project_id < CAST(:before AS bigint) */
ORDER BY project_id /*? descending: DESC */
LIMIT :limit;

-- name: set_project
-- Call lock_project first in the same transaction.
UPDATE projects
SET name = :name, max_messages_per_user = :max_messages_per_user,
    max_bytes_per_user = :max_bytes_per_user, max_documents_per_user = :max_documents_per_user,
    updated_at = :now_at, do_not_embed = :do_not_embed
    /*? sweeps: , embedding_sweep = 0 */
WHERE uuid = :uuid
RETURNING {project_columns};

-- Deletion of a project.

-- name: mark_project_deleting
UPDATE projects SET state = 'deleting', started_at = :now_at, updated_at = :now_at
WHERE uuid = :uuid AND state = 'active'
RETURNING {project_columns};

-- name: interrupted_project_deletions
-- As interrupted_erasures.
SELECT {project_columns}
FROM projects
WHERE state = 'deleting'
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
    );

-- name: running_project_deletions
SELECT count(*), min(started_at) FROM projects WHERE state = 'deleting';

-- name: acquire_project_lease
-- As acquire_lease.
UPDATE projects SET lease_expires_at = :expires_at
WHERE uuid = :uuid AND state = 'deleting'
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
        /*? held_until_at: OR lease_expires_at = :held_until_at */
    )
RETURNING {project_columns};

-- name: release_project_leases
UPDATE projects SET lease_expires_at = NULL WHERE state = 'deleting';

-- name: next_active_user
SELECT number, user_id FROM users
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT 1;

-- name: next_active_session
SELECT number, session_id FROM sessions
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT 1;

-- name: count_running_erasures
SELECT count(*) FROM erasures WHERE project_id = :project_id AND subject_id IS NOT NULL;

-- name: is_unpurged
SELECT 1 FROM erasures WHERE {unpurged} LIMIT 1;

-- name: set_project_deletion
UPDATE projects
SET user_count = :user_count, session_count = :session_count, message_count = :message_count,
    document_count = :document_count
WHERE uuid = :uuid;

-- name: finish_project_deletion
UPDATE projects
SET state = 'deleted', name = CAST(uuid AS text), deleted_at = :now_at, updated_at = :now_at,
    lease_expires_at = NULL, purged_at = :purged_at
WHERE uuid = :uuid
RETURNING {project_columns};

-- Purges of deleted projects.

-- fragment: unpurged_project
state = 'deleted' AND purged_at IS NULL

-- name: pending_project_purges
-- As oldest_unpurged and first_purge_request.
SELECT min(deleted_at), min(purge_requested_at)
FROM projects
WHERE {unpurged_project} AND (skipped_steps IS NULL OR purge_requested_at IS NOT NULL);

-- name: request_purge_of_project
UPDATE projects SET purge_requested_at = :now_at, skipped_steps = NULL
WHERE uuid = :uuid AND purged_at IS NULL
RETURNING {project_columns};

-- name: assign_projects_to_purge
UPDATE projects SET purge_uuid = :purge_uuid WHERE {unpurged_project};

-- name: set_projects_purged
UPDATE projects
SET purged_at = :purged_at, skipped_steps = :skipped_steps, purge_requested_at = NULL
WHERE {unpurged_project} AND purge_uuid = :purge_uuid;
