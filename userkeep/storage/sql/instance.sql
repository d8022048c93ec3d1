-- Values of the instance.

-- name: get_secret_fingerprint
SELECT value FROM instance WHERE name = 'secret_fingerprint';

-- name: set_secret_fingerprint
INSERT INTO instance (name, value) VALUES ('secret_fingerprint', :value);

-- name: get_port_source
-- Present while the database is an incomplete copy; see storage.porting.
SELECT value FROM instance WHERE name = 'port_source';

-- name: project_ids
SELECT project_id FROM projects ORDER BY project_id;

-- name: save_clock
-- Never set back: another server's clock may be ahead.
INSERT INTO instance (name, value) VALUES ('time', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE CAST(instance.value AS bigint) < CAST(excluded.value AS bigint);
