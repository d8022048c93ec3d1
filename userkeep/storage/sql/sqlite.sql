-- Where SQLite says it in its own way. The single writer makes row locks needless.

-- fragment: for_update

-- fragment: for_share

-- fragment: words_column

-- fragment: words_value

-- fragment: words_set

-- fragment: words_rowid
-- See the migration.
(:search_scope << 34) | (
    SELECT number FROM messages
    WHERE project_id = :project_id AND session_id = :session_id AND seq = :seq
)

-- name: index_message
-- VALUES, because an INSERT of a SELECT may be undone half-way: for that SQLite makes a savepoint,
-- and at each savepoint FTS5 writes out what it has gathered (ten times the cost).
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
-- Nothing: each message is taken out and put in again.

-- name: empty_index
INSERT INTO message_words (message_words) VALUES ('delete-all');

-- name: database_bytes
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();

-- name: merge_index
-- So many pages more of the work of merging the whole index into one piece, which alone drops the
-- words of what was taken out. A negative number begins it: see pad_index.
INSERT INTO message_words (message_words, rank) VALUES ('merge', :pages);

-- name: pad_index
-- FTS5 keeps its pieces on levels. Only what is merged into a new last level loses the words of what
-- was taken out; and where all pieces are on one level already, or only one is left, no level is
-- added, and those words stay for ever. So before the merge, entries that stand for no message are
-- put in, and taken out after: pieces of different sizes are on different levels. Each has a lower
-- row than the one before, which makes FTS5 write what it has gathered so far as a piece.
INSERT INTO message_words (rowid, words) VALUES (:row, :words);

-- name: unpad_index
INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', :row, :words);

-- name: index_entries
-- Every word with every message that has it, from a word on; those of a word in their order.
SELECT term, doc
FROM message_words_listed
WHERE term >= :word
LIMIT :limit OFFSET :skipped;

-- name: words_of_messages
-- None: the words are in the index alone.

-- fragment: row_number
number

-- name: postings
-- CROSS JOIN keeps the order: one look into the index for each word.
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
-- Of these words (JSON), those that a message which is there has.
SELECT word.value
FROM json_each(:words) AS word
WHERE EXISTS (
    SELECT 1 FROM message_words
    CROSS JOIN messages ON messages.number = message_words.rowid & 0x3FFFFFFFF
    WHERE message_words MATCH '"' || word.value || '"'
);

-- name: speaker_names
-- For each word that is in the name of somebody who has spoken: one of those names.
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
-- CROSS JOIN keeps the order: else the messages of the whole project may come first.
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

-- name: latest_time
-- From where a writer's clock goes on: the time that was kept last, or that of the newest rows.
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
