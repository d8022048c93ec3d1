-- What the installation knows of itself.

-- name: get_secret_fingerprint
SELECT value FROM installation WHERE name = 'secret_fingerprint';

-- name: set_secret_fingerprint
INSERT INTO installation (name, value) VALUES ('secret_fingerprint', :value);

-- name: project_ids
SELECT project_id FROM projects ORDER BY project_id;

-- name: keep_time
INSERT INTO installation (name, value) VALUES ('time', :now_at)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

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
