-- The results of requests with an Idempotency-Key. The columns are those of
-- services.idempotency.IdempotencyRecord.

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

-- name: delete_idempotency_records_of_user
DELETE FROM idempotency WHERE project_id = :project_id AND user_id = :user_id;

-- name: delete_idempotency_records_of_session
DELETE FROM idempotency WHERE project_id = :project_id AND session_id = :session_id;

-- name: expired_idempotency_keys
SELECT key FROM idempotency
WHERE project_id = :project_id AND created_at <= :oldest_at
ORDER BY created_at
LIMIT :limit;
