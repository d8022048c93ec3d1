-- API keys. The columns of every query that returns keys are those of domain.key.Key, in its order.

-- fragment: key_columns
number, id, name, scope, user_id, created_at, expires_at, last_used_at, revoked_at,
former_expires_at

-- name: add_key
INSERT INTO api_keys (
    project_id, id, name, scope, user_id, user_uuid, hash, created_at, expires_at
) VALUES (
    :project_id, :id, :name, :scope, :user_id, :user_uuid, :hash, :now_at, :expires_at
)
RETURNING {key_columns};

-- name: get_key
SELECT {key_columns}
FROM api_keys
WHERE project_id = :project_id AND id = :id;

-- name: lock_key
SELECT {key_columns}
FROM api_keys
WHERE project_id = :project_id AND id = :id
{for_update};

-- name: list_keys
SELECT {key_columns}
FROM api_keys
WHERE project_id = :project_id
    /*? after: AND number > :after */
    /*? before: AND number < :before */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: rotate_key
-- Call lock_key first in the same transaction.
UPDATE api_keys SET former_hash = hash, former_expires_at = :former_expires_at, hash = :hash
WHERE project_id = :project_id AND id = :id
RETURNING {key_columns};

-- name: revoke_key
UPDATE api_keys SET revoked_at = :now_at
WHERE project_id = :project_id AND id = :id
RETURNING {key_columns};

-- name: some_keys
SELECT id FROM api_keys WHERE project_id = :project_id ORDER BY number LIMIT :limit;

-- name: delete_key
DELETE FROM api_keys WHERE project_id = :project_id AND id = :id;

-- name: delete_keys_of_user
DELETE FROM api_keys WHERE project_id = :project_id AND user_id = :user_id;

-- name: find_key
-- The key of a request, whose project is not known yet. The columns are those of StoredKey.
SELECT project_id, id, scope, user_id, user_uuid, hash, former_hash, former_expires_at,
    expires_at, revoked_at
FROM api_keys
WHERE id = :id;

-- name: record_key_use
UPDATE api_keys SET last_used_at = :used_at
WHERE project_id = :project_id AND id = :id
    AND (last_used_at IS NULL OR last_used_at < :used_at);

-- name: ended_users
-- The newest ones only: the data of a user is bound to the uuid in a token anyway.
SELECT subject_uuid FROM (
    SELECT subject, subject_uuid FROM erasures
    WHERE project_id = :project_id
    ORDER BY number DESC
    LIMIT :limit
) AS newest
WHERE subject = 'user';

-- name: get_authentication
SELECT value FROM instance WHERE name = 'authentication';

-- name: require_authentication
INSERT INTO instance (name, value) VALUES ('authentication', 'required')
ON CONFLICT (name) DO NOTHING;
