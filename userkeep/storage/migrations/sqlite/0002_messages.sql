-- Messages as models know them: `role` is the role for the model, `name` the speaker, and the id can
-- be any text. A message that was edited has the time, and each edit a number.
--
-- No row is rewritten: this takes milliseconds whatever the size of the database. A name that is empty
-- is none. The new columns are behind the long ones; every query that reads them reads those too.

ALTER TABLE messages RENAME COLUMN role TO name;
ALTER TABLE messages RENAME COLUMN role_type TO role;
ALTER TABLE messages RENAME COLUMN uuid TO id;
ALTER TABLE messages ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE messages ADD COLUMN edited_at INTEGER;
