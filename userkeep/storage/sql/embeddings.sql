-- Embeddings of messages, and the models that make them. See services.embeddings.

-- fragment: model_columns
model_id, name, fingerprint, dimensions, source, state, created_at, lease_expires_at

-- fragment: vector_columns
session_id, seq, scale, vector

-- name: embedding_models
SELECT {model_columns} FROM embedding_models ORDER BY model_id;

-- name: embeddings_of_session
SELECT {vector_columns}
FROM embeddings
WHERE project_id = :project_id AND session_id = :session_id AND model_id = :model_id
    AND EXISTS (
        SELECT 1 FROM sessions
        WHERE project_id = :project_id AND session_id = :session_id AND state <> 'deleting'
            {scope_of_user}
    )
ORDER BY seq;

-- name: embeddings_of_user
SELECT {vector_columns}
FROM embeddings
WHERE project_id = :project_id AND model_id = :model_id AND session_id IN (
    SELECT session_id FROM sessions
    WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
        {scope_of_user}
)
ORDER BY session_id, seq;

-- name: embeddings_of_project
SELECT {vector_columns}
FROM embeddings
WHERE project_id = :project_id AND model_id = :model_id AND session_id NOT IN (
    SELECT session_id FROM sessions WHERE project_id = :project_id AND state = 'deleting'
)
ORDER BY session_id, seq;

-- name: must_not_embed_project
SELECT do_not_embed FROM projects WHERE project_id = :project_id;

-- name: must_not_embed_user
SELECT do_not_embed FROM users WHERE project_id = :project_id AND user_id = :user_id;

-- name: embedding_flags_of_session
SELECT do_not_embed, user_id FROM sessions
WHERE project_id = :project_id AND session_id = :session_id;

-- name: delete_embeddings
DELETE FROM embeddings
WHERE project_id = :project_id AND session_id = :session_id
    AND seq >= :from_seq AND seq < :before_seq;

-- name: embed_again
UPDATE sessions SET embedded_seq = :before_seq
WHERE project_id = :project_id AND session_id = :session_id AND embedded_seq > :before_seq;

-- name: stop_embedding_sessions_of_user
-- Call lock_user first in the same transaction, as for mark_sessions_of_user_deleting.
UPDATE sessions SET embedded_seq = -2
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
    AND embedded_seq IS NOT NULL;

-- name: embed_sessions_of_user
UPDATE sessions SET embedded_seq = -1
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active' AND do_not_embed = 0;
