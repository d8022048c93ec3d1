-- The index of words, and what ranking needs to know: how many words a message has, and how much
-- there is in a session.
--
-- messages is made anew, because word_count must stand before the long columns: behind them it could
-- not be read without walking their overflow pages.

CREATE TABLE messages_with_count (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    word_count INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    role TEXT NOT NULL,
    role_type TEXT NOT NULL,
    token_count INTEGER,
    created_at INTEGER NOT NULL,
    metadata TEXT,
    content TEXT NOT NULL,
    data TEXT,
    UNIQUE (project_id, session_id, seq),
    UNIQUE (project_id, session_id, uuid),
    FOREIGN KEY (project_id, session_id) REFERENCES sessions (project_id, session_id)
) STRICT;

INSERT INTO messages_with_count (
    number, project_id, session_id, seq, word_count, uuid, role, role_type, token_count,
    created_at, metadata, content, data
)
SELECT
    number, project_id, session_id, seq, 0, uuid, role, role_type, token_count,
    created_at, metadata, content, data
FROM messages ORDER BY number;

-- No number is used twice, not even that of a message which is gone.
DELETE FROM sqlite_sequence WHERE name = 'messages_with_count';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'messages_with_count', seq FROM sqlite_sequence WHERE name = 'messages';

DROP TABLE messages;
ALTER TABLE messages_with_count RENAME TO messages;

-- user_number leads from a message's session to where the user's messages are in the index.
-- total_length is the sum of the lengths of the session's messages, as ranking takes them.
ALTER TABLE sessions ADD COLUMN user_number INTEGER;
ALTER TABLE sessions ADD COLUMN total_length INTEGER NOT NULL DEFAULT 0;

UPDATE sessions SET user_number = (
    SELECT users.number FROM users
    WHERE users.project_id = sessions.project_id AND users.user_id = sessions.user_id
)
WHERE user_id IS NOT NULL;

-- A row's rowid is (number of the user) * 2^34 + (number of the message), so that the messages of a
-- user lie side by side in every list of the index; the sessions of nobody have the negative number
-- of the session in the user's place. The words are made by the program (domain.words) from what the
-- message says, and made again to take them out; a word before which stands an @ is in the name of
-- who speaks. Which words are in a message is kept, and not where (detail=none).
CREATE VIRTUAL TABLE message_words USING fts5 (
    words, content = 'messages', content_rowid = 'number', detail = none, columnsize = 0,
    tokenize = "ascii tokenchars '@'"
);

-- Each word with each message that has it, to compare the index with the messages.
CREATE VIRTUAL TABLE message_words_listed USING fts5vocab (message_words, instance);
