-- Sessions have a title, and the time of their last message.
--
-- title_words has the words of the title, folded, each after a space. active_at is the latest
-- created_at of the session's messages, or its own without messages; here, that of the last message.
-- A time after the last append was in the future then, and counts as the time of the append.

ALTER TABLE sessions ADD COLUMN title TEXT;
ALTER TABLE sessions ADD COLUMN title_words TEXT;
ALTER TABLE sessions ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;

UPDATE sessions SET active_at = coalesce(
    (
        SELECT min(created_at, sessions.updated_at) FROM messages
        WHERE messages.project_id = sessions.project_id
            AND messages.session_id = sessions.session_id
        ORDER BY seq DESC
        LIMIT 1
    ),
    created_at
);

CREATE INDEX sessions_active ON sessions (project_id, state, active_at);
CREATE INDEX sessions_of_user_active ON sessions (project_id, user_id, state, active_at)
    WHERE user_id IS NOT NULL;

-- The words of users' ids, addresses and names, folded: a user is found by their beginnings. The
-- table is empty until users are searched by words for the first time. beginning has the first two
-- characters, for words that begin as those of many users do: such users are then found in the order
-- of their numbers.
CREATE TABLE user_words (
    project_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    user_number INTEGER NOT NULL,
    beginning TEXT NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (project_id, user_number, word, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_words_by_word ON user_words (project_id, word, user_number);
CREATE INDEX user_words_by_beginning ON user_words (project_id, beginning, user_number, word);
