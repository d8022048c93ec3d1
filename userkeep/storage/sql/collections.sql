-- Collections. The columns of every query that returns collections are those of
-- domain.collection.Collection.

-- fragment: collection_columns
number, name, uuid, description, metadata, dimensions, embedded_by, model, revision,
document_count, embedded_count, waiting_count, last_seq, created_at, updated_at, reviewed_seq

-- name: add_collection
-- Returns no row if the name is taken.
INSERT INTO collections (
    project_id, name, uuid, description, metadata, dimensions, embedded_by, model, revision,
    document_count, embedded_count, waiting_count, last_seq, created_at, updated_at
) VALUES (
    :project_id, :name, :uuid, :description, :metadata, :dimensions, :embedded_by, :model, :revision,
    0, 0, 0, 0, :created_at, :updated_at
)
ON CONFLICT (project_id, name) DO NOTHING
RETURNING {collection_columns};

-- name: get_collection
SELECT {collection_columns} FROM collections WHERE project_id = :project_id AND name = :name;

-- name: name_of_collection
SELECT name FROM collections WHERE project_id = :project_id AND uuid = :uuid LIMIT 1;

-- name: list_collections
SELECT {collection_columns}
FROM collections
WHERE project_id = :project_id
    /*? after: AND number > :after */
    /*? before: AND number < :before */
ORDER BY number /*? descending: DESC */
LIMIT :limit;

-- name: large_collections
-- Of all projects: collections are few.
SELECT project_id, number, dimensions, embedded_count FROM collections
WHERE embedded_count >= :least
ORDER BY project_id, number;

-- name: set_collection
-- Call change_documents first in the same transaction: it locks the row.
UPDATE collections
SET description = :description, metadata = :metadata, revision = :revision, updated_at = :now_at
WHERE project_id = :project_id AND name = :name
RETURNING {collection_columns};

-- name: change_documents
-- The fence of every change of documents, and its first statement on the collection: it locks the row,
-- so that there are no gaps in seq, and returns nothing if the collection was deleted. :count documents
-- are added.
UPDATE collections
SET last_seq = last_seq + :count, document_count = document_count + :count,
    embedded_count = embedded_count + CASE WHEN embedded_by = 'caller' THEN :count ELSE 0 END,
    waiting_count = waiting_count + CASE WHEN embedded_by = 'model' THEN :count ELSE 0 END
WHERE project_id = :project_id AND name = :name
RETURNING {collection_columns};

-- name: count_documents
-- Changes the counts, by negative numbers too.
UPDATE collections
SET document_count = document_count + :documents, embedded_count = embedded_count + :embedded,
    waiting_count = waiting_count + :waiting
WHERE project_id = :project_id AND number = :collection;

-- name: delete_collection
DELETE FROM collections WHERE project_id = :project_id AND number = :collection;

-- name: first_collection
SELECT name FROM collections WHERE project_id = :project_id ORDER BY number LIMIT 1;

-- Deletions of collections.

-- name: add_collection_deletion
INSERT INTO collection_deletions (project_id, collection, uuid, started_at)
VALUES (:project_id, :collection, :uuid, :now_at);

-- name: collection_deletions
SELECT collection, uuid, started_at FROM collection_deletions WHERE project_id = :project_id
ORDER BY collection
LIMIT :limit;

-- name: end_collection_deletion
DELETE FROM collection_deletions WHERE project_id = :project_id AND collection = :collection;

-- Embeddings that the configured model makes.

-- name: waiting_collections
-- Those with documents to embed or to review, on which no process works now. A lease until after :latest_at is one of a clock that
-- was wrong.
SELECT {collection_columns}
FROM collections
WHERE project_id = :project_id AND (waiting_count > 0 OR reviewed_seq IS NOT NULL)
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
    )
ORDER BY number;

-- name: acquire_collection_lease
UPDATE collections SET lease_expires_at = :expires_at
WHERE project_id = :project_id AND name = :name AND number = :collection
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
        /*? held_until_at: OR lease_expires_at = :held_until_at */
    )
RETURNING lease_expires_at;

-- name: release_collection_lease
UPDATE collections SET lease_expires_at = NULL
WHERE project_id = :project_id AND number = :collection AND lease_expires_at = :held_until_at;

-- name: release_collection_leases
UPDATE collections SET lease_expires_at = NULL
WHERE project_id = :project_id AND lease_expires_at IS NOT NULL;

-- name: set_collection_model
UPDATE collections SET model = :model
WHERE project_id = :project_id AND number = :collection;

-- name: collections_of_other_models
SELECT {collection_columns}
FROM collections
WHERE project_id = :project_id AND number > :after AND embedded_by = 'model' AND model <> :model
ORDER BY number
LIMIT 1;

-- name: collection_of_a_model
SELECT number FROM collections
WHERE project_id = :project_id AND embedded_by = 'model'
ORDER BY number
LIMIT 1;

-- name: review_collection
-- Its documents are looked at again, because it may have changed whose are to be embedded.
UPDATE collections SET reviewed_seq = 0
WHERE project_id = :project_id AND number = :collection AND embedded_by = 'model';

-- name: embedded_collections
SELECT number FROM collections
WHERE project_id = :project_id AND embedded_by = 'model' AND embedded_count > 0
    AND reviewed_seq IS NULL
ORDER BY number;

-- name: set_reviewed_seq
UPDATE collections SET reviewed_seq = CAST(:reviewed_seq AS bigint)
WHERE project_id = :project_id AND number = :collection;
