-- Sessions that began without a user have the time at which they were assigned to one, for the deletion
-- ledger: a backup may have them without their user.
-- locks: ACCESS EXCLUSIVE on sessions while the index is built and changed sessions are written: some
-- seconds for a million sessions.
--
-- A session that was changed before this may have been assigned then. It counts as assigned when it was
-- created.

ALTER TABLE sessions ADD COLUMN assigned_at timestamptz;

CREATE INDEX sessions_assigned ON sessions (project_id, user_id, number)
    WHERE user_id IS NOT NULL AND assigned_at IS NOT NULL;

-- Last, because a cluster rejects changes of tables after changes of rows in the same transaction.
UPDATE sessions SET assigned_at = created_at WHERE user_id IS NOT NULL AND revision > 1;
