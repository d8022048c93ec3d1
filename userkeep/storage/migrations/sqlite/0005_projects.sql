-- Projects have a uuid, a state, quotas, and the progress and receipt of their deletion.
--
-- A deleted project keeps its row. Its name is then the uuid, which no project can be called, so that
-- another project can use the name. The columns of its purge are those of an erasure; see 0001. The
-- uuid of a project that existed before is made of its number.

ALTER TABLE projects ADD COLUMN uuid TEXT NOT NULL DEFAULT '';
ALTER TABLE projects ADD COLUMN state TEXT NOT NULL DEFAULT 'active'
    CHECK (state IN ('active', 'deleting', 'deleted'));
ALTER TABLE projects ADD COLUMN max_messages_per_user INTEGER;
ALTER TABLE projects ADD COLUMN max_bytes_per_user INTEGER;
ALTER TABLE projects ADD COLUMN user_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN session_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN started_at INTEGER;
ALTER TABLE projects ADD COLUMN deleted_at INTEGER;
ALTER TABLE projects ADD COLUMN lease_expires_at INTEGER;
ALTER TABLE projects ADD COLUMN purge_requested_at INTEGER;
ALTER TABLE projects ADD COLUMN purge_uuid TEXT;
ALTER TABLE projects ADD COLUMN skipped_steps TEXT;
ALTER TABLE projects ADD COLUMN purged_at INTEGER;

UPDATE projects
SET uuid = printf('00000000-0000-4000-8000-%012x', project_id),
    created_at = (SELECT min(applied_at) FROM schema_migrations),
    updated_at = (SELECT min(applied_at) FROM schema_migrations);

CREATE UNIQUE INDEX projects_by_uuid ON projects (uuid);
