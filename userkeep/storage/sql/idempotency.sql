-- What requests with an Idempotency-Key have made. Columns as in services.idempotency.Made.

-- name: get_made
-- Whether it is too old is looked at by who asks: see tombstone_expires_at.
SELECT request_hash, user_id, session_id, uuid, first_seq, message_count, created_at
FROM idempotency
WHERE project_id = :project_id AND key = :key;

-- name: add_made
INSERT INTO idempotency (
    project_id, key, request_hash, user_id, session_id, uuid, first_seq, message_count, created_at
) VALUES (
    :project_id, :key, :request_hash, :user_id, :session_id, :uuid, :first_seq, :message_count,
    :created_at
);

-- name: drop_expired_made_by_key
DELETE FROM idempotency
WHERE project_id = :project_id AND key = :key AND created_at <= :oldest_at;

-- name: drop_made_of_user
DELETE FROM idempotency WHERE project_id = :project_id AND user_id = :user_id;

-- name: drop_made_of_session
DELETE FROM idempotency WHERE project_id = :project_id AND session_id = :session_id;

-- name: expired_made
SELECT key FROM idempotency
WHERE project_id = :project_id AND created_at <= :oldest_at
ORDER BY created_at
LIMIT :limit;
