-- Erasures, and the tombstones of deleted ids. The columns of an erasure are those of
-- domain.erasure.Erasure.

-- fragment: erasure_columns
number, uuid, subject, subject_id, subject_hash, subject_uuid,
CASE WHEN purged_at IS NULL THEN state ELSE 'purged' END AS state,
session_count, message_count, document_count, started_at, hidden_at, deleted_at, lease_expires_at,
purge_requested_at, purge_uuid, skipped_steps, purged_at

-- name: add_erasure
INSERT INTO erasures (
    project_id, uuid, subject, subject_id, subject_hash, subject_uuid, state,
    session_count, message_count, document_count, started_at, hidden_at, deleted_at
) VALUES (
    :project_id, :uuid, :subject, :subject_id, :subject_hash, :subject_uuid, :state,
    :session_count, :message_count, :document_count, :now_at, :hidden_at, :deleted_at
)
RETURNING {erasure_columns};

-- name: get_erasure
SELECT {erasure_columns}
FROM erasures
WHERE project_id = :project_id AND uuid = :uuid;

-- name: projects_of_deleted
-- The projects in which a user or session with this uuid was deleted.
SELECT project_id FROM erasures WHERE subject_uuid = :uuid AND subject = :subject
UNION ALL
SELECT project_id FROM deleted_sessions WHERE uuid = :uuid AND :subject = 'session';

-- name: add_deleted_session
INSERT INTO deleted_sessions (project_id, uuid, erasure_number)
VALUES (:project_id, :uuid, :erasure_number)
ON CONFLICT (project_id, uuid) DO NOTHING;

-- name: list_erasures
SELECT {erasure_columns}
FROM erasures
WHERE project_id = :project_id
    /*? after: AND number > :after */
    /*? before: AND number < :before */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: interrupted_erasures
-- Those without a valid lease. Read without a lock; the lease of each is then acquired. A lease
-- until after :latest_at is one of a clock that was wrong.
SELECT {erasure_columns}
FROM erasures
WHERE project_id = :project_id AND subject_id IS NOT NULL
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
    )
/*? limit: LIMIT :limit */;

-- name: running_erasures
-- Of all projects, counted up to :limit. PostgreSQL has no statistics of subject_id, and uses the index
-- of what is not purged.
SELECT count(*), min(started_at)
FROM (
    SELECT started_at FROM erasures
    WHERE subject_id IS NOT NULL AND deleted_at IS NULL AND purged_at IS NULL
    LIMIT :limit
) AS running;

-- name: unpurged_erasures
-- Of all projects, counted up to :limit: those that wait for a purge, and those of them that a purge
-- could not complete. An erasure that was deleted has deleted_at, which the index has.
SELECT count(*), count(skipped_steps)
FROM (
    SELECT skipped_steps FROM erasures
    WHERE purged_at IS NULL AND deleted_at IS NOT NULL
    LIMIT :limit
) AS unpurged;

-- name: acquire_lease
-- Acquires or renews (:held_until_at) the lease, and locks the row until the end of the
-- transaction.
UPDATE erasures SET lease_expires_at = :expires_at
WHERE project_id = :project_id AND uuid = :uuid AND subject_id IS NOT NULL
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
        /*? held_until_at: OR lease_expires_at = :held_until_at */
    )
RETURNING {erasure_columns};

-- name: release_leases
UPDATE erasures SET lease_expires_at = NULL
WHERE project_id = :project_id AND subject_id IS NOT NULL;

-- name: set_erasure
UPDATE erasures
SET subject_id = :subject_id, state = :state, session_count = :session_count,
    message_count = :message_count, document_count = :document_count, hidden_at = :hidden_at, deleted_at = :deleted_at
WHERE project_id = :project_id AND uuid = :uuid
RETURNING {erasure_columns};

-- name: add_tombstone
INSERT INTO tombstones (project_id, subject, id_hash, expires_at)
VALUES (:project_id, :subject, :id_hash, :expires_at)
ON CONFLICT (project_id, subject, id_hash) DO UPDATE SET expires_at = excluded.expires_at;

-- name: tombstone_expiry
-- The caller compares the time: with a condition on it, PostgreSQL may choose the index of times
-- for a table without statistics, and read every tombstone.
SELECT expires_at FROM tombstones
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash;

-- name: remove_tombstone
DELETE FROM tombstones
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash;

-- name: some_tombstones
SELECT subject, id_hash FROM tombstones
WHERE project_id = :project_id
ORDER BY expires_at
LIMIT :limit;

-- name: expired_tombstones
SELECT subject, id_hash FROM tombstones
WHERE project_id = :project_id AND expires_at <= :now_at
ORDER BY expires_at
LIMIT :limit;

-- name: far_tombstones
-- Those of a clock that was wrong, which would expire too late.
SELECT subject, id_hash FROM tombstones
WHERE project_id = :project_id AND expires_at > :latest_at
ORDER BY expires_at
LIMIT :limit;

-- name: shorten_tombstone
UPDATE tombstones SET expires_at = :expires_at
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash
    AND expires_at > :expires_at;

-- name: delete_expired_tombstone
DELETE FROM tombstones
WHERE project_id = :project_id AND subject = :subject AND id_hash = :id_hash
    AND expires_at <= :now_at;

-- name: all_running_erasures
-- Of all projects, when the secret is rotated.
SELECT project_id, uuid, subject, subject_id FROM erasures WHERE subject_id IS NOT NULL;

-- name: set_subject_hash
UPDATE erasures SET subject_hash = :subject_hash
WHERE project_id = :project_id AND uuid = :uuid;

-- name: remove_subject_hashes
-- The id of a finished erasure is not there, so it cannot be hashed again.
UPDATE erasures SET subject_hash = '' WHERE subject_id IS NULL;

-- name: delete_all_tombstones
DELETE FROM tombstones;
