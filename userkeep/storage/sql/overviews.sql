-- What people want to see at a glance: counts, and activity by day. Whatever grows with what is stored
-- is counted up to a limit.

-- name: count_some_users
-- In the order of an index, of which no more than the limit is read.
SELECT count(*) FROM (
    SELECT 1 FROM users WHERE project_id = :project_id AND state = 'active'
    ORDER BY number
    LIMIT :limit
) AS counted;

-- name: count_some_sessions
SELECT count(*) FROM (
    SELECT 1 FROM sessions WHERE project_id = :project_id AND state = 'active'
    ORDER BY number
    LIMIT :limit
) AS counted;

-- name: sessions_by_day
-- How many sessions had their newest message on a day. Days are counted from 1970-01-01 (UTC).
SELECT day, count(*) FROM (
    SELECT {day_of_activity} AS day FROM sessions
    WHERE project_id = :project_id AND state = 'active' AND active_at >= :since_at
    ORDER BY active_at DESC
    LIMIT :limit
) AS active
GROUP BY day;

-- name: messages_of_user_by_day
-- How many messages of each of a user's sessions were created on a day: pairs of a day and a number.
-- One subquery for each session, as in count_bytes_of_user.
SELECT (
    SELECT {joined_days} FROM (
        SELECT day, count(*) AS total FROM (
            SELECT {day_of_creation} AS day FROM messages
            WHERE messages.project_id = sessions.project_id
                AND messages.session_id = sessions.session_id AND messages.seq > 0
                AND messages.created_at >= :since_at
        ) AS created
        GROUP BY day
    ) AS counted
)
FROM sessions
WHERE project_id = :project_id AND state = 'active' AND user_id = :user_id
    AND active_at >= :since_at
ORDER BY active_at DESC
LIMIT :session_limit;

-- name: totals_of_user
SELECT count(*), CAST(coalesce(sum(message_count), 0) AS bigint)
FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active';

-- name: count_some_documents_of_user
SELECT count(*) FROM (
    SELECT 1 FROM documents
    WHERE project_id = :project_id AND user_id = :user_id
    ORDER BY collection, seq
    LIMIT :limit
) AS counted;

-- name: active_sessions_of_users
-- Sessions that belong to a user, by activity.
SELECT number, user_id, active_at FROM sessions
WHERE project_id = :project_id AND state = 'active' AND user_id IS NOT NULL
    /*? before: AND (active_at, number) < (:position_at, :before) */
ORDER BY active_at DESC, number DESC
LIMIT :limit;

-- name: newest_session_of_user
SELECT number FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
ORDER BY active_at DESC, number DESC
LIMIT 1;

-- name: count_some_messages
-- How many messages some of the sessions have, the first ones.
SELECT CAST(coalesce(sum(message_count), 0) AS bigint) FROM (
    SELECT message_count FROM sessions WHERE project_id = :project_id AND state = 'active'
    ORDER BY number
    LIMIT :limit
) AS counted;

-- name: totals_of_collections
SELECT count(*), CAST(coalesce(sum(document_count), 0) AS bigint) FROM (
    SELECT document_count FROM collections WHERE project_id = :project_id
    ORDER BY number
    LIMIT :limit
) AS counted;

-- name: documents_of_user_by_collection
-- How many documents a user has in each collection, in the order of the collections.
SELECT collection, count(*) FROM (
    SELECT collection FROM documents
    WHERE project_id = :project_id AND user_id = :user_id
    ORDER BY collection, seq
    LIMIT :limit
) AS counted
GROUP BY collection
ORDER BY collection;

-- name: name_of_collection_number
SELECT name FROM collections WHERE project_id = :project_id AND number = :collection;

-- name: newest_deleted_projects
SELECT {project_columns} FROM projects
WHERE state = 'deleted'
ORDER BY project_id DESC
LIMIT :limit;
