-- How much users have, in projects with a quota of bytes: made when it is needed, and again if
-- message_count is not the number of the user's messages any more.
CREATE TABLE user_usage (
    project_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    message_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    quota_set_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;
