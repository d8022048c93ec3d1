-- Queries and fragments that differ on SQLite. Its single writer needs no row locks.

-- fragment: for_update

-- fragment: for_share

-- fragment: words_column

-- fragment: words_value

-- fragment: words_set

-- fragment: words_rowid
-- The position in the index; see the migration.
(:search_scope << 34) | (
    SELECT number FROM messages
    WHERE project_id = :project_id AND session_id = :session_id AND seq = :seq
)

-- name: lock_writes
SELECT 1;

-- name: wait_for_writes
SELECT 1;

-- name: lock_uuid
-- There is one writer, so nothing is waited for.
SELECT :uuid;

-- name: index_message
-- VALUES, because SQLite makes a savepoint for INSERT … SELECT, and FTS5 flushes its pending
-- entries at each savepoint (ten times the cost).
INSERT INTO message_words (rowid, words) VALUES ({words_rowid}, :words);

-- name: unindex_message
INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', {words_rowid}, :words);

-- name: messages_to_unindex
SELECT seq, name, role, content
FROM messages
WHERE project_id = :project_id AND session_id = :session_id
    AND seq >= :from_seq AND seq < :before_seq
ORDER BY seq;

-- name: clear_index
INSERT INTO message_words (message_words) VALUES ('delete-all');

-- name: database_bytes
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();

-- name: merge_index
-- Merge so many pages more of the index into one segment. A negative number starts the merge. How a
-- merge drops the terms of removed entries: see SqliteSearchIndex.start_purge.
INSERT INTO message_words (message_words, rank) VALUES ('merge', :pages);

-- name: pad_index
-- Add an entry that stands for no message.
INSERT INTO message_words (rowid, words) VALUES (:row, :words);

-- name: unpad_index
INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', :row, :words);

-- name: index_entries
-- Each term with each row that has it, from a term on. The rows of a term are in their order.
SELECT term, doc
FROM message_words_listed
WHERE term >= :term
LIMIT :limit OFFSET :skip;

-- name: message_numbers
SELECT number FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- fragment: matches
-- CROSS JOIN keeps the order: one look-up in the index for each term. A term that ends with a star
-- stands for all that begin like it; FTS5 has the star after the quotes.
FROM json_each(:terms) AS term
CROSS JOIN message_words
CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
WHERE message_words MATCH replace('"' || term.value || '"', '*"', '" *')
    /*? search_scope: AND message_words.rowid BETWEEN
        (:search_scope << 34) AND ((:search_scope << 34) | 0x3FFFFFFFF) */
    AND messages.project_id = :project_id AND messages.seq > 0
    /*? session_id: AND messages.session_id = :session_id */
LIMIT :limit

-- name: postings
SELECT term.key, messages.session_id, messages.seq, messages.word_count
{matches};

-- name: count_postings
SELECT count(*) FROM (SELECT 1 {matches});

-- name: terms_in_use
-- Those of the terms (JSON) that a stored message has.
SELECT term.value
FROM json_each(:terms) AS term
WHERE EXISTS (
    SELECT 1 FROM message_words
    CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
    WHERE message_words MATCH '"' || term.value || '"'
);

-- name: speaker_counts
-- For each term, by its ordinal, how many messages are of speakers who have it in their names.
SELECT term.key, (
    SELECT count(*) FROM (
        SELECT 1 FROM message_words
        CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
        WHERE message_words MATCH '"' || term.value || '"'
            /*? search_scope: AND message_words.rowid BETWEEN
                (:search_scope << 34) AND ((:search_scope << 34) | 0x3FFFFFFFF) */
            AND messages.project_id = :project_id AND messages.seq > 0
            /*? session_id: AND messages.session_id = :session_id */
        LIMIT :limit
    )
)
FROM json_each(:terms) AS term;

-- fragment: joined_in_order
-- CROSS JOIN keeps the order of the tables: else SQLite may read the whole project first.
CROSS JOIN

