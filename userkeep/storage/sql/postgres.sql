-- Queries and fragments that differ on PostgreSQL.

-- fragment: for_update
FOR NO KEY UPDATE

-- fragment: for_share
FOR SHARE

-- fragment: words_column
, words

-- fragment: words_value
, array_to_tsvector(array_append(string_to_array(:words, ' '), '#' || CAST(:search_scope AS text)))

-- fragment: words_set
, words = array_to_tsvector(
    array_append(string_to_array(:words, ' '), '#' || CAST(:search_scope AS text))
)

-- name: index_message
-- Nothing to do: the words are in the message's row.

-- name: unindex_message
-- Nothing to do, for the same reason.

-- name: messages_to_unindex
-- None.

-- name: move_words
UPDATE messages
SET words = ts_delete(words, '#' || CAST(:from_scope AS text))
    || array_to_tsvector(ARRAY['#' || CAST(:to_scope AS text)])
WHERE project_id = :project_id AND session_id = :session_id;

-- name: empty_index
-- Nothing to do: the words of each message are set again.

-- name: database_bytes
SELECT pg_database_size(current_database());

-- name: merge_index
-- Nothing to do: rewriting a table rewrites its indexes.

-- name: pad_index
-- Nothing to do.

-- name: unpad_index
-- Nothing to do.

-- name: index_entries
-- None: the words are in the rows of the messages.

-- name: words_of_messages
SELECT seq, array_to_string(tsvector_to_array(words), ' ')
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- fragment: row_number
seq

-- fragment: with_word
-- The messages with a word. It has no other conditions, so that only the index of words can be
-- used: without statistics of the table, PostgreSQL would read the whole project or session for
-- each word.
with_word AS MATERIALIZED (
    SELECT project_id, session_id, seq, word_count, role
    FROM messages
    WHERE words @@ CAST(
        '''' || word.term || ''''
        /*? search_scope: || ' & ''#' || CAST(:search_scope AS text) || '''' */ AS tsquery
    )
)

-- name: postings
SELECT word.place - 1, found.session_id, found.seq, found.word_count
FROM jsonb_array_elements_text(CAST(:words AS jsonb)) WITH ORDINALITY AS word (term, place)
CROSS JOIN LATERAL (
    WITH {with_word}
    SELECT session_id, seq, word_count FROM with_word
    WHERE project_id = :project_id /*? session_id: AND session_id = :session_id */
) AS found;

-- name: words_in_use
-- None: the words are in the rows of the messages. (And a verification must not send words of
-- deleted messages to the server, which may log its statements.)

-- name: speaker_names
-- For each word that is in the name of a speaker: one of these names.
SELECT word.place - 1, found.role
FROM jsonb_array_elements_text(CAST(:words AS jsonb)) WITH ORDINALITY AS word (term, place)
CROSS JOIN LATERAL (
    WITH {with_word}
    SELECT role FROM with_word
    WHERE project_id = :project_id /*? session_id: AND session_id = :session_id */
    LIMIT 1
) AS found;

-- fragment: joined_in_order
-- PostgreSQL chooses the order well: it expects a list in JSON to be short.
JOIN

-- fragment: places
(
    SELECT place - 1 AS ordinal, value ->> 0 AS session_id, CAST(value ->> 1 AS bigint) AS seq
    FROM jsonb_array_elements(CAST(:places AS jsonb)) WITH ORDINALITY AS given (value, place)
)

-- name: newest_messages_of_user
-- Session by session, which the inner LIMIT enforces. Without statistics of the keys, PostgreSQL
-- expects a session to have a large share of all messages, and would read all of them.
SELECT newest.*, 0
FROM sessions
CROSS JOIN LATERAL (
    SELECT {found_columns}, messages.session_id
    FROM messages
    WHERE messages.project_id = :project_id AND messages.session_id = sessions.session_id
        {found_conditions}
    ORDER BY created_at DESC, seq DESC
    LIMIT :limit
) AS newest
WHERE sessions.project_id = :project_id AND sessions.user_id = :user_id
    AND sessions.state = 'active'
ORDER BY newest.created_at DESC, newest.session_id, newest.seq DESC
LIMIT :limit;

-- fragment: roles
(SELECT jsonb_array_elements_text(CAST(:roles AS jsonb)))

-- name: get_clock
-- The time from which the clock continues: what a server saved last.
SELECT coalesce(max(CAST(value AS bigint)), 0) FROM instance WHERE name = 'time';
