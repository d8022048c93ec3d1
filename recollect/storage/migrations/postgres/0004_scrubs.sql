-- What was erased stays in the files, where no query finds it, until a scrub has written the tables
-- anew. scrub_uuid is the scrub that covers an erasure, the last that began after it; scrub_asked_at
-- is when somebody asked for it at once; scrub_left is what a scrub could not do, as JSON.
--
-- locks: columns without a default are added without touching a row, and the index is of erasures
-- alone: each lock lasts milliseconds.

ALTER TABLE erasures ADD COLUMN scrub_asked_at timestamptz;
ALTER TABLE erasures ADD COLUMN scrub_uuid uuid;
ALTER TABLE erasures ADD COLUMN scrub_left text;
ALTER TABLE erasures ADD COLUMN scrubbed_at timestamptz;

CREATE INDEX erasures_to_scrub ON erasures (project_id, erased_at) WHERE scrubbed_at IS NULL;

-- That a message was edited: its former text is still in the files.
CREATE TABLE edits (
    project_id smallint NOT NULL,
    uuid uuid NOT NULL,
    edited_at timestamptz NOT NULL,
    scrub_uuid uuid,
    PRIMARY KEY (project_id, uuid)
);

-- ANALYZE keeps samples of columns in a table of the system's own, where what was erased would
-- outlive its row. No statement here needs them: each is led by its keys, whatever they hold.
ALTER TABLE users
    ALTER COLUMN user_id SET STATISTICS 0,
    ALTER COLUMN uuid SET STATISTICS 0,
    ALTER COLUMN email SET STATISTICS 0,
    ALTER COLUMN email_folded SET STATISTICS 0,
    ALTER COLUMN first_name SET STATISTICS 0,
    ALTER COLUMN last_name SET STATISTICS 0,
    ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE sessions
    ALTER COLUMN session_id SET STATISTICS 0,
    ALTER COLUMN uuid SET STATISTICS 0,
    ALTER COLUMN user_id SET STATISTICS 0,
    ALTER COLUMN user_uuid SET STATISTICS 0,
    ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE messages
    ALTER COLUMN session_id SET STATISTICS 0,
    ALTER COLUMN uuid SET STATISTICS 0,
    ALTER COLUMN role SET STATISTICS 0,
    ALTER COLUMN metadata SET STATISTICS 0,
    ALTER COLUMN content SET STATISTICS 0,
    ALTER COLUMN data SET STATISTICS 0,
    ALTER COLUMN words SET STATISTICS 0;
ALTER TABLE erasures ALTER COLUMN subject_id SET STATISTICS 0;
ALTER TABLE idempotency
    ALTER COLUMN key SET STATISTICS 0,
    ALTER COLUMN user_id SET STATISTICS 0,
    ALTER COLUMN session_id SET STATISTICS 0,
    ALTER COLUMN uuid SET STATISTICS 0;
