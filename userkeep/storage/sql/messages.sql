-- Messages. The columns of every query that returns messages are those of domain.message.Message.
-- Reads check the session's state in the same statement, so that a deletion hides all messages at
-- once. Queries by key check `state <> …`: with `state = …` PostgreSQL may choose the index of
-- lists for a table without statistics, and read every session of the project. A negative seq is that
-- of a message that is being deleted, which only its deletion and the index see; see hide_messages.

-- fragment: message_columns
seq, id, role, name, token_count, created_at, edited_at, revision, metadata, content, data

-- name: add_message
INSERT INTO messages (
    project_id, session_id, seq, id, role, name, token_count, created_at, metadata,
    content, data, revision, word_count {words_column}
) VALUES (
    :project_id, :session_id, :seq, :id, :role, :name, :token_count, :created_at, :metadata,
    :content, :data, 1, :word_count {words_value}
)
ON CONFLICT (project_id, session_id, id) DO NOTHING;

-- name: add_imported_message
INSERT INTO messages (
    project_id, session_id, seq, id, role, name, token_count, created_at, metadata,
    content, data, revision, edited_at, word_count {words_column}
) VALUES (
    :project_id, :session_id, :seq, :id, :role, :name, :token_count, :created_at, :metadata,
    :content, :data, :revision, :edited_at, :word_count {words_value}
)
ON CONFLICT (project_id, session_id, id) DO NOTHING;

-- name: messages_with_ids
-- With those that are being deleted, whose seq is negative. Call lock_session first.
SELECT {message_columns}
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND id {is_among_ids};

-- name: used_seqs
-- Those of :numbers that messages of a session have.
SELECT seq FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq {is_among_numbers};

-- name: greatest_seq
SELECT max(seq) FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > 0;

-- name: get_message
SELECT {message_columns}
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > 0 AND id = :id
    AND EXISTS (
        SELECT 1 FROM sessions
        WHERE project_id = :project_id AND session_id = :session_id AND state <> 'deleting'
            {scope_of_user}
    );

-- name: set_message
-- The long texts only where they change: else they would be written once more.
UPDATE messages
SET role = :role, name = :name, token_count = :token_count, metadata = :metadata,
    revision = :revision, edited_at = :edited_at
    /*? sets_content: , content = :content */
    /*? sets_data: , data = :data */
WHERE project_id = :project_id AND session_id = :session_id AND id = :id
RETURNING {message_columns};

-- name: list_messages
SELECT {message_columns}
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > 0
    /*? after: AND seq > :after */
    /*? before: AND seq < :before */
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? role: AND role = :role */
    /*? filter: AND {filter} */
    AND EXISTS (
        SELECT 1 FROM sessions
        WHERE project_id = :project_id AND session_id = :session_id AND state <> 'deleting'
            {scope_of_user}
    )
ORDER BY seq /*? descending: DESC */
/*? limit: LIMIT :limit */ /*? offset: OFFSET :offset */;

-- name: delete_message
DELETE FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND id = :id;

-- name: measure_messages_after
-- How many they are, and how long for ranking.
SELECT count(*), CAST(coalesce(sum(
    CASE WHEN word_count < :shortest THEN :shortest ELSE word_count END
), 0) AS bigint)
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > :after_seq;

-- name: hide_messages
-- Negative numbers hide any number of messages in one statement; deleting them takes many. Numbers
-- are not reused, so no two messages of a session get the same. SQLite changes 250,000 short ones a
-- second. Of a long one it writes only the page with the number, but reads all, to compare it with the
-- new row: 2 GB a second.
UPDATE messages SET seq = -seq
WHERE project_id = :project_id AND session_id = :session_id AND seq > :after_seq;

-- name: reduce_message_count
UPDATE sessions
SET message_count = message_count - :count, total_length = total_length - :length, updated_at = :now_at
WHERE project_id = :project_id AND session_id = :session_id;

-- name: message_sizes
-- From the position of the deletion on: PostgreSQL keeps deleted rows in its indexes until a
-- vacuum, and would read all of them again each time. Lengths alone read no long values.
SELECT seq, octet_length(content), coalesce(octet_length(data), 0) FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
    AND seq < :before_seq
ORDER BY seq
LIMIT :limit;

-- name: delete_messages
DELETE FROM messages
WHERE project_id = :project_id AND session_id = :session_id
    AND seq >= :from_seq AND seq < :before_seq;
