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

-- name: index_message
-- VALUES, because SQLite makes a savepoint for INSERT … SELECT, and FTS5 flushes its pending
-- entries at each savepoint (ten times the cost).
INSERT INTO message_words (rowid, words) VALUES ({words_rowid}, :words);

-- name: unindex_message
INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', {words_rowid}, :words);

-- name: messages_to_unindex
SELECT seq, role, role_type, content
FROM messages
WHERE project_id = :project_id AND session_id = :session_id
    AND seq >= :from_seq AND seq < :before_seq
ORDER BY seq;

-- name: move_words
-- Nothing to do: each message is removed from the index and added again.

-- name: empty_index
INSERT INTO message_words (message_words) VALUES ('delete-all');

-- name: database_bytes
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();

-- name: merge_index
-- Merges the index into one segment, :pages more of the work. Only this drops the words of removed
-- messages. A negative number begins the merge; see pad_index.
INSERT INTO message_words (message_words, rank) VALUES ('merge', :pages);

-- name: pad_index
-- FTS5 keeps its segments on levels. Only a merge into a new last level drops the words of removed
-- messages; and if all segments are on one level already, or only one is left, no level is added,
-- and these words stay for ever. So entries for no message are added before the merge, and removed
-- after it: segments of different sizes are on different levels. Each entry has a lower rowid than
-- the one before, which makes FTS5 write its pending entries as a segment.
INSERT INTO message_words (rowid, words) VALUES (:row, :words);

-- name: unpad_index
INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', :row, :words);

-- name: index_entries
-- Every word with every message that has it, from a word on. The messages of a word are in order.
SELECT term, doc
FROM message_words_listed
WHERE term >= :word
LIMIT :limit OFFSET :skipped;

-- name: words_of_messages
-- None: the words are in the index only.

-- fragment: row_number
number

-- name: postings
-- CROSS JOIN keeps the order of the tables: one lookup in the index for each word.
SELECT word.key, messages.session_id, messages.seq, messages.word_count
FROM json_each(:words) AS word
CROSS JOIN message_words
CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
WHERE message_words MATCH '"' || word.value || '"'
    /*? search_scope: AND message_words.rowid BETWEEN
        (:search_scope << 34) AND ((:search_scope << 34) | 0x3FFFFFFFF) */
    AND messages.project_id = :project_id
    /*? session_id: AND messages.session_id = :session_id */;

-- name: words_in_use
-- The words (JSON) that stored messages have.
SELECT word.value
FROM json_each(:words) AS word
WHERE EXISTS (
    SELECT 1 FROM message_words
    CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
    WHERE message_words MATCH '"' || word.value || '"'
);

-- name: speaker_names
-- For each word that is in the name of a speaker: one of these names.
SELECT word.key, (
    SELECT messages.role FROM message_words
    CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
    WHERE message_words MATCH '"' || word.value || '"'
        /*? search_scope: AND message_words.rowid BETWEEN
            (:search_scope << 34) AND ((:search_scope << 34) | 0x3FFFFFFFF) */
        AND messages.project_id = :project_id
        /*? session_id: AND messages.session_id = :session_id */
    LIMIT 1
) AS name
FROM json_each(:words) AS word
WHERE name IS NOT NULL;

-- fragment: joined_in_order
-- CROSS JOIN keeps the order of the tables: else SQLite may read the whole project first.
CROSS JOIN

-- fragment: places
(
    SELECT key AS ordinal, value ->> 0 AS session_id, value ->> 1 AS seq FROM json_each(:places)
)

-- name: newest_messages_of_user
SELECT {found_columns}, session_id, 0
FROM messages
WHERE project_id = :project_id
    AND session_id IN (
        SELECT session_id FROM sessions
        WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
    )
    {found_conditions}
ORDER BY created_at DESC, session_id, seq DESC
LIMIT :limit;

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
