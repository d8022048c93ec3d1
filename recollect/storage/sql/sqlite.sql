-- Where SQLite says it in its own way. The single writer makes row locks needless.

-- name: lock_user
SELECT number, user_id, uuid, email, first_name, last_name, metadata, state, revision,
    created_at, updated_at
FROM users
WHERE project_id = :project_id AND user_id = :user_id;

-- name: lock_session
SELECT number, session_id, uuid, user_id, metadata, state, revision, message_count, last_seq,
    ended_at, created_at, updated_at
FROM sessions
WHERE project_id = :project_id AND session_id = :session_id;

-- fragment: metadata_matches
-- No condition is left unmet. :metadata_conditions is a JSON list of {path, types, value}; a number
-- matches integers and reals alike.
NOT EXISTS (
    SELECT 1 FROM json_each(:metadata_conditions) AS condition
    WHERE NOT (
        metadata IS NOT NULL
        AND EXISTS (
            SELECT 1 FROM json_each(condition.value, '$.types') AS wanted
            WHERE wanted.value = json_type(metadata, condition.value ->> '$.path')
        )
        AND json_extract(metadata, condition.value ->> '$.path')
            IS json_extract(condition.value, '$.value')
    )
)
