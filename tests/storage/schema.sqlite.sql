CREATE TABLE api_keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    id TEXT NOT NULL,
    name TEXT,
    scope TEXT NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    user_id TEXT,
    user_uuid TEXT,
    hash TEXT NOT NULL,
    former_hash TEXT,
    former_expires_at INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER,
    UNIQUE (project_id, id),
    CHECK ((user_id IS NULL) = (user_uuid IS NULL))
) STRICT;

CREATE UNIQUE INDEX api_keys_by_id ON api_keys (id);

CREATE INDEX api_keys_listed ON api_keys (project_id);

CREATE INDEX api_keys_of_user ON api_keys (project_id, user_id) WHERE user_id IS NOT NULL;

CREATE TABLE collection_deletions (
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, collection)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE deleted_sessions (
    project_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    erasure_number INTEGER NOT NULL,
    PRIMARY KEY (project_id, uuid)
) STRICT, WITHOUT ROWID;

CREATE INDEX deleted_sessions_by_uuid ON deleted_sessions (uuid);

CREATE INDEX deleted_sessions_of_erasure ON deleted_sessions (erasure_number, uuid);

CREATE TABLE document_deletions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    collection_uuid TEXT NOT NULL,
    document_uuid TEXT,
    started_at INTEGER NOT NULL,
    UNIQUE (project_id, collection, number)
) STRICT;

CREATE TABLE document_vectors (
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (project_id, collection, seq)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE embeddings (
    project_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    scale REAL NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (project_id, session_id, seq, model_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE erasures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    uuid TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject IN ('user', 'session', 'message')),
    subject_id TEXT,
    subject_hash TEXT NOT NULL,
    subject_uuid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('deleting', 'deleted')),
    session_count INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    hidden_at INTEGER,
    deleted_at INTEGER,
    lease_expires_at INTEGER,
    purge_requested_at INTEGER,
    purge_uuid TEXT,
    skipped_steps TEXT,
    purged_at INTEGER, document_count INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, uuid),
    CHECK ((state = 'deleted') = (subject_id IS NULL)),
    CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))
) STRICT;

CREATE INDEX erasures_by_subject ON erasures (subject_uuid);

CREATE INDEX erasures_listed ON erasures (project_id);

CREATE INDEX erasures_running ON erasures (project_id) WHERE subject_id IS NOT NULL;

CREATE INDEX erasures_to_purge ON erasures (project_id, deleted_at) WHERE purged_at IS NULL;

CREATE TABLE idempotency (
    project_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    user_id TEXT,
    session_id TEXT,
    uuid TEXT,
    first_seq INTEGER,
    message_count INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, key)
) STRICT;

CREATE INDEX idempotency_created ON idempotency (project_id, created_at);

CREATE INDEX idempotency_of_session ON idempotency (project_id, session_id)
    WHERE session_id IS NOT NULL;

CREATE INDEX idempotency_of_user ON idempotency (project_id, user_id) WHERE user_id IS NOT NULL;

CREATE TABLE instance (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE message_words USING fts5 (
    words, content = 'messages', content_rowid = 'number', detail = none, columnsize = 0,
    tokenize = "ascii tokenchars '@'"
);

CREATE VIRTUAL TABLE message_words_listed USING fts5vocab (message_words, instance);

CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    word_count INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    token_count INTEGER,
    created_at INTEGER NOT NULL,
    metadata TEXT,
    content TEXT NOT NULL,
    data TEXT, revision INTEGER NOT NULL DEFAULT 1, edited_at INTEGER,
    UNIQUE (project_id, session_id, seq),
    UNIQUE (project_id, session_id, id),
    FOREIGN KEY (project_id, session_id) REFERENCES sessions (project_id, session_id)
) STRICT;

