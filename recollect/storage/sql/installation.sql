-- What the installation knows of itself.

-- name: get_secret_fingerprint
SELECT value FROM installation WHERE name = 'secret_fingerprint';

-- name: set_secret_fingerprint
INSERT INTO installation (name, value) VALUES ('secret_fingerprint', :value);

-- name: project_ids
SELECT project_id FROM projects ORDER BY project_id;

-- name: latest_time
-- The newest time that the newest rows know: from where a writer's clock goes on.
SELECT max(latest_at) FROM (
    SELECT 0 AS latest_at
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM users ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT updated_at FROM sessions ORDER BY number DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT started_at FROM erasures ORDER BY number DESC LIMIT 1)
) AS latest;
