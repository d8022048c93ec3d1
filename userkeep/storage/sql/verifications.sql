-- Verifications. The columns of every query that returns one are those of
-- domain.verification.Verification.

-- fragment: verification_columns
uuid, erasure_uuid, state, started_at, lease_expires_at, finished_at, problem, findings

-- name: add_verification
INSERT INTO verifications (
    project_id, uuid, erasure_uuid, state, started_at, lease_expires_at
) VALUES (
    :project_id, :uuid, :erasure_uuid, 'running', :now_at, :expires_at
)
RETURNING {verification_columns};

-- name: get_verification
SELECT {verification_columns}
FROM verifications
WHERE project_id = :project_id AND uuid = :uuid;

-- name: renew_verification
UPDATE verifications SET lease_expires_at = :expires_at
WHERE project_id = :project_id AND uuid = :uuid;

-- name: set_verification
UPDATE verifications
SET state = :state, finished_at = :finished_at, problem = :problem, findings = :findings
WHERE project_id = :project_id AND uuid = :uuid
RETURNING {verification_columns};
