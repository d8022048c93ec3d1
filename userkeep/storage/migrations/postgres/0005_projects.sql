-- Projects have a uuid, a state, quotas, and the progress and receipt of their deletion.
-- locks: ACCESS EXCLUSIVE on projects for some milliseconds.
--
-- A deleted project keeps its row. Its name is then the uuid, which no project can be called, so that
-- another project can use the name. The columns of its purge are those of an erasure; see 0001. The
-- uuid of a project that existed before is made of its number.

ALTER TABLE projects
    ADD COLUMN uuid uuid,
    ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN max_messages_per_user bigint,
    ADD COLUMN max_bytes_per_user bigint,
    ADD COLUMN user_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN session_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN message_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN created_at timestamptz,
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN lease_expires_at timestamptz,
    ADD COLUMN purge_requested_at timestamptz,
    ADD COLUMN purge_uuid uuid,
    ADD COLUMN skipped_steps text,
    ADD COLUMN purged_at timestamptz;

-- Apart, because a cluster rejects a constraint of a column that is added.
ALTER TABLE projects
    ADD CONSTRAINT projects_state_check CHECK (state IN ('active', 'deleting', 'deleted'));

UPDATE projects
SET uuid = CAST(
        '00000000-0000-4000-8000-' || lpad(to_hex(CAST(project_id AS integer)), 12, '0') AS uuid
    ),
    created_at = (SELECT min(applied_at) FROM schema_migrations),
    updated_at = (SELECT min(applied_at) FROM schema_migrations);

ALTER TABLE projects
    ALTER COLUMN uuid SET NOT NULL,
    ALTER COLUMN state DROP DEFAULT,
    ALTER COLUMN user_count DROP DEFAULT,
    ALTER COLUMN session_count DROP DEFAULT,
    ALTER COLUMN message_count DROP DEFAULT,
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET NOT NULL;

CREATE UNIQUE INDEX projects_by_uuid ON projects (uuid);
