-- How much users have, in projects with a quota of bytes: made when it is needed, and again if
-- message_count is not the number of the user's messages any more.
--
-- locks: none on a table that is there: milliseconds.
CREATE TABLE user_usage (
    project_id smallint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    message_count bigint NOT NULL,
    byte_count bigint NOT NULL,
    quota_set_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, user_id)
);

ALTER TABLE user_usage ALTER COLUMN user_id SET STATISTICS 0;