-- name: packed_vectors
-- The vectors of parts of sessions (JSON: a list of session_id and the first seq). A blob stays as it
-- is as a text, because nothing looks at its characters. With GROUP BY, SQLite would sort the vectors.
SELECT position.ordinal, CAST((
    SELECT group_concat({packed_header} || CAST(embeddings.vector AS TEXT), '')
    FROM embeddings
    WHERE {vectors_of_part}
) AS BLOB)
FROM {positions} AS position;

-- fragment: positions
(
    SELECT key AS ordinal, value ->> 0 AS session_id, value ->> 1 AS seq FROM json_each(:positions)
)

-- fragment: joined_seqs
group_concat(seq, ',')

-- fragment: joined_days
group_concat(day || ' ' || total, ',')

-- fragment: joined_vectors
-- As in packed_vectors of messages.
CAST(group_concat(CAST(vector AS TEXT), '') AS BLOB)

-- fragment: in_groups
-- With GROUP BY, SQLite would sort the vectors.

-- name: newest_messages_of_user
SELECT session_id, seq
FROM messages
WHERE project_id = :project_id AND seq > 0
    AND session_id IN (
        SELECT session_id FROM sessions
        WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
    )
    {hit_conditions}
ORDER BY created_at DESC, session_id, seq DESC
LIMIT :limit;

-- fragment: added_user_begins

-- fragment: added_user_ends
, {user_words_state}

-- name: limit_lock_wait
-- There is one writer, so nothing is waited for.
SELECT :limit;

-- name: wait_for_user_writes
SELECT 1;

-- fragment: words_of_user
(SELECT value AS word FROM json_each(:user_words)) AS given

-- fragment: wanted_numbers
(SELECT key AS ordinal, value AS wanted FROM json_each(:numbers))

-- fragment: is_among_numbers
IN (SELECT value FROM json_each(:numbers))

-- fragment: is_among_ids
IN (SELECT value FROM json_each(:ids))

-- fragment: is_not_among_hidden_users
NOT IN (SELECT value FROM json_each(:hidden_users))

-- fragment: is_among_uuids
IN (SELECT value FROM json_each(:uuids))

-- fragment: has_title_words
title_words IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM json_each(:title_words) AS wanted
    WHERE instr(title_words, wanted.value) = 0
)

-- fragment: active_at_of_row
-- The plus keeps SQLite from the index of activity, whose order is another than that of the list.
+active_at

-- fragment: last_message
-- JSON, of api.sessions.LastMessage. The content is cut.
(
    SELECT json_array(seq, id, role, name, substr(content, 1, 200), created_at)
    FROM messages
    WHERE messages.project_id = sessions.project_id
        AND messages.session_id = sessions.session_id AND messages.seq > 0
    ORDER BY seq DESC
    LIMIT 1
)

-- fragment: in_order_of_positions
-- The joins keep this order. To sort, SQLite would read all the messages first.

-- fragment: roles
(SELECT value FROM json_each(:roles))

-- name: get_clock
-- The time from which the writer's clock continues: what was saved last, or that of newer rows.
SELECT max(latest_at) FROM (
    SELECT 0 AS latest_at
    UNION ALL
    SELECT CAST(value AS INTEGER) FROM instance WHERE name = 'time'
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM users ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM sessions ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT started_at FROM erasures ORDER BY number DESC LIMIT 1)
) AS latest;

-- name: readiness_problems
-- What prevents requests from being performed, for operators: what it is about, and a sentence.
SELECT 'schema', 'The table ' || needed.value || ' is missing.'
FROM json_each(json_array({table_names}, 'message_words')) AS needed
WHERE needed.value NOT IN (SELECT name FROM sqlite_schema WHERE type = 'table');

-- fragment: day_of_activity
-- Days are counted from 1970-01-01 (UTC).
active_at / 86400000000

-- fragment: day_of_creation
created_at / 86400000000
