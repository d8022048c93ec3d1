-- What was erased stays in the file, where no query finds it, until a scrub has written the file
-- anew. scrub_uuid is the scrub that covers an erasure, the last that began after it; scrub_asked_at
-- is when somebody asked for it at once; scrub_left is what a scrub could not do, as JSON.

ALTER TABLE erasures ADD COLUMN scrub_asked_at INTEGER;
ALTER TABLE erasures ADD COLUMN scrub_uuid TEXT;
ALTER TABLE erasures ADD COLUMN scrub_left TEXT;
ALTER TABLE erasures ADD COLUMN scrubbed_at INTEGER;

CREATE INDEX erasures_to_scrub ON erasures (project_id, erased_at) WHERE scrubbed_at IS NULL;

-- That a message was edited: its former text is still in the file.
CREATE TABLE edits (
    project_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    edited_at INTEGER NOT NULL,
    scrub_uuid TEXT,
    PRIMARY KEY (project_id, uuid)
) STRICT, WITHOUT ROWID;
