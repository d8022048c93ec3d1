-- Values of the instance.

-- name: get_secret_fingerprint
SELECT value FROM instance WHERE name = 'secret_fingerprint';

-- name: set_secret_fingerprint
INSERT INTO instance (name, value) VALUES ('secret_fingerprint', :value);

-- name: replace_secret_fingerprint
UPDATE instance SET value = :value WHERE name = 'secret_fingerprint';

-- name: keep_ledger_key
-- At the first rotation: until then it is derived from the fingerprint.
INSERT INTO instance (name, value) VALUES ('ledger_key', :value) ON CONFLICT (name) DO NOTHING;

-- name: get_copy_source
-- The marker of an incomplete copy; see jobs.copy.
SELECT value FROM instance WHERE name = 'copy_source';

-- name: newest_migration
SELECT max(number) FROM schema_migrations;

-- name: count_first_users
SELECT count(*) FROM (
    SELECT 1 FROM users WHERE project_id = :project_id AND state = 'active' ORDER BY number LIMIT :limit
) AS counted;

-- name: count_first_sessions
SELECT count(*) FROM (
    SELECT 1 FROM sessions WHERE project_id = :project_id AND state = 'active' ORDER BY number LIMIT :limit
) AS counted;

-- name: save_clock
-- Set back only if it is after :latest, which is a time of a clock that was wrong: another server's
-- clock may be ahead.
INSERT INTO instance (name, value) VALUES ('time', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE CAST(instance.value AS bigint) < CAST(excluded.value AS bigint)
    OR CAST(instance.value AS bigint) > CAST(:latest AS bigint);

-- fragment: table_names
'projects', 'users', 'api_keys', 'user_words', 'user_usage', 'sessions', 'messages', 'erasures',
'embeddings', 'embedding_models', 'deleted_sessions', 'verifications', 'pending_purges', 'tombstones',
'idempotency', 'instance', 'schema_migrations', 'collections', 'collection_deletions', 'documents',
'document_vectors', 'document_deletions'
