-- Sessions. The columns of every query that returns sessions are those of domain.session.Session.

-- fragment: session_columns
number, session_id, uuid, user_id, title, metadata, state, revision, message_count, last_seq,
ended_at, active_at, created_at, updated_at, do_not_embed

-- fragment: search_scope
-- Messages of a user, or of a session without a user, are adjacent in the full-text index.
coalesce(user_number, -number)

-- fragment: scope_of_user
/*? scope_user_id: AND user_id = :scope_user_id */
/*? scope_user_uuid: AND user_uuid = :scope_user_uuid */

-- name: add_session
-- Returns no row if the id is taken.
INSERT INTO sessions (
    project_id, session_id, uuid, user_id, user_uuid, user_number, title, title_words, metadata,
    state, revision, message_count, last_seq, total_length, ended_at, active_at, created_at,
    updated_at, do_not_embed, embedded_seq
) VALUES (
    :project_id, :session_id, :uuid, :user_id, :user_uuid, :user_number, :title, :title_words,
    :metadata, 'active', :revision, :message_count, :message_count, :total_length, :ended_at,
    :active_at, :created_at, :updated_at, :do_not_embed, :embedded_seq
)
ON CONFLICT (project_id, session_id) DO NOTHING
RETURNING {session_columns};

-- name: get_session
SELECT {session_columns}
FROM sessions
WHERE project_id = :project_id AND session_id = :session_id
    {scope_of_user};

-- name: sessions_with_uuid
-- In all projects; there is one at most, unless a file was imported while it was used.
SELECT project_id, session_id FROM sessions WHERE uuid = :uuid LIMIT 2;

-- name: lock_session
-- No other transaction can change, append to or delete the session until this one ends.
SELECT {session_columns}
FROM sessions
WHERE project_id = :project_id AND session_id = :session_id
    {scope_of_user}
{for_update};

-- name: lock_session_to_delete
SELECT uuid, user_id, state, assigned_at
FROM sessions
WHERE project_id = :project_id AND session_id = :session_id
{for_update};

-- name: set_session
-- Call lock_session first in the same transaction.
UPDATE sessions
SET user_id = :user_id, user_uuid = coalesce(:user_uuid, user_uuid),
    user_number = coalesce(:user_number, user_number),
    assigned_at = coalesce(:assigned_at, assigned_at), title = :title,
    title_words = :title_words, metadata = :metadata, ended_at = :ended_at,
    revision = :revision, updated_at = :now_at, do_not_embed = :do_not_embed
    /*? reviewed_seq: , embedded_seq = CASE
        WHEN embedded_seq IS NULL AND CAST(:reviewed_seq AS bigint) = -2 THEN NULL
        ELSE CAST(:reviewed_seq AS bigint)
    END */
WHERE project_id = :project_id AND session_id = :session_id
RETURNING {session_columns};

-- name: reserve_seqs
-- The fence of every append, and its first statement on the session. It locks the row, so that
-- there are no gaps in seq, and returns nothing if the session has ended or is being deleted.
-- :active_at is the latest created_at of the messages, if there are any.
UPDATE sessions
SET last_seq = last_seq + :count, message_count = message_count + :count,
    total_length = total_length + :length, updated_at = :now_at
    /*? active_at: , active_at = CASE
        WHEN message_count = 0 OR active_at < :active_at THEN :active_at ELSE active_at
    END */
WHERE project_id = :project_id AND session_id = :session_id
    AND state <> 'deleting' AND ended_at IS NULL
    {scope_of_user}
RETURNING last_seq, user_id, {search_scope};

-- name: count_imported_messages
-- Call lock_session first in the same transaction: imported messages have numbers of their own. All are
-- looked at again, also by a job that has just read the session: embedded_seq always changes.
UPDATE sessions
SET last_seq = :last_seq, message_count = message_count + :count,
    total_length = total_length + :length, active_at = :active_at, updated_at = :updated_at,
    embedded_seq = CASE WHEN embedded_seq > 0 THEN -1 {looked_at_again} END
WHERE project_id = :project_id AND session_id = :session_id;

-- name: set_session_owner
UPDATE sessions
SET user_id = :user_id, user_uuid = :user_uuid, user_number = :user_number,
    assigned_at = :now_at, revision = revision + 1
    /*? stops_embedding: , embedded_seq = CASE WHEN embedded_seq IS NULL THEN NULL ELSE -2 END */
WHERE project_id = :project_id AND session_id = :session_id AND user_id IS NULL;

-- name: list_sessions
SELECT {session_columns} /*? last_message: , {last_message} */
FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? after: AND number > :after */
    /*? before: AND number < :before */
    /*? user_id: AND user_id = :user_id */
    /*? has_user: AND user_id IS NOT NULL */
    /*? has_no_user: AND user_id IS NULL */
    {scope_of_user}
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? active_after_at: AND {active_at_of_row} > :active_after_at */
    /*? active_before_at: AND {active_at_of_row} < :active_before_at */
    /*? title_words: AND {has_title_words} */
    /*? filter: AND {filter} */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: list_sessions_by_activity
-- Sessions of the same time are in the order of their numbers. A page starts after a time and a
-- number.
SELECT {session_columns} /*? last_message: , {last_message} */
FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? after: AND (active_at, number) > (:position_at, :after) */
    /*? before: AND (active_at, number) < (:position_at, :before) */
    /*? user_id: AND user_id = :user_id */
    /*? has_user: AND user_id IS NOT NULL */
    /*? has_no_user: AND user_id IS NULL */
    {scope_of_user}
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? active_after_at: AND active_at > :active_after_at */
    /*? active_before_at: AND active_at < :active_before_at */
    /*? title_words: AND {has_title_words} */
    /*? filter: AND {filter} */
ORDER BY active_at /*? descending: DESC */, number /*? descending: DESC */
LIMIT :limit;

-- name: count_sessions
SELECT count(*) FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? user_id: AND user_id = :user_id */
    /*? has_user: AND user_id IS NOT NULL */
    /*? has_no_user: AND user_id IS NULL */
    {scope_of_user}
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? active_after_at: AND active_at > :active_after_at */
    /*? active_before_at: AND active_at < :active_before_at */
    /*? title_words: AND {has_title_words} */
    /*? filter: AND {filter} */;

-- name: count_sessions_without_user
-- Counted up to :limit.
SELECT count(*) FROM (
    SELECT 1 FROM sessions
    WHERE project_id = :project_id AND state = 'active' AND user_id IS NULL
    LIMIT :limit
) AS counted;

-- name: skip_sessions
-- The number of the session that follows the first :skipped ones.
SELECT number FROM sessions
WHERE project_id = :project_id AND state = 'active'
ORDER BY number
LIMIT 1 OFFSET :skipped;

-- name: mark_session_deleting
UPDATE sessions SET state = 'deleting', erasure_uuid = :erasure_uuid
WHERE project_id = :project_id AND session_id = :session_id;

-- name: mark_sessions_of_user_deleting
-- One statement, because SQLite's writer does nothing else meanwhile: 3 µs a session instead of 10.
UPDATE sessions SET state = 'deleting', erasure_uuid = :erasure_uuid
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
    AND user_uuid = :user_uuid;

-- name: erasure_of_session
SELECT erasure_uuid FROM sessions WHERE project_id = :project_id AND session_id = :session_id;

-- name: next_deleting_session_of_user
SELECT session_id FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND state = 'deleting'
LIMIT 1;

-- name: delete_session
DELETE FROM sessions
WHERE project_id = :project_id AND session_id = :session_id AND state <> 'active';
