-- Sessions that began without a user have the time at which they were assigned to one, for the deletion
-- ledger: a backup may have them without their user.
--
-- A session that was changed before this may have been assigned then. It counts as assigned when it was
-- created.

ALTER TABLE sessions ADD COLUMN assigned_at INTEGER;

UPDATE sessions SET assigned_at = created_at WHERE user_id IS NOT NULL AND revision > 1;

CREATE INDEX sessions_assigned ON sessions (project_id, user_id)
    WHERE user_id IS NOT NULL AND assigned_at IS NOT NULL;
