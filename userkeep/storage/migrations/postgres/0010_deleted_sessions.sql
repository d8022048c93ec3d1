-- The uuids of sessions that began without a user and were deleted with the user they were assigned to.
-- Such a session has no erasure of its own. An import does not restore it, and a deletion ledger that is
-- made again has it. erasure_number is that of the user's erasure.
--
-- locks: none on a table that is there: milliseconds.
CREATE TABLE deleted_sessions (
    project_id smallint NOT NULL,
    uuid uuid NOT NULL,
    erasure_number bigint NOT NULL,
    PRIMARY KEY (project_id, uuid)
);

CREATE INDEX deleted_sessions_by_uuid ON deleted_sessions (uuid);
CREATE INDEX deleted_sessions_of_erasure ON deleted_sessions (erasure_number, uuid);
