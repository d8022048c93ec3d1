-- Users. The columns of every query that returns users are those of domain.user.User, in its order.

-- fragment: user_columns
number, user_id, uuid, email, first_name, last_name, metadata, state, revision,
created_at, updated_at, do_not_embed

-- fragment: user_words_state
-- See services.user_words.
(SELECT value FROM instance WHERE name = 'user_words')

-- name: add_user
-- Returns no row if the id is taken.
{added_user_begins}
INSERT INTO users (
    project_id, user_id, uuid, email, email_folded, first_name, last_name, metadata,
    state, revision, created_at, updated_at, do_not_embed
) VALUES (
    :project_id, :user_id, :uuid, :email, :email_folded, :first_name, :last_name, :metadata,
    'active', :revision, :created_at, :updated_at, :do_not_embed
)
ON CONFLICT (project_id, user_id) DO NOTHING
RETURNING {user_columns} {added_user_ends};

-- name: get_user
SELECT {user_columns}
FROM users
WHERE project_id = :project_id AND user_id = :user_id;

-- name: users_with_uuid
-- In all projects; there is one at most, unless a file was imported while it was used.
SELECT project_id, user_id FROM users WHERE uuid = :uuid LIMIT 2;

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
    last_name = :last_name, metadata = :metadata, do_not_embed = :do_not_embed,
    revision = :revision, updated_at = :now_at
WHERE project_id = :project_id AND user_id = :user_id
RETURNING {user_columns}, {user_words_state};

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

-- Words of users; see domain.search.beginnings. A word begins with another one if it is not before
-- that one, and before its end: that one with the greatest character behind it.

-- name: add_user_words
INSERT INTO user_words (project_id, user_id, user_number, beginning, word)
SELECT CAST(:project_id AS smallint), CAST(:user_id AS text), CAST(:user_number AS bigint),
    substr(word, 1, 2), word
FROM {words_of_user};

-- name: delete_user_words
DELETE FROM user_words
WHERE project_id = :project_id AND user_id = :user_id AND user_number = :user_number;

-- name: count_words
-- How many words begin like this, up to a limit.
SELECT count(*) FROM (
    SELECT 1 FROM user_words
    WHERE project_id = :project_id AND word >= :word AND word < :word_end
    LIMIT :limit
) AS counted;

-- name: users_with_rare_word
-- The numbers of users, in no order.
SELECT user_number FROM user_words
WHERE project_id = :project_id AND word >= :word AND word < :word_end
    /*? after: AND user_number > :after */
    /*? before: AND user_number < :before */;

-- name: users_with_common_word
-- The numbers of users, in order. The words are compared as expressions, so that only the index of
-- beginnings can be used, which has this order.
SELECT DISTINCT user_number FROM user_words
WHERE project_id = :project_id AND beginning = :beginning
    AND word || '' >= :word AND word || '' < :word_end
    /*? after: AND user_number > :after */
    /*? before: AND user_number < :before */
ORDER BY user_number /*? descending: DESC */
LIMIT :limit;

-- name: users_with_letter
-- The same for words of one letter: the users are read in their order. A subquery for each, because
-- PostgreSQL turns EXISTS into a join, for which it would read and sort all words of the letter. A
-- cluster accepts it because it names the user_id, by which the words of a user are on one shard.
SELECT number FROM users
WHERE project_id = :project_id AND state = 'active'
    /*? after: AND number > :after */
    /*? before: AND number < :before */
    AND (
        SELECT 1 FROM user_words
        WHERE project_id = :project_id AND user_number = users.number
            AND user_words.user_id = users.user_id AND word >= :word AND word < :word_end
        LIMIT 1
    ) = 1
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: users_with_word_between
-- The numbers of users from :first to :last, in no order.
SELECT user_number FROM user_words
WHERE project_id = :project_id AND beginning = :beginning
    AND word || '' >= :word AND word || '' < :word_end
    AND user_number >= :first AND user_number <= :last
LIMIT :limit;

-- name: users_with_word_among
-- Those of :numbers, in no order. As expressions, so that the words of each user are read, not all
-- that begin like this.
SELECT user_number FROM user_words
WHERE project_id = :project_id AND user_number {is_among_numbers}
    AND word || '' >= :word AND word || '' < :word_end;

-- name: users_by_number
-- In the order of :numbers.
SELECT {user_columns}
FROM {wanted_numbers} AS position
{joined_in_order} users ON users.number = position.wanted
WHERE project_id = :project_id AND state = 'active'
    /*? email_folded: AND email_folded = :email_folded */
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? filter: AND {filter} */
{in_order_of_positions};

-- name: count_users
SELECT count(*) FROM users
WHERE project_id = :project_id AND state = 'active'
    /*? email_folded: AND email_folded = :email_folded */
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? filter: AND {filter} */;

-- name: users_to_index
SELECT number, user_id
FROM users
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT :limit;

-- name: emails_to_fold
SELECT number, user_id, email, email_folded
FROM users
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT :limit;

-- name: set_email_folded
-- Unless the address was changed: then it is folded already.
UPDATE users SET email_folded = :email_folded
WHERE project_id = :project_id AND user_id = :user_id AND email = :email;

-- name: get_email_folding
-- See services.email_folding.
SELECT value FROM instance WHERE name = 'email_folding';

-- name: set_email_folding
INSERT INTO instance (name, value) VALUES ('email_folding', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: get_user_words_state
SELECT value FROM instance WHERE name = 'user_words';

-- name: begin_user_words
-- Call wait_for_user_writes first in the same transaction.
INSERT INTO instance (name, value) VALUES ('user_words', :value)
ON CONFLICT (name) DO NOTHING;

-- name: set_user_words_state
-- Changes nothing if the state is another one than :known.
UPDATE instance SET value = :value WHERE name = 'user_words' AND value = :known;
