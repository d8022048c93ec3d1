-- Several servers may share a database: which of them is at work on an erasure, and until when it
-- has claimed it; and from what is being erased the way leads to its erasure, without a search.

ALTER TABLE erasures ADD COLUMN claimed_until_at INTEGER;
ALTER TABLE users ADD COLUMN erasure_uuid TEXT;
ALTER TABLE sessions ADD COLUMN erasure_uuid TEXT;

UPDATE users SET erasure_uuid = (
    SELECT erasures.uuid FROM erasures
    WHERE erasures.project_id = users.project_id
        AND erasures.subject = 'user' AND erasures.subject_id = users.user_id
)
WHERE state = 'erasing';

UPDATE sessions SET erasure_uuid = (
    SELECT erasures.uuid FROM erasures
    WHERE erasures.project_id = sessions.project_id
        AND erasures.subject = 'session' AND erasures.subject_id = sessions.session_id
)
WHERE state = 'erasing';

DROP INDEX erasures_running;
CREATE INDEX erasures_running ON erasures (project_id) WHERE subject_id IS NOT NULL;
