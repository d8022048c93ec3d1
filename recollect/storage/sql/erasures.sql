-- Erasures, and what keeps the erased from coming back. Columns as in domain.erasure.Erasure.

-- fragment: erasure_columns
number, uuid, subject, subject_id, subject_hash, subject_uuid,
CASE WHEN scrubbed_at IS NULL THEN state ELSE 'scrubbed' END AS state,
session_count, message_count, started_at, hidden_at, erased_at, claimed_until_at,
scrub_asked_at, scrub_uuid, scrub_left, scrubbed_at

-- name: add_erasure
INSERT INTO erasures (
    project_id, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, started_at, hidden_at, erased_at
) VALUES (
    :project_id, :uuid, :subject, :subject_id, :subject_hash, :subject_uuid, :state,
    :session_count, :message_count, :now_at, :hidden_at, :erased_at
)
RETURNING {erasure_columns};

-- name: get_erasure
SELECT {erasure_columns}
FROM erasures
WHERE project_id = :project_id AND uuid = :uuid;

-- name: list_erasures
SELECT {erasure_columns}
FROM erasures
WHERE project_id = :project_id
    /*? after: AND number > :after */
    /*? before: AND number < :before */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: abandoned_erasures
-- Those that nobody is at work on: a list without a lock, from which each is then claimed.
SELECT uuid
FROM erasures
WHERE project_id = :project_id AND subject_id IS NOT NULL
    AND (claimed_until_at IS NULL OR claimed_until_at < :now_at);

-- name: claim_erasure
-- Takes it until then, if nobody else has it or if it is ours already (:held_until_at), and locks
-- it until this transaction ends.
UPDATE erasures SET claimed_until_at = :until_at
WHERE project_id = :project_id AND uuid = :uuid AND subject_id IS NOT NULL
    AND (
        claimed_until_at IS NULL OR claimed_until_at < :now_at
        /*? held_until_at: OR claimed_until_at = :held_until_at */
    )
RETURNING {erasure_columns};

-- name: drop_claims
UPDATE erasures SET claimed_until_at = NULL
WHERE project_id = :project_id AND subject_id IS NOT NULL;

-- name: set_erasure
UPDATE erasures
SET subject_id = :subject_id, state = :state, session_count = :session_count,
    message_count = :message_count, hidden_at = :hidden_at, erased_at = :erased_at
WHERE project_id = :project_id AND uuid = :uuid
RETURNING {erasure_columns};

-- name: forget_id
INSERT INTO forgotten (project_id, subject, id_hash, until_at)
VALUES (:project_id, :subject, :id_hash, :until_at)
ON CONFLICT (project_id, subject, id_hash) DO UPDATE SET until_at = excluded.until_at;

-- name: forgotten_until
-- The time is compared by who asks: in a condition, it would lead PostgreSQL, while it knows too
-- little of a new table, to the index of times, and past every mark.
SELECT until_at FROM forgotten
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash;

-- name: lift_forgotten
DELETE FROM forgotten
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash;

-- name: expired_forgotten
SELECT subject, id_hash FROM forgotten
WHERE project_id = :project_id AND until_at <= :now_at
ORDER BY until_at
LIMIT :limit;

-- name: drop_expired_forgotten
DELETE FROM forgotten
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash
    AND until_at <= :now_at;
