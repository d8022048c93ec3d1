-- An import keeps the uuids of its file. In all projects, none of them may be that of another user or
-- session, or of a deleted one: a deletion ledger knows what was deleted by its uuid alone.
CREATE INDEX users_by_uuid ON users (uuid);
CREATE INDEX sessions_by_uuid ON sessions (uuid);
CREATE INDEX erasures_by_subject ON erasures (subject_uuid);

-- Lists of sessions without a user.
CREATE INDEX sessions_without_user ON sessions (project_id, state) WHERE user_id IS NULL;
