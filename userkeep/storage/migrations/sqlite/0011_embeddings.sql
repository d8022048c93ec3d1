-- Embeddings of messages: the models that made them, a vector for each message and model, and what is
-- to be embedded. An instance without an embedding model has NULL in all embedded_seq, so the index of
-- what is to be embedded is empty.
--
-- A model that replaces another one is 'building' until all messages have its vectors. The vectors of a
-- 'former' one are deleted, and then its row. source is what is needed to embed queries with a model
-- that is being replaced. A server embeds until lease_expires_at, so that no two do.
CREATE TABLE embedding_models (
    model_id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    dimensions INTEGER,
    source TEXT,
    state TEXT NOT NULL CHECK (state IN ('current', 'building', 'former')),
    created_at INTEGER NOT NULL,
    lease_expires_at INTEGER
) STRICT;

-- A vector is scale * the signed bytes. Its key has the order in which a session is read.
CREATE TABLE embeddings (
    project_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    scale REAL NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (project_id, session_id, seq, model_id)
) STRICT, WITHOUT ROWID;

-- Messages up to embedded_seq have been embedded. NULL: the session is not to be embedded. -2: the
-- vectors are to be deleted. Any other negative number: all messages are looked at again. embedding_sweep is the number of the session up to
-- which all sessions of a project have been put on the list; NULL: it is done.
ALTER TABLE sessions ADD COLUMN embedded_seq INTEGER;
ALTER TABLE sessions ADD COLUMN do_not_embed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN do_not_embed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN do_not_embed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN embedding_sweep INTEGER;

CREATE INDEX sessions_to_embed ON sessions (project_id, number) WHERE last_seq > embedded_seq;
