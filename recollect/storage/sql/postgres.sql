-- Where PostgreSQL says it in its own way.

-- fragment: exclusively
FOR NO KEY UPDATE

-- fragment: together
FOR SHARE

-- fragment: metadata_matches
-- No condition is left unmet. :metadata_conditions is a JSON list of {path, types, value}. Strict,
-- because a lax path would look into arrays as well; numbers compare by value.
NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements(CAST(:metadata_conditions AS jsonb)) AS condition
    WHERE jsonb_path_query_first(
        metadata, CAST('strict ' || (condition ->> 'path') AS jsonpath), '{}', true
    ) IS DISTINCT FROM condition -> 'value'
)

-- name: latest_time
-- From where the clock goes on: the time that a server kept last.
SELECT coalesce(max(CAST(value AS bigint)), 0) FROM installation WHERE name = 'time';
