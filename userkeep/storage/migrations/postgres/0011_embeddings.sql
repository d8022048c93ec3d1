-- Embeddings of messages: the models that made them, a vector for each message and model, and what is
-- to be embedded. An instance without an embedding model has NULL in all embedded_seq, so the index of
-- what is to be embedded is empty.
--
-- locks: ACCESS EXCLUSIVE on sessions while the index, which is empty, is built by reading the table:
-- about half a second for a million sessions. Adding the columns takes milliseconds: no table is
-- rewritten.
--
-- A model that replaces another one is 'building' until all messages have its vectors. The vectors of a
-- 'former' one are deleted, and then its row. source is what is needed to embed queries with a model
-- that is being replaced. A server embeds until lease_expires_at, so that no two do.
CREATE TABLE embedding_models (
    model_id integer NOT NULL PRIMARY KEY,
    name text NOT NULL,
    fingerprint text NOT NULL,
    dimensions integer,
    source text,
    state text COLLATE "C" NOT NULL CHECK (state IN ('current', 'building', 'former')),
    created_at timestamptz NOT NULL,
    lease_expires_at timestamptz
);

-- A vector is scale * the signed bytes, which cannot be compressed. Its key has the order in which a
-- session is read.
CREATE TABLE embeddings (
    project_id smallint NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    model_id integer NOT NULL,
    scale real NOT NULL,
    vector bytea NOT NULL,
    PRIMARY KEY (project_id, session_id, seq, model_id)
);

ALTER TABLE embeddings
    ALTER COLUMN session_id SET STATISTICS 0,
    ALTER COLUMN vector SET STATISTICS 0,
    ALTER COLUMN vector SET STORAGE EXTERNAL;

-- Messages up to embedded_seq have been embedded. NULL: the session is not to be embedded. -2: the
-- vectors are to be deleted. Any other negative number: all messages are looked at again. embedding_sweep is the number of the session up to
-- which all sessions of a project have been put on the list; NULL: it is done.
ALTER TABLE sessions
    ADD COLUMN embedded_seq bigint,
    ADD COLUMN do_not_embed smallint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN do_not_embed smallint NOT NULL DEFAULT 0;
ALTER TABLE projects
    ADD COLUMN do_not_embed smallint NOT NULL DEFAULT 0,
    ADD COLUMN embedding_sweep bigint;
ALTER TABLE sessions ALTER COLUMN do_not_embed DROP DEFAULT;
ALTER TABLE users ALTER COLUMN do_not_embed DROP DEFAULT;
ALTER TABLE projects ALTER COLUMN do_not_embed DROP DEFAULT;

CREATE INDEX sessions_to_embed ON sessions (project_id, number) WHERE last_seq > embedded_seq;