CREATE TABLE pending_purges (
    project_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    edited_at INTEGER NOT NULL,
    purge_uuid TEXT,
    PRIMARY KEY (project_id, uuid)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    project_id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
, uuid TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'active'
    CHECK (state IN ('active', 'deleting', 'deleted')), max_messages_per_user INTEGER, max_bytes_per_user INTEGER, user_count INTEGER NOT NULL DEFAULT 0, session_count INTEGER NOT NULL DEFAULT 0, message_count INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL DEFAULT 0, updated_at INTEGER NOT NULL DEFAULT 0, started_at INTEGER, deleted_at INTEGER, lease_expires_at INTEGER, purge_requested_at INTEGER, purge_uuid TEXT, skipped_steps TEXT, purged_at INTEGER, do_not_embed INTEGER NOT NULL DEFAULT 0, embedding_sweep INTEGER, document_count INTEGER NOT NULL DEFAULT 0, max_documents_per_user INTEGER) STRICT;

CREATE UNIQUE INDEX projects_by_uuid ON projects (uuid);

CREATE TABLE schema_migrations (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    session_id TEXT NOT NULL,
    uuid TEXT NOT NULL,
    user_id TEXT,
    user_uuid TEXT,
    user_number INTEGER,
    metadata TEXT,
    state TEXT NOT NULL CHECK (state IN ('active', 'deleting')),
    erasure_uuid TEXT,
    revision INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    total_length INTEGER NOT NULL,
    ended_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, title TEXT, title_words TEXT, active_at INTEGER NOT NULL DEFAULT 0, assigned_at INTEGER, embedded_seq INTEGER, do_not_embed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, session_id),
    CHECK ((user_id IS NULL) = (user_uuid IS NULL))
) STRICT;

CREATE INDEX sessions_active ON sessions (project_id, state, active_at);

CREATE INDEX sessions_assigned ON sessions (project_id, user_id)
    WHERE user_id IS NOT NULL AND assigned_at IS NOT NULL;

CREATE INDEX sessions_by_uuid ON sessions (uuid);

CREATE INDEX sessions_listed ON sessions (project_id, state);

CREATE INDEX sessions_of_user ON sessions (project_id, user_id, state) WHERE user_id IS NOT NULL;

CREATE INDEX sessions_of_user_active ON sessions (project_id, user_id, state, active_at)
    WHERE user_id IS NOT NULL;

CREATE INDEX sessions_to_embed ON sessions (project_id, number) WHERE last_seq > embedded_seq;

CREATE INDEX sessions_without_user ON sessions (project_id, state) WHERE user_id IS NULL;

CREATE TABLE tombstones (
    project_id INTEGER NOT NULL,
    subject TEXT NOT NULL CHECK (subject IN ('user', 'session')),
    id_hash TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, subject, id_hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX tombstones_expiry ON tombstones (project_id, expires_at);

CREATE TABLE user_usage (
    project_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    message_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    quota_set_at INTEGER NOT NULL, document_count INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_words (
    project_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    user_number INTEGER NOT NULL,
    beginning TEXT NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (project_id, user_number, word, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_words_by_beginning ON user_words (project_id, beginning, user_number, word);

CREATE INDEX user_words_by_word ON user_words (project_id, word, user_number);

CREATE TABLE users (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    user_id TEXT NOT NULL,
    uuid TEXT NOT NULL,
    email TEXT,
    email_folded TEXT,
    first_name TEXT,
    last_name TEXT,
    metadata TEXT,
    state TEXT NOT NULL CHECK (state IN ('active', 'deleting')),
    erasure_uuid TEXT,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, do_not_embed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, user_id)
) STRICT;

CREATE INDEX users_by_email ON users (project_id, email_folded) WHERE email_folded IS NOT NULL;

CREATE INDEX users_by_uuid ON users (uuid);

CREATE INDEX users_listed ON users (project_id, state);

CREATE TABLE verifications (
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    uuid TEXT NOT NULL,
    erasure_uuid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    started_at INTEGER NOT NULL,
    lease_expires_at INTEGER NOT NULL,
    finished_at INTEGER,
    problem TEXT,
    findings TEXT,
    PRIMARY KEY (project_id, uuid)
) STRICT;
