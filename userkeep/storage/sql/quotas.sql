-- Quotas, and how much users have.

-- name: get_quota
SELECT max_messages_per_user, max_bytes_per_user, updated_at
FROM projects
WHERE project_id = :project_id;

-- name: count_messages_of_user
SELECT sum(message_count) FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active';

-- name: count_bytes_of_user
-- One subquery for each session, so that each is looked up in the index of messages: otherwise
-- PostgreSQL, which has no samples of their columns, may read all messages.
SELECT sum((
    SELECT sum(octet_length(content) + coalesce(octet_length(data), 0)) FROM messages
    WHERE messages.project_id = sessions.project_id
        AND messages.session_id = sessions.session_id AND messages.seq > 0
))
FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active';

-- name: get_usage
SELECT message_count, byte_count, quota_set_at
FROM user_usage
WHERE project_id = :project_id AND user_id = :user_id;

-- name: set_usage
INSERT INTO user_usage (project_id, user_id, message_count, byte_count, quota_set_at)
VALUES (:project_id, :user_id, :message_count, :byte_count, :quota_set_at)
ON CONFLICT (project_id, user_id) DO UPDATE SET message_count = excluded.message_count,
    byte_count = excluded.byte_count, quota_set_at = excluded.quota_set_at;

-- name: delete_usage
DELETE FROM user_usage WHERE project_id = :project_id AND user_id = :user_id;
