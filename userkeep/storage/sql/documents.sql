-- Documents. The columns of every query that returns documents are those of domain.document.Document.

-- fragment: document_columns
seq, uuid, document_id, user_id, embedding_state, revision, created_at, updated_at, metadata,
content

-- fragment: of_visible_user
-- The documents of users who are being deleted are hidden from the beginning of their deletion.
/*? hidden_users: AND (user_id IS NULL OR user_id {is_not_among_hidden_users}) */

-- name: users_being_deleted
SELECT user_id FROM users WHERE project_id = :project_id AND state = 'deleting' ORDER BY number;

-- name: add_document
INSERT INTO documents (
    project_id, collection, seq, uuid, document_id, user_id, user_uuid, embedding_state, revision,
    created_at, updated_at, metadata, content, embedding
) VALUES (
    :project_id, :collection, :seq, :uuid, :document_id, :user_id, :user_uuid, :embedding_state, :revision,
    :created_at, :updated_at, :metadata, :content, :embedding
);

-- name: add_document_vector
INSERT INTO document_vectors (project_id, collection, seq, vector)
VALUES (:project_id, :collection, :seq, :vector)
ON CONFLICT (project_id, collection, seq) DO UPDATE SET vector = excluded.vector;

-- name: used_document_ids
-- Those of :ids that documents of a collection have.
SELECT document_id FROM documents
WHERE project_id = :project_id AND collection = :collection AND document_id {is_among_ids};

-- name: get_document
SELECT {document_columns} /*? embedding: , embedding */
FROM documents
WHERE project_id = :project_id AND collection = :collection
    /*? uuid: AND uuid = :uuid */
    /*? document_id: AND document_id = :document_id */
    {scope_of_user}
    {of_visible_user};

-- name: documents_among
SELECT {document_columns} /*? embedding: , embedding */
FROM documents
WHERE project_id = :project_id AND collection = :collection
    /*? numbers: AND seq {is_among_numbers} */
    /*? uuids: AND uuid {is_among_uuids} */
    /*? ids: AND document_id {is_among_ids} */
    {scope_of_user}
    {of_visible_user};

-- name: uuids_of_documents
-- By the app's ids, or by the uuids of those that have none.
SELECT uuid FROM documents
WHERE project_id = :project_id AND collection = :collection
    /*? ids: AND document_id {is_among_ids} */
    /*? uuids: AND uuid {is_among_uuids} AND document_id IS NULL */
    {scope_of_user}
    {of_visible_user};

-- name: list_documents
SELECT {document_columns} /*? embedding: , embedding */
FROM documents
WHERE project_id = :project_id AND collection = :collection
    /*? after: AND seq > :after */
    /*? before: AND seq < :before */
    /*? user_id: AND user_id = :user_id */
    {scope_of_user}
    {of_visible_user}
    /*? filter: AND {filter} */
ORDER BY seq /*? descending: DESC */
LIMIT :limit;

-- name: set_document
-- Call change_documents first in the same transaction.
UPDATE documents
SET document_id = :document_id, metadata = :metadata, content = :content,
    embedding_state = :embedding_state, revision = :revision, updated_at = :now_at
    /*? sets_embedding: , embedding = :embedding */
WHERE project_id = :project_id AND collection = :collection AND seq = :seq;

-- Searches.

-- name: seqs_of_matching_documents
-- In one value, in any order.
SELECT {joined_seqs} FROM documents
WHERE project_id = :project_id AND collection = :collection
    /*? user_id: AND user_id = :user_id */
    {scope_of_user}
    {of_visible_user}
    /*? filter: AND {filter} */;

-- name: scan_vectors
-- See domain.vectors.ranking.PackedVectors. A statement has all aggregates of a group in one order.
SELECT {joined_seqs}, {joined_vectors}, count(*), max(seq)
FROM (
    SELECT seq, vector FROM document_vectors
    WHERE project_id = :project_id AND collection = :collection AND seq > :after
        /*? numbers: AND seq {is_among_numbers} */
    ORDER BY seq
    LIMIT :limit
) AS batch
{in_groups};

-- name: embeddings_of_documents
SELECT seq, embedding FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers}
    AND embedding_state = 'embedded';

-- Deletions.

-- name: delete_documents
DELETE FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers}
RETURNING embedding_state;

-- name: delete_document_vectors
DELETE FROM document_vectors
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers};

-- name: next_documents_of_user
SELECT collection, seq, octet_length(content) FROM documents
WHERE project_id = :project_id AND user_id = :user_id
ORDER BY collection, seq
LIMIT :limit;

-- name: next_documents_of_collection
-- From the position of the deletion on, because PostgreSQL keeps deleted rows in its indexes until a
-- vacuum.
SELECT collection, seq, octet_length(content) FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq > :after
ORDER BY seq
LIMIT :limit;

-- Embeddings that the configured model makes.

-- name: waiting_documents
SELECT seq, revision, user_id, substr(content, 1, :length) FROM documents
WHERE project_id = :project_id AND collection = :collection AND embedding_state = 'waiting'
    {of_visible_user}
ORDER BY seq
LIMIT :limit;

-- name: set_document_embedding
-- Unless the document was deleted or changed since it was read.
UPDATE documents SET embedding = :embedding, embedding_state = :embedding_state
WHERE project_id = :project_id AND collection = :collection AND seq = :seq
    AND revision = :revision AND embedding_state = 'waiting';

-- name: embedding_states
SELECT embedding_state FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers};

-- name: wait_for_embedding
-- The documents have embeddings of another model.
UPDATE documents SET embedding_state = 'waiting', embedding = NULL
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers};

-- name: collections_of_user
SELECT DISTINCT collection FROM documents
WHERE project_id = :project_id AND user_id = :user_id
ORDER BY collection;

-- name: documents_to_review
SELECT seq, user_id, embedding_state FROM documents
WHERE project_id = :project_id AND collection = :collection AND seq > :after
ORDER BY seq
LIMIT :limit;

-- name: remove_document_embeddings
UPDATE documents SET embedding_state = :embedding_state, embedding = NULL
WHERE project_id = :project_id AND collection = :collection AND seq {is_among_numbers};
