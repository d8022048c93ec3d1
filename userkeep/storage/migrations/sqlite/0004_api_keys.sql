-- API keys. Only hashes of their texts are stored. former_hash is the hash before the last rotation,
-- valid until former_expires_at. A key can be bound to a user, and is deleted with them. Keys are also
-- found by id alone, because a request names its key before its project is known.
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
