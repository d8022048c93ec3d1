-- Embeddings of messages, and the models that make them. See services.embeddings.

-- fragment: model_columns
model_id, name, fingerprint, dimensions, source, state, created_at, lease_expires_at

-- fragment: looked_at_again
WHEN embedded_seq >= 0 THEN embedded_seq - 1
WHEN embedded_seq = -1 THEN -3
WHEN embedded_seq < -2 THEN embedded_seq - 1
ELSE embedded_seq

-- name: embedding_models
SELECT {model_columns} FROM embedding_models ORDER BY model_id;

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
-- The messages after :before_seq are looked at. embedded_seq always changes, so that the fence stops a
-- job that has just read the session, and has seen that the message had a vector.
UPDATE sessions SET embedded_seq = CASE
        WHEN embedded_seq > :before_seq THEN :before_seq
        {looked_at_again}
    END
WHERE project_id = :project_id AND session_id = :session_id AND embedded_seq IS NOT NULL;

-- name: stop_embedding_sessions_of_user
-- Call lock_user first in the same transaction, as for mark_sessions_of_user_deleting.
UPDATE sessions SET embedded_seq = -2
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active'
    AND embedded_seq IS NOT NULL;

-- name: embed_sessions_of_user
UPDATE sessions SET embedded_seq = -1
WHERE project_id = :project_id AND user_id = :user_id AND state = 'active' AND do_not_embed = 0;

-- Models.

-- name: add_embedding_model
INSERT INTO embedding_models (model_id, name, fingerprint, dimensions, source, state, created_at)
VALUES (:model_id, :name, :fingerprint, :dimensions, :source, :state, :now_at)
RETURNING {model_columns};

-- name: retire_embedding_models
UPDATE embedding_models SET state = 'former' WHERE state = :state;

-- name: promote_embedding_model
UPDATE embedding_models SET state = 'current' WHERE model_id = :model_id AND state = 'building';

-- name: forget_former_models
-- Their vectors are deleted.
DELETE FROM embedding_models WHERE state = 'former';

-- name: set_dimensions
UPDATE embedding_models SET dimensions = :dimensions
WHERE model_id = :model_id AND dimensions IS NULL;

-- name: acquire_embedding_lease
-- As acquire_lease.
UPDATE embedding_models SET lease_expires_at = :expires_at
WHERE model_id = :model_id AND state <> 'former'
    AND (
        lease_expires_at IS NULL OR lease_expires_at < :now_at OR lease_expires_at > :latest_at
        /*? held_until_at: OR lease_expires_at = :held_until_at */
    );

-- name: release_embedding_lease
UPDATE embedding_models SET lease_expires_at = NULL
/*? held_until_at: WHERE lease_expires_at = :held_until_at */;

-- The work list.

-- name: projects_to_embed
SELECT project_id, do_not_embed, embedding_sweep FROM projects
WHERE state = 'active'
ORDER BY project_id;

-- name: sweep_projects
UPDATE projects SET embedding_sweep = 0
WHERE state = 'active' /*? if_swept: AND embedding_sweep IS NULL */;

-- name: advance_sweep
-- The fence of a batch: a change of the project lets the sweep begin again.
UPDATE projects SET embedding_sweep = :after
WHERE project_id = :project_id AND embedding_sweep = :before;

-- name: end_sweep
UPDATE projects SET embedding_sweep = NULL
WHERE project_id = :project_id AND embedding_sweep = :before;

-- name: sessions_to_sweep
SELECT number, session_id, embedded_seq, do_not_embed FROM sessions
WHERE project_id = :project_id AND state = 'active' AND number > :after
ORDER BY number
LIMIT :limit;

-- name: set_embedded_seq
-- Unless another transaction has changed it.
UPDATE sessions SET embedded_seq = :embedded_seq
WHERE project_id = :project_id AND session_id = :session_id AND state <> 'deleting'
    AND embedded_seq IS NOT DISTINCT FROM CAST(:known_seq AS bigint)
    {scope_of_user};

-- name: sessions_to_embed
-- The newest first: their messages are most likely those that were just added.
SELECT number, session_id, uuid, user_id, do_not_embed, embedded_seq, last_seq FROM sessions
WHERE project_id = :project_id AND last_seq > embedded_seq AND state <> 'deleting'
    /*? only_to_delete: AND embedded_seq = -2 */
ORDER BY number DESC
LIMIT :limit;

-- name: users_not_to_embed
SELECT user_id FROM users
WHERE project_id = :project_id AND user_id {is_among_ids} AND do_not_embed = 1;

-- name: messages_to_embed
SELECT seq, substr(content, 1, :length),
    CASE WHEN EXISTS (
        SELECT 1 FROM embeddings
        WHERE project_id = :project_id AND session_id = :session_id AND seq = messages.seq
            AND model_id = :model_id
    ) THEN 1 ELSE 0 END
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > :after AND seq <= :last_seq
ORDER BY seq
LIMIT :limit;

-- name: advance_embedding
-- The fence of what is embedded: an answer that comes too late changes no row.
UPDATE sessions SET embedded_seq = :to_seq
WHERE project_id = :project_id AND session_id = :session_id AND uuid = :uuid
    AND state <> 'deleting' AND embedded_seq = :from_seq
    {scope_of_user};

-- name: stop_embedding
UPDATE sessions SET embedded_seq = NULL
WHERE project_id = :project_id AND session_id = :session_id AND embedded_seq = -2;

-- name: texts_of_messages
SELECT seq, substr(content, 1, :length) FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq {is_among_numbers};

-- name: add_embedding
INSERT INTO embeddings (project_id, session_id, seq, model_id, scale, vector)
VALUES (:project_id, :session_id, :seq, :model_id, :scale, :vector)
ON CONFLICT (project_id, session_id, seq, model_id) DO NOTHING;

-- name: next_embedded_seqs
SELECT DISTINCT seq FROM embeddings
WHERE project_id = :project_id AND session_id = :session_id
    /*? model_id: AND model_id = :model_id */
ORDER BY seq
LIMIT :limit;

-- name: delete_embeddings_of_model
DELETE FROM embeddings
WHERE project_id = :project_id AND session_id = :session_id AND seq <= :last_seq
    AND model_id = :model_id;

-- name: embedding_lag
-- Of all projects, of :limit sessions at most. Sessions that are looked at again have no age. In the
-- order of the index, because PostgreSQL expects a third of all sessions to be in it.
SELECT CAST(coalesce(sum(
        last_seq - CASE WHEN embedded_seq > 0 THEN embedded_seq ELSE 0 END
    ), 0) AS bigint), min(CASE WHEN embedded_seq >= 0 THEN updated_at END)
FROM (
    SELECT last_seq, embedded_seq, updated_at FROM sessions
    WHERE last_seq > embedded_seq AND state <> 'deleting'
    ORDER BY project_id, number
    LIMIT :limit
) AS listed;

-- name: add_tokens
-- To the sum of a day, of all processes.
INSERT INTO instance (name, value) VALUES (:name, :tokens)
ON CONFLICT (name) DO UPDATE
SET value = CAST(CAST(instance.value AS bigint) + CAST(excluded.value AS bigint) AS text)
RETURNING CAST(value AS bigint);

-- name: delete_former_tokens
DELETE FROM instance WHERE name >= :first AND name < :name;
