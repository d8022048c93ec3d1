-- Several servers may share a database: which of them is at work on an erasure, and until when it
-- has claimed it; and from what is being erased the way leads to its erasure, without a search.
--
-- locks: a column without a default is added without touching a row: each lock lasts milliseconds.

ALTER TABLE erasures ADD COLUMN claimed_until_at timestamptz;
ALTER TABLE users ADD COLUMN erasure_uuid uuid;
ALTER TABLE sessions ADD COLUMN erasure_uuid uuid;
