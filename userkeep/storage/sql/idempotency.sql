-- The results of requests with an Idempotency-Key, of which `key` is a keyed hash. The columns are
-- those of services.idempotency.IdempotencyRecord.

-- name: get_idempotency_record
-- The caller compares the time, as for tombstone_expiry.
SELECT request_hash, user_id, session_id, uuid, first_seq, message_count, created_at
FROM idempotency
WHERE project_id = :project_id AND key = :key;

-- name: add_idempotency_record
INSERT INTO idempotency (
    project_id, key, request_hash, user_id, session_id, uuid, first_seq, message_count, created_at
) VALUES (
    :project_id, :key, :request_hash, :user_id, :session_id, :uuid, :first_seq, :message_count,
    :created_at
);

-- name: delete_expired_idempotency_record
DELETE FROM idempotency
WHERE project_id = :project_id AND key = :key AND created_at <= :oldest_at;

-- name: idempotency_keys_of_user
SELECT key FROM idempotency
WHERE project_id = :project_id AND user_id = :user_id
LIMIT :limit;

-- name: idempotency_keys_of_session
SELECT key FROM idempotency
WHERE project_id = :project_id AND session_id = :session_id
LIMIT :limit;

-- name: remove_ids_of_idempotency_record
UPDATE idempotency
SET user_id = NULL, session_id = NULL, uuid = NULL, first_seq = NULL, message_count = NULL
WHERE project_id = :project_id AND key = :key;

-- name: oldest_surplus_idempotency_record
SELECT created_at FROM idempotency
WHERE project_id = :project_id
ORDER BY created_at DESC
LIMIT 1 OFFSET :limit;

-- name: expired_idempotency_keys
SELECT key FROM idempotency
WHERE project_id = :project_id AND created_at <= :oldest_at
ORDER BY created_at
LIMIT :limit;

-- name: some_idempotency_keys
SELECT key FROM idempotency
WHERE project_id = :project_id
ORDER BY created_at
LIMIT :limit;

-- name: delete_idempotency_record
DELETE FROM idempotency WHERE project_id = :project_id AND key = :key;

-- name: far_idempotency_keys
-- Those of a clock that was wrong, which would be kept too long.
SELECT key FROM idempotency
WHERE project_id = :project_id AND created_at > :latest_at
ORDER BY created_at
LIMIT :limit;

-- name: date_idempotency_record
UPDATE idempotency SET created_at = :created_at
WHERE project_id = :project_id AND key = :key AND created_at > :created_at;

-- name: are_keys_hashed
SELECT value FROM instance WHERE name = 'idempotency_keys';

-- name: record_hashed_keys
-- Only one of several servers that start changes a row here; the others wait for it.
INSERT INTO instance (name, value) VALUES ('idempotency_keys', 'hashed')
ON CONFLICT (name) DO NOTHING;

-- name: plain_idempotency_keys
-- All of them, once.
SELECT project_id, key FROM idempotency;

-- name: hash_idempotency_key
-- A row of its own: on a cluster, a shard key cannot be changed.
INSERT INTO idempotency (
    project_id, key, request_hash, user_id, session_id, uuid, first_seq, message_count, created_at
)
SELECT project_id, :key_hash, request_hash, user_id, session_id, uuid, first_seq, message_count,
    created_at
FROM idempotency
WHERE project_id = :project_id AND key = :key;

-- name: delete_plain_idempotency_key
DELETE FROM idempotency WHERE project_id = :project_id AND key = :key;

-- name: delete_all_idempotency_records
-- Of all projects, when the secret is rotated.
DELETE FROM idempotency;
