-- Sessions have a title, and the time of their last message.
-- locks: ACCESS EXCLUSIVE on sessions while the times of all sessions are filled in and the indexes
-- are built: about ten seconds for a million sessions of ten messages. Nothing can be read or written.
--
-- title_words has the words of the title, folded, each after a space. active_at is the latest
-- created_at of the session's messages, or its own without messages; here, that of the last message.
-- A time after the last append was in the future then, and counts as the time of the append.
-- Every append changes active_at, so it adds to all indexes of the table.

ALTER TABLE sessions
    ADD COLUMN title text,
    ADD COLUMN title_words text COLLATE "C",
    ADD COLUMN active_at timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE sessions ALTER COLUMN active_at DROP DEFAULT;

-- No samples of personal columns, see 0001. A cluster rejects this where the table is distributed
-- already.
DO $$
BEGIN
    ALTER TABLE sessions
        ALTER COLUMN title SET STATISTICS 0,
        ALTER COLUMN title_words SET STATISTICS 0;
EXCEPTION WHEN feature_not_supported THEN
    RAISE WARNING 'ANALYZE may keep samples of titles: statistics of a distributed table stay on';
END
$$;

CREATE INDEX sessions_active ON sessions (project_id, state, active_at, number);
CREATE INDEX sessions_of_user_active ON sessions (project_id, user_id, state, active_at, number)
    WHERE user_id IS NOT NULL;

-- The words of users' ids, addresses and names, folded: a user is found by their beginnings. The
-- table is empty until users are searched by words for the first time. beginning has the first two
-- characters, for words that begin as those of many users do: such users are then found in the order
-- of their numbers. A word has at most 64 characters, so that an entry of an index can have a user_id
-- beside it.
CREATE TABLE user_words (
    project_id smallint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    user_number bigint NOT NULL,
    beginning text COLLATE "C" NOT NULL,
    word text COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, user_number, word, user_id)
);

CREATE INDEX user_words_by_word ON user_words (project_id, word, user_number);
CREATE INDEX user_words_by_beginning ON user_words (project_id, beginning, user_number, word);

ALTER TABLE user_words
    ALTER COLUMN user_id SET STATISTICS 0,
    ALTER COLUMN beginning SET STATISTICS 0,
    ALTER COLUMN word SET STATISTICS 0;

-- Last, because a cluster rejects changes of tables after changes of rows in the same transaction.
WITH newest AS MATERIALIZED (
    SELECT DISTINCT ON (project_id, session_id) project_id, session_id, created_at
    FROM messages
    ORDER BY project_id, session_id, seq DESC
)
UPDATE sessions SET active_at = least(newest.created_at, sessions.updated_at)
FROM newest
WHERE newest.project_id = sessions.project_id AND newest.session_id = sessions.session_id;

UPDATE sessions SET active_at = created_at WHERE active_at = '-infinity';
