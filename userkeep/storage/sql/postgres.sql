-- Where PostgreSQL says it in its own way.

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
-- Nothing: the words are in the message's own row.

-- name: unindex_message
-- Nothing, for the same reason.

-- name: messages_to_unindex
-- None.

-- name: move_words
UPDATE messages
SET words = ts_delete(words, '#' || CAST(:from_scope AS text))
    || array_to_tsvector(ARRAY['#' || CAST(:to_scope AS text)])
WHERE project_id = :project_id AND session_id = :session_id;

-- name: empty_index
-- Nothing: each message's words are set anew.

-- name: database_bytes
SELECT pg_database_size(current_database());

-- name: merge_index
-- Nothing: who writes a table anew writes its indexes anew.

-- name: pad_index
-- Nothing.

-- name: unpad_index
-- Nothing.

-- name: index_entries
-- None: the words are in the messages' own rows.

-- name: words_of_messages
SELECT seq, array_to_string(tsvector_to_array(words), ' ')
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- fragment: row_number
seq

-- fragment: with_word
-- The messages that have a word: nothing else is said inside, because no index may be used but that
-- of words. While PostgreSQL knows too little of a new table, it would read all of the project, or
-- of the session, once for each word.
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
-- None: the words are in the messages' own rows. (And who verifies an erasure has nothing to tell
-- the database: it may keep a log of what it is asked.)

-- name: speaker_names
-- For each word that is in the name of somebody who has spoken: one of those names.
SELECT word.place - 1, found.role
FROM jsonb_array_elements_text(CAST(:words AS jsonb)) WITH ORDINALITY AS word (term, place)
CROSS JOIN LATERAL (
    WITH {with_word}
    SELECT role FROM with_word
    WHERE project_id = :project_id /*? session_id: AND session_id = :session_id */
    LIMIT 1
) AS found;

-- fragment: joined_in_order
-- PostgreSQL finds the order by itself: it takes a list in JSON for a short one.
JOIN

-- fragment: places
(
    SELECT place - 1 AS ordinal, value ->> 0 AS session_id, CAST(value ->> 1 AS bigint) AS seq
    FROM jsonb_array_elements(CAST(:places AS jsonb)) WITH ORDINALITY AS given (value, place)
)

-- name: newest_messages_of_user
-- From session to session: LIMIT inside keeps it so. PostgreSQL has no samples of the keys, so it
-- takes a session for a share of all messages, and would rather read all of them.
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

-- name: latest_time
-- From where the clock goes on: the time that a server kept last.
SELECT coalesce(max(CAST(value AS bigint)), 0) FROM instance WHERE name = 'time';
