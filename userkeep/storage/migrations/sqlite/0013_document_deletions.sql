-- What the deletion ledger has of documents: one row for each document that was deleted by itself, and
-- for each collection, whose document_uuid is NULL. By these rows a database knows which lines of the
-- ledger it has performed, and a lost ledger is made again. Documents that were deleted with their user,
-- their collection or their project have none.
CREATE TABLE document_deletions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    collection_uuid TEXT NOT NULL,
    document_uuid TEXT,
    started_at INTEGER NOT NULL,
    UNIQUE (project_id, collection, number)
) STRICT;

-- Those that are not finished are recorded when they are.
INSERT INTO document_deletions (project_id, collection, collection_uuid, started_at)
SELECT project_id, collection, uuid, started_at FROM collection_deletions
ORDER BY project_id, collection;
