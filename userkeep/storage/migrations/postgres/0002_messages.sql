-- Messages as models know them: `role` is the role for the model, `name` the speaker, and the id can
-- be any text of up to 128 characters: with a session_id of 512, an entry of the index has at most
-- 2,600 bytes. A message that was edited has the time, and each edit a number. A name that is empty is
-- none.
--
-- locks: the new type of the id rewrites `messages` and its indexes in one transaction, with an
-- exclusive lock: 11 s for 200,000 messages of 300 bytes each, on two cores. It needs as much free
-- space as the table and its indexes have. All else takes milliseconds. Servers of the version before
-- cannot read or write messages afterwards: stop them first.

ALTER TABLE messages RENAME COLUMN role TO name;
ALTER TABLE messages RENAME COLUMN role_type TO role;
ALTER TABLE messages RENAME COLUMN uuid TO id;
ALTER TABLE messages
    ALTER COLUMN id TYPE text COLLATE "C",
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    ADD COLUMN edited_at timestamptz;
ALTER TABLE messages ALTER COLUMN revision DROP DEFAULT;

-- id and name keep the statistics target of the columns that they were: 0, see 0001.
