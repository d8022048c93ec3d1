-- Finding messages by their words. domain.search.analyzer decides what a word is, and
-- domain.search.ranking which message is best. How an engine keeps its index is in its own file.

-- name: search_scope
SELECT {search_scope}
FROM sessions
WHERE project_id = :project_id AND session_id = :session_id;

-- name: set_words
UPDATE messages
SET word_count = :word_count {words_set}
WHERE project_id = :project_id AND session_id = :session_id AND seq = :seq;

-- name: get_index_version
SELECT value FROM instance WHERE name = 'index';

-- name: set_index_version
INSERT INTO instance (name, value) VALUES ('index', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: drop_index_version
DELETE FROM instance WHERE name = 'index';

-- name: get_index_making
SELECT value FROM instance WHERE name = 'index_making';

-- name: set_index_making
INSERT INTO instance (name, value) VALUES ('index_making', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: drop_index_making
DELETE FROM instance WHERE name = 'index_making';

-- name: sessions_to_index
SELECT number, project_id, session_id, {search_scope}, total_length
FROM sessions
WHERE number > :after
ORDER BY number
LIMIT :limit;

-- name: messages_to_index
SELECT seq, role, role_type, content, word_count, {row_number}
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- name: set_total_length
UPDATE sessions SET total_length = :total_length
WHERE project_id = :project_id AND session_id = :session_id;

-- name: change_length
-- Of a session in which a message was edited.
UPDATE sessions SET total_length = total_length + :length
WHERE project_id = :project_id AND session_id = :session_id;

-- name: corpus_stats
-- How much there is to search, for ranking.
SELECT CAST(coalesce(sum(message_count), 0) AS bigint),
    CAST(coalesce(sum(total_length), 0) AS bigint)
FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? user_id: AND user_id = :user_id */
    /*? session_id: AND session_id = :session_id */;

-- name: found_messages
-- Of the places (JSON: a list of session_id and seq), those that may be shown. The state is asked
-- for once for each: where EXISTS becomes a join, PostgreSQL may read all sessions for it.
SELECT {found_columns}, messages.session_id, place.ordinal
FROM {places} AS place
{joined_in_order} messages ON messages.project_id = :project_id
    AND messages.session_id = place.session_id AND messages.seq = place.seq
WHERE (
        SELECT sessions.state FROM sessions
        WHERE sessions.project_id = :project_id AND sessions.session_id = messages.session_id
    ) <> 'deleting'
    {found_conditions};

-- name: newest_messages
-- Of a session, or of all.
SELECT {found_columns}, session_id, 0
FROM messages
WHERE project_id = :project_id
    AND session_id IN (
        SELECT session_id FROM sessions
        WHERE project_id = :project_id AND state = 'active'
            /*? session_id: AND session_id = :session_id */
    )
    {found_conditions}
ORDER BY created_at DESC, session_id, seq DESC
LIMIT :limit;

-- fragment: found_conditions
/*? roles: AND role_type IN {roles} */
/*? created_after_at: AND created_at > :created_after_at */
/*? created_before_at: AND created_at < :created_before_at */
/*? filter: AND {filter} */

-- fragment: found_columns
messages.seq, uuid, role, role_type, token_count, created_at, metadata, content, data
