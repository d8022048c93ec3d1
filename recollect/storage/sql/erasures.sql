-- Erasures, and what keeps the erased from coming back. Columns as in domain.erasure.Erasure.

-- name: add_erasure
INSERT INTO erasures (
    project_id, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at
) VALUES (
    :project_id, :uuid, :subject, :subject_id, :subject_hash, :subject_uuid, :state,
    :session_count, :message_count, :now_at, :hidden_at, :erased_at
)
RETURNING number, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at;

-- name: get_erasure
SELECT number, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at
FROM erasures
WHERE project_id = :project_id AND uuid = :uuid;

-- name: get_running_erasure
SELECT number, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at
FROM erasures
WHERE project_id = :project_id AND subject = :subject AND subject_id = :subject_id;

-- name: list_erasures
SELECT number, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at
FROM erasures
WHERE project_id = :project_id
    /*? after: AND number > :after */
    /*? before: AND number < :before */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: running_erasures
SELECT uuid FROM erasures WHERE project_id = :project_id AND subject_id IS NOT NULL;

-- name: set_erasure
UPDATE erasures
SET subject_id = :subject_id, state = :state, session_count = :session_count,
    message_count = :message_count, hidden_at = :hidden_at, erased_at = :erased_at
WHERE project_id = :project_id AND uuid = :uuid
RETURNING number, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at;

-- name: forget_id
INSERT INTO forgotten (project_id, subject, id_hash, until_at)
VALUES (:project_id, :subject, :id_hash, :until_at)
ON CONFLICT (project_id, subject, id_hash) DO UPDATE SET until_at = excluded.until_at;

-- name: is_forgotten
SELECT 1 FROM forgotten
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash
    AND until_at > :now_at;

-- name: lift_forgotten
DELETE FROM forgotten
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash;

-- name: drop_expired_forgotten
DELETE FROM forgotten
WHERE project_id = :project_id AND (subject, id_hash) IN (
    SELECT subject, id_hash FROM forgotten
    WHERE project_id = :project_id AND until_at <= :now_at
    LIMIT :limit
);
