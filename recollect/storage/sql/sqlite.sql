-- Where SQLite says it in its own way. The single writer makes row locks needless.

-- fragment: exclusively

-- fragment: together

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

-- name: latest_time
-- From where a writer's clock goes on: the time that was kept last, or that of the newest rows.
SELECT max(latest_at) FROM (
    SELECT 0 AS latest_at
    UNION ALL
    SELECT CAST(value AS INTEGER) FROM installation WHERE name = 'time'
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM users ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM sessions ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT started_at FROM erasures ORDER BY number DESC LIMIT 1)
) AS latest;
