-- Quotas, and how much users have.

-- name: get_quota
SELECT max_messages_per_user, max_bytes_per_user, max_documents_per_user, updated_at
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

-- fragment: of_collection_that_is_there
-- The documents of a deleted collection are hidden before they are deleted.
AND collection NOT IN (
    SELECT collection FROM collection_deletions WHERE project_id = :project_id
)

-- name: count_documents_of_user
SELECT count(*) FROM documents
WHERE project_id = :project_id AND user_id = :user_id {of_collection_that_is_there};

-- name: count_document_bytes_of_user
SELECT sum(octet_length(content)) FROM documents
WHERE project_id = :project_id AND user_id = :user_id {of_collection_that_is_there};

-- name: get_usage
SELECT message_count, document_count, byte_count, quota_set_at
FROM user_usage
WHERE project_id = :project_id AND user_id = :user_id;

-- name: set_usage
INSERT INTO user_usage (
    project_id, user_id, message_count, document_count, byte_count, quota_set_at
) VALUES (:project_id, :user_id, :message_count, :document_count, :byte_count, :quota_set_at)
ON CONFLICT (project_id, user_id) DO UPDATE SET message_count = excluded.message_count,
    document_count = excluded.document_count, byte_count = excluded.byte_count, quota_set_at = excluded.quota_set_at;

-- name: delete_usage
DELETE FROM user_usage WHERE project_id = :project_id AND user_id = :user_id;
