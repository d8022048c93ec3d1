-- Collections of documents: a project's own texts, with embeddings. A document may name a user: then
-- it is the user's, and is deleted with them.
--
-- A collection's number is the key of its documents, so that a deleted collection's name can be used
-- again immediately: its row is deleted first, and collection_deletions has its number until the last
-- document is deleted. Every change of documents begins with an update of the collection's row.
-- embedded_by says who makes the embeddings: the caller, or the configured model. model is the
-- fingerprint of that model. waiting_count is how many documents have no embedding yet.
-- reviewed_seq is set while documents are reviewed whose users are not to be embedded any more, or are
-- again: up to which number this is done.

CREATE TABLE collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    uuid TEXT NOT NULL,
    description TEXT,
    metadata TEXT,
    dimensions INTEGER NOT NULL,
    embedded_by TEXT NOT NULL CHECK (embedded_by IN ('caller', 'model')),
    model TEXT,
    revision INTEGER NOT NULL,
    document_count INTEGER NOT NULL,
    embedded_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    lease_expires_at INTEGER,
    reviewed_seq INTEGER,
    UNIQUE (project_id, name)
) STRICT;

CREATE INDEX collections_listed ON collections (project_id);
CREATE INDEX collections_waiting ON collections (project_id)
    WHERE waiting_count > 0 OR reviewed_seq IS NOT NULL;

CREATE TABLE collection_deletions (
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, collection)
) STRICT, WITHOUT ROWID;

-- embedding is float32, little-endian, as it was given. The long columns come last.
CREATE TABLE documents (
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    document_id TEXT,
    user_id TEXT,
    user_uuid TEXT,
    embedding_state TEXT NOT NULL CHECK (embedding_state IN ('embedded', 'waiting', 'rejected')),
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT,
    content TEXT NOT NULL,
    embedding BLOB,
    UNIQUE (project_id, collection, seq),
    UNIQUE (project_id, uuid, collection),
    CHECK ((user_id IS NULL) = (user_uuid IS NULL))
) STRICT;

CREATE UNIQUE INDEX documents_by_id ON documents (project_id, document_id, collection)
    WHERE document_id IS NOT NULL;
CREATE INDEX documents_of_user ON documents (project_id, user_id, collection, seq)
    WHERE user_id IS NOT NULL;
CREATE INDEX documents_waiting ON documents (project_id, collection, seq)
    WHERE embedding_state = 'waiting';

-- What a search reads: the embeddings at unit length, each as a scale (float32) and a byte for each
-- dimension. A fifth of the size, without the texts between them.
CREATE TABLE document_vectors (
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (project_id, collection, seq)
) STRICT, WITHOUT ROWID;

-- How many documents an erasure, and the deletion of a project, has deleted.
ALTER TABLE erasures ADD COLUMN document_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN document_count INTEGER NOT NULL DEFAULT 0;
