-- Users. The columns of every query that returns users are those of domain.user.User, in its order.

-- fragment: user_columns
number, user_id, uuid, email, first_name, last_name, metadata, state, revision,
created_at, updated_at

-- name: add_user
-- Returns no row if the id is taken.
INSERT INTO users (
    project_id, user_id, uuid, email, email_folded, first_name, last_name, metadata,
    state, revision, created_at, updated_at
) VALUES (
    :project_id, :user_id, :uuid, :email, :email_folded, :first_name, :last_name, :metadata,
    'active', 1, :now_at, :now_at
)
ON CONFLICT (project_id, user_id) DO NOTHING
RETURNING {user_columns};

-- name: get_user
SELECT {user_columns}
FROM users
WHERE project_id = :project_id AND user_id = :user_id;

-- name: lock_user
-- No other transaction can change or delete the user until this one ends.
SELECT {user_columns}
FROM users
WHERE project_id = :project_id AND user_id = :user_id
{for_update};

-- name: lock_user_shared
-- No other transaction can delete the user until this one ends. Many may hold this lock.
SELECT {user_columns}
FROM users
WHERE project_id = :project_id AND user_id = :user_id
{for_share};

-- name: set_user
-- Call lock_user first in the same transaction.
UPDATE users
SET email = :email, email_folded = :email_folded, first_name = :first_name,
    last_name = :last_name, metadata = :metadata, revision = :revision, updated_at = :now_at
WHERE project_id = :project_id AND user_id = :user_id
RETURNING {user_columns};

-- name: list_users
SELECT {user_columns}
FROM users
WHERE project_id = :project_id AND state = 'active'
    /*? after: AND number > :after */
    /*? before: AND number < :before */
    /*? email_folded: AND email_folded = :email_folded */
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? filter: AND {filter} */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: skip_users
-- The number of the user that follows the first :skipped ones.
SELECT number FROM users
WHERE project_id = :project_id AND state = 'active'
ORDER BY number
LIMIT 1 OFFSET :skipped;

-- name: mark_user_deleting
UPDATE users SET state = 'deleting', erasure_uuid = :erasure_uuid, updated_at = :now_at
WHERE project_id = :project_id AND user_id = :user_id;

-- name: erasure_of_user
SELECT erasure_uuid FROM users WHERE project_id = :project_id AND user_id = :user_id;

-- name: delete_user
DELETE FROM users
WHERE project_id = :project_id AND user_id = :user_id AND uuid = :uuid AND state <> 'active';
