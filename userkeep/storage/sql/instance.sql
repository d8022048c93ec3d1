-- What the instance knows of itself.

-- name: get_secret_fingerprint
SELECT value FROM instance WHERE name = 'secret_fingerprint';

-- name: set_secret_fingerprint
INSERT INTO instance (name, value) VALUES ('secret_fingerprint', :value);

-- name: get_port_source
-- The mark of an unfinished port; see storage.porting.
SELECT value FROM instance WHERE name = 'port_source';

-- name: project_ids
SELECT project_id FROM projects ORDER BY project_id;

-- name: keep_time
-- The latest counts: another server's clock may be ahead of ours.
INSERT INTO instance (name, value) VALUES ('time', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE CAST(instance.value AS bigint) < CAST(excluded.value AS bigint);
