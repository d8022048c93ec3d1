-- Full-text search. Words are made by domain.search.analyzer and ranked by domain.search.ranking.
-- The index of each engine is in its own file.

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

-- name: get_index_build
SELECT value FROM instance WHERE name = 'index_build';

-- name: set_index_build
INSERT INTO instance (name, value) VALUES ('index_build', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: drop_index_build
DELETE FROM instance WHERE name = 'index_build';

-- name: sessions_to_index
SELECT number, project_id, session_id, {search_scope}, total_length
FROM sessions
WHERE number > :after
ORDER BY number
LIMIT :limit;

-- name: messages_to_index
SELECT seq, name, role, content, word_count
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- name: set_total_length
UPDATE sessions SET total_length = :total_length
WHERE project_id = :project_id AND session_id = :session_id;

-- name: add_to_total_length
-- After an edit of a message of the session.
UPDATE sessions SET total_length = total_length + :length
WHERE project_id = :project_id AND session_id = :session_id;

-- name: corpus_stats
-- The number and the total length of the messages that are searched, for ranking.
SELECT CAST(coalesce(sum(message_count), 0) AS bigint),
    CAST(coalesce(sum(total_length), 0) AS bigint)
FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? user_id: AND user_id = :user_id */
    /*? session_id: AND session_id = :session_id */;

-- name: messages_at
-- What the weight of messages depends on, for the visible messages at the positions (JSON: a list of
-- session_id and seq). A message without words was found only for its neighbours, and would show
-- nothing. The state is read in a subquery for each: PostgreSQL turns EXISTS into a join, for which it
-- may read all sessions. Where all positions are of one session, :session_id names it: a cluster then
-- asks one shard. It does not infer that from the join, so the subquery names it too.
SELECT position.ordinal, messages.name, messages.role, messages.created_at
FROM {positions} AS position
{joined_in_order} messages ON messages.project_id = :project_id
    AND messages.session_id = position.session_id AND messages.seq = position.seq
WHERE messages.word_count > 0
    {of_session}
    AND (
        SELECT sessions.state FROM sessions
        WHERE sessions.project_id = :project_id AND sessions.session_id = messages.session_id
            /*? session_id: AND sessions.session_id = :session_id */
    ) <> 'deleting'
    {hit_conditions};

-- name: hits_at
-- The messages at the positions, in their order.
SELECT {hit_columns}, messages.session_id, position.ordinal
FROM {positions} AS position
{joined_in_order} messages ON messages.project_id = :project_id
    AND messages.session_id = position.session_id AND messages.seq = position.seq
    {of_session}
{in_order_of_positions};

-- name: texts_at
-- The beginnings of the texts at the positions.
SELECT position.ordinal, substr(messages.content, 1, :characters)
FROM {positions} AS position
{joined_in_order} messages ON messages.project_id = :project_id
    AND messages.session_id = position.session_id AND messages.seq = position.seq
    {of_session};

-- name: sessions_with_vectors
-- The sessions that are searched, with as many messages as they may have vectors.
SELECT session_id, message_count, last_seq
FROM sessions
WHERE project_id = :project_id AND state = 'active'
    /*? user_id: AND user_id = :user_id */
    /*? session_id: AND session_id = :session_id */;

-- fragment: packed_header
-- See domain.search.meaning.PackedVectors.
(1000000000000000 + embeddings.seq)
    || '' || (1000000000000000 + CAST(embeddings.scale * 1099511627776 AS bigint))

-- fragment: vectors_of_part
embeddings.project_id = :project_id
    AND embeddings.session_id = position.session_id AND embeddings.model_id = :model_id
    AND embeddings.seq >= position.seq AND embeddings.seq < position.seq + :seqs
    /*? session_id: AND embeddings.session_id = :session_id */

-- name: sessions_of_hits
-- The sessions of hits; a position has the session_id first.
SELECT sessions.session_id, sessions.title, sessions.user_id
FROM {positions} AS position
{joined_in_order} sessions ON sessions.project_id = :project_id
    AND sessions.session_id = position.session_id
    /*? session_id: AND sessions.session_id = :session_id */;

-- name: newest_messages
-- The positions of the newest messages of a session, or of all. Their texts are read apart: to sort
-- them, a database may keep them all in memory.
SELECT session_id, seq
FROM messages
WHERE project_id = :project_id AND seq > 0
    AND session_id IN (
        SELECT session_id FROM sessions
        WHERE project_id = :project_id AND state = 'active'
            /*? session_id: AND session_id = :session_id */
    )
    {hit_conditions}
ORDER BY created_at DESC, session_id, seq DESC
LIMIT :limit;

-- fragment: of_session
/*? session_id: AND messages.session_id = :session_id */

-- fragment: hit_conditions
/*? roles: AND role IN {roles} */
/*? created_after_at: AND created_at > :created_after_at */
/*? created_before_at: AND created_at < :created_before_at */
/*? filter: AND {filter} */

-- fragment: hit_columns
messages.seq, id, role, name, token_count, created_at, edited_at, revision, metadata, content,
data
