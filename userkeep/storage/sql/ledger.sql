-- What the database knows of deletion ledgers; see domain.ledger.

-- name: get_ledger_key
-- Stored when the secret is changed for the first time.
SELECT value FROM instance WHERE name = 'ledger_key';

-- name: database_created_at
SELECT created_at FROM projects WHERE project_id = 1;

-- name: ledger_marks
SELECT name, value FROM instance WHERE substr(name, 1, 7) = 'ledger:';

-- name: set_ledger_mark
INSERT INTO instance (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: greatest_erasure_number
SELECT coalesce(max(number), 0) FROM erasures;

-- name: erasures_of_ledger
-- Of all projects, with those that are deleted.
SELECT erasures.number, erasures.subject, erasures.subject_uuid, erasures.started_at,
    projects.state, erasures.project_id, erasures.subject_id
FROM erasures
JOIN projects ON projects.project_id = erasures.project_id
WHERE erasures.number > :after
ORDER BY erasures.number
LIMIT :limit;

-- name: greatest_document_deletion
SELECT coalesce(max(number), 0) FROM document_deletions;

-- name: document_deletions_of_ledger
-- Of all projects, with those that are deleted.
SELECT document_deletions.number, document_deletions.collection_uuid,
    document_deletions.document_uuid, document_deletions.started_at, projects.state
FROM document_deletions
JOIN projects ON projects.project_id = document_deletions.project_id
WHERE document_deletions.number > :after
ORDER BY document_deletions.number
LIMIT :limit;

-- name: add_document_deletion
INSERT INTO document_deletions (
    project_id, collection, collection_uuid, document_uuid, started_at
) VALUES (:project_id, :collection, :collection_uuid, :document_uuid, :now_at);

-- name: deleted_projects
SELECT uuid, started_at FROM projects WHERE started_at IS NOT NULL;

-- name: further_projects
SELECT uuid FROM projects WHERE state = 'active' AND project_id <> 1 ORDER BY project_id;

-- name: assigned_sessions_of_user
-- Of any state: they are hidden when the user's deletion begins.
SELECT number, uuid FROM sessions
WHERE project_id = :project_id AND user_id = :user_id AND user_uuid = :user_uuid
    AND assigned_at IS NOT NULL AND number > :after
ORDER BY number
LIMIT :limit;

-- name: erasures_with_deleted_sessions
-- Of all projects.
SELECT DISTINCT erasure_number FROM deleted_sessions
WHERE erasure_number BETWEEN :first AND :last;

-- name: deleted_sessions_of_erasure
SELECT uuid FROM deleted_sessions
WHERE erasure_number = :number AND uuid > :after
ORDER BY uuid
LIMIT :limit;

-- name: users_of_ledger
SELECT number, user_id, uuid FROM users
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT :limit;

-- name: sessions_of_ledger
SELECT number, session_id, uuid, user_id
FROM sessions
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT :limit;

-- name: message_ids_of_session
SELECT seq, id FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > :after AND seq > 0
ORDER BY seq
LIMIT :limit;

-- name: collections_of_ledger
SELECT number, name, uuid FROM collections
WHERE project_id = :project_id AND number > :after
ORDER BY number
LIMIT :limit;

-- name: document_uuids_of_collection
SELECT seq, uuid FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq > :after
ORDER BY seq
LIMIT :limit;
