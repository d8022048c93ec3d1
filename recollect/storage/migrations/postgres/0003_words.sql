-- The index of words, and what ranking needs to know: how many words a message has, and how much
-- there is in a session.
--
-- words holds the words of a message, made by the program (domain.words), without their places, and
-- beside them whose it is: #7 for the user with the number 7, #-7 for the session with the number 7
-- that belongs to nobody. A word before which stands an @ is in the name of who speaks.
--
-- user_number leads from a message's session to the user's mark. total_length is the sum of the
-- lengths of the session's messages, as ranking takes them.
--
-- locks: columns that are empty, or have a constant default, are added without touching a row. The
-- index is made over a column that is empty still, which takes one reading of the table; the words
-- are filled in afterwards, in batches.

ALTER TABLE messages ADD COLUMN word_count integer NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN words tsvector;
ALTER TABLE sessions ADD COLUMN user_number bigint;
ALTER TABLE sessions ADD COLUMN total_length bigint NOT NULL DEFAULT 0;

UPDATE sessions SET user_number = (
    SELECT users.number FROM users
    WHERE users.project_id = sessions.project_id AND users.user_id = sessions.user_id
)
WHERE user_id IS NOT NULL;

-- Who adds a row says all there is to say.
ALTER TABLE messages ALTER COLUMN word_count DROP DEFAULT;
ALTER TABLE sessions ALTER COLUMN total_length DROP DEFAULT;

-- What was added lately waits in a list that every search reads from end to end: so it is short.
CREATE INDEX messages_words ON messages USING gin (words) WITH (gin_pending_list_limit = 256);
