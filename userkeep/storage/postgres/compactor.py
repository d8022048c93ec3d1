"""Rewriting the tables of a PostgreSQL database, so that deleted data is no longer in its files.

VACUUM alone leaves deleted data in the gaps of pages, and every deleted word in a GIN index. What a
purge does instead is explained at each step below. What the role of the instance may not do, or
what a replica or an archive still keeps, is returned as a skipped step.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from threading import Event
from time import monotonic
from typing import Any, LiteralString, Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.errors import (
    Diagnostic,
    FeatureNotSupported,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
)

from userkeep.domain.errors import Unavailable
from userkeep.domain.purge import SkippedStep
from userkeep.storage.errors import PURGE_RUNNING, PURGE_STOPPED
from userkeep.storage.postgres.hnsw import (
    INDEXED_TABLE,
    cancel_builds,
    has_samples,
    index_states,
)
from userkeep.storage.postgres.nodes import other_nodes
from userkeep.storage.postgres.row_security import row_security_of
from userkeep.storage.postgres.server import connect, opening_problem

T = TypeVar("T")

READER_WAIT_S = 60.0
LOCK_WAIT_S = 60.0
PURGE_LOCK = 0x5C5B5EC0
"""The key of the advisory lock that a purge holds."""

_CHECK_EVERY_S = 0.2
_ORPHAN_CHECKS = 5
_EXTRA_LOCK_TIMEOUT_MS = 300
_CANCEL_TIMEOUT_S = 2.0
_NOT_PERMITTED = "The role that Userkeep connects as lacks the privilege: {}"

_DEADLOCK_TIMEOUT_MS = "SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'"
# Except VACUUM, which may take hours: it sees no rows.
_OLDER_TRANSACTION = """
SELECT holder, since FROM (
    SELECT 'process ' || pid AS holder, xact_start AS since, backend_xmin AS horizon
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid()
        AND (datname = current_database() OR backend_type = 'walsender')
        AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
    UNION ALL
    SELECT 'process ' || pid, xact_start, backend_xid
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()
    UNION ALL
    SELECT 'prepared transaction ' || gid, prepared, transaction
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT 'replication slot ' || slot_name, NULL, xmin FROM pg_replication_slots
) AS transactions
WHERE horizon IS NOT NULL AND age(horizon) > age(CAST(%s AS xid))
ORDER BY since NULLS FIRST
LIMIT 1
"""
_STATISTICS_COUNT = """
SELECT count(*) FROM pg_stats
WHERE schemaname = current_schema() AND tablename || '.' || attname = ANY(%s)
"""
# A column whose statistics target is 0 gets no new statistics, but keeps older ones for ever.
# Changing its type to the type that it has makes PostgreSQL delete them, and touches no row.
_STALE_STATISTICS = """
SELECT format(
    'ALTER TABLE %%I ALTER COLUMN %%I TYPE %%s%%s',
    tablename, pg_stats.attname, format_type(atttypid, atttypmod),
    CASE WHEN attcollation <> 0 THEN ' COLLATE ' || CAST(attcollation AS regcollation) END
), tablename
FROM pg_stats
JOIN pg_attribute ON attrelid = format('%%I.%%I', schemaname, tablename)::regclass
    AND pg_attribute.attname = pg_stats.attname
WHERE schemaname = current_schema() AND tablename || '.' || pg_stats.attname = ANY(%s)
    AND attstattarget = 0
"""
_LIFT_POLICY = sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY")
_RECYCLED_WAL_FILES = """
SELECT count(*) FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND name > pg_walfile_name(pg_current_wal_lsn())
"""
_RETAINED_WAL_FILES = """
SELECT count(*) FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND name < (SELECT redo_wal_file FROM pg_control_checkpoint())
"""
_ORPHANED_FILES = """
SELECT string_agg(folder || '/' || name, ', ' ORDER BY name)
FROM regexp_replace(pg_relation_filepath('pg_class'), '/[^/]*$', '') AS folder,
    pg_ls_dir(folder) AS name,
    substring(name FROM '^[0-9]+') AS number
WHERE number IS NOT NULL AND pg_filenode_relation(0, CAST(number AS oid)) IS NULL
"""
# PostgreSQL does not switch from a file that has no records yet, so one is written first.
_SWITCH_WAL_FILE = "SELECT pg_logical_emit_message(false, 'userkeep', ''), pg_switch_wal()"


class PostgresCompactor:
    """Rewrites tables with VACUUM FULL, and cleans up what that leaves."""

    def __init__(self, url: str, schema: str, tables: Mapping[str, Sequence[str]]) -> None:
        self._url = url
        self._schema = schema
        self._tables = tables
        self._is_stopping = Event()
        self._to_cancel: psycopg.Connection[Any] | None = None
        self._warnings: list[str] = []
        self._had_samples_of_indexes = False

    def __enter__(self) -> Self:
        with ExitStack() as unless_ready:
            try:
                connection = unless_ready.enter_context(closing(connect(self._url, self._schema)))
                self._connection = self._to_cancel = connection
                self._prepare()
            except QueryCanceled as error:
                raise Unavailable(PURGE_STOPPED) from error
            except psycopg.Error as error:
                raise Unavailable(opening_problem(error, self._url)) from error
            unless_ready.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self, report: Callable[[str], None]) -> list[SkippedStep]:
        try:
            report("dropping indexes of embeddings")
            self._drop_vector_indexes()
            report("waiting for transactions that see the former state")
            self._wait_for_transactions()
            skipped = []
            for table in self._tables:
                report(f"rewriting table {table}")
                if table == INDEXED_TABLE:
                    self._drop_vector_indexes()  # one may have begun since
                skipped += self._try(f"table {table}", self._vacuum_full, table)
            report("clearing column statistics")
            skipped += self._try("column statistics", self._clear_statistics)
            report("overwriting the WAL")
            skipped += self._try("WAL", self._overwrite_wal)
            report("checking for orphaned files")
            skipped += self._try("orphaned files", self._find_orphaned_files)
            return [*skipped, *self._other_nodes()]
        except QueryCanceled as error:
            raise Unavailable(PURGE_STOPPED) from error
        except psycopg.Error as error:
            raise Unavailable(f"The database rejected a step of the purge: {error}") from error

    def stop(self) -> None:
        # Works before the connection is open and after it is closed, too.
        self._is_stopping.set()
        if self._to_cancel is not None:
            with suppress(psycopg.Error):
                self._to_cancel.cancel_safe(timeout=_CANCEL_TIMEOUT_S)

    def _prepare(self) -> None:
        """Configure the connection, and take the lock of purges, which ends with it."""
        self._connection.add_notice_handler(self._on_notice)
        self._connection.execute("SET statement_timeout = 0")
        # Everyone queues behind a waiting VACUUM FULL, so it waits only briefly at a time. An
        # autovacuum is cancelled for a waiting lock only when deadlocks are checked: so a little
        # longer than that.
        deadlock_ms = int(self._value(_DEADLOCK_TIMEOUT_MS))
        lock_ms = deadlock_ms + _EXTRA_LOCK_TIMEOUT_MS
        self._connection.execute(f"SET lock_timeout = {lock_ms}".encode())
        if not self._value("SELECT pg_try_advisory_lock(%s)", PURGE_LOCK):
            raise Unavailable(PURGE_RUNNING)

    def _try(self, step: str, function: Callable[..., str | None], *args: Any) -> list[SkippedStep]:
        """Run a step; return it as skipped if the role lacks a privilege, or it gives a reason."""
        self._check_not_stopped()
        self._warnings.clear()
        try:
            reason = function(*args)
        except InsufficientPrivilege as error:
            reason = _NOT_PERMITTED.format(error.diag.message_primary)
        if self._warnings:
            reason = _NOT_PERMITTED.format(self._warnings[0])
        return [SkippedStep(step, reason)] if reason else []

    def _drop_vector_indexes(self) -> None:
        # VACUUM FULL would build them again, for minutes in which writers wait. One that is being
        # built would be waited for, and is in the files too.
        cancel_builds(self._connection)
        self._had_samples_of_indexes |= has_samples(self._connection)
        for name in index_states(self._connection):
            drop = sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(name))
            self._run_with_lock(drop, INDEXED_TABLE)

    def _wait_for_transactions(self) -> None:
        # VACUUM FULL would copy what an open transaction still sees.
        now_xid = str(self._value("SELECT CAST(pg_current_xact_id() AS xid)"))
        deadline = monotonic() + READER_WAIT_S
        while older := self._connection.execute(_OLDER_TRANSACTION, [now_xid]).fetchone():
            if monotonic() > deadline:
                holder, since = older
                began = f", begun {since:%Y-%m-%d %H:%M:%S %Z}," if since else ""
                raise Unavailable(
                    f"An open transaction ({holder}){began} still sees deleted data, which stays "
                    "in the files until it ends."
                )
            self._pause()

    def _vacuum_full(self, table: str) -> None:
        self._run_with_lock(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(table)), table)

    def _run_with_lock(self, statement: sql.SQL | sql.Composed, table: str) -> None:
        self._with_lock(table, partial(self._connection.execute, statement))

    def _with_lock(self, table: str, function: Callable[[], T]) -> T:
        deadline = monotonic() + LOCK_WAIT_S
        while True:
            try:
                return function()
            except LockNotAvailable as error:
                if monotonic() > deadline:
                    raise Unavailable(
                        f"The table {table} is in use by a transaction that does not end."
                    ) from error
                self._pause()

    def _clear_statistics(self) -> str | None:
        # ANALYZE keeps sample values of columns in pg_statistic. The schema turns that off for
        # personal data, but the table may have older samples, from before the schema did so.
        count, stale = self._statistics()
        if not count and not self._had_samples_of_indexes:
            return None
        try:
            for delete, table in stale:
                self._run_with_lock(sql.SQL(delete), table)
        except FeatureNotSupported as error:
            return f"Old statistics are kept, because another program's object uses them: {error}"
        for table in self._tables:
            self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
        self._wait_for_transactions()
        self._vacuum_full("pg_statistic")
        return None

    def _statistics(self) -> tuple[int, list[tuple[LiteralString, str]]]:
        """Return how many personal columns have statistics, and how to delete those that are old.

        PostgreSQL shows a role no statistics of a table whose rows it may not see all of. So where
        there are policies, those of one table at a time are lifted, in a transaction that is rolled
        back: no other one notices, but each waits for it.
        """
        count, stale = 0, list[tuple[LiteralString, str]]()
        has_policies = row_security_of(self._connection).is_on
        for table, names in self._tables.items():
            columns = [f"{table}.{name}" for name in names]
            read = partial(self._read_statistics, columns)
            if has_policies:
                read = partial(self._with_lock, table, partial(self._without_policy, table, read))
            of_table, stale_of_table = read()
            count += of_table
            stale += stale_of_table
        return count, stale

    def _read_statistics(self, columns: list[str]) -> tuple[int, list[tuple[LiteralString, str]]]:
        stale = self._connection.execute(_STALE_STATISTICS, [columns]).fetchall()
        return self._value(_STATISTICS_COUNT, columns), stale

    def _without_policy(self, table: str, read: Callable[[], T]) -> T:
        with self._connection.transaction(force_rollback=True):
            self._connection.execute(_LIFT_POLICY.format(sql.Identifier(table)))
            return read()

    def _overwrite_wal(self) -> str | None:
        # After a checkpoint, WAL files that are no longer needed are renamed for reuse, with their
        # content. Switching through them overwrites it.
        self._connection.execute(_SWITCH_WAL_FILE)
        self._connection.execute("CHECKPOINT")
        for _ in range(self._value(_RECYCLED_WAL_FILES) + 1):
            self._check_not_stopped()
            self._connection.execute(_SWITCH_WAL_FILE)
        self._connection.execute("CHECKPOINT")
        retained = self._value(_RETAINED_WAL_FILES)
        if retained:
            return f"{retained} older WAL files are kept for a replica, a slot or an archive."
        return None

    def _find_orphaned_files(self) -> str | None:
        # A server that crashes while it rewrites a table leaves the new files for ever. No
        # statement can remove them.
        for _ in range(_ORPHAN_CHECKS):
            names = self._value(_ORPHANED_FILES)
            if names is None:
                return None
            self._pause()  # a file may belong to a table whose transaction has not committed yet
        return (
            f"A crash of the database server left files that belong to no table: {names}. They may "
            "contain deleted data. Move to a new database (userkeep copy) and drop this one, or "
            "remove the files while the server is stopped."
        )

    def _other_nodes(self) -> list[SkippedStep]:
        # VACUUM reached the tables of all nodes. The other steps are about this one alone.
        nodes = other_nodes(self._connection)
        if nodes is None:
            return []
        reason = (
            "Their WAL, statistics and orphaned files were not looked at. They may contain "
            "deleted data."
        )
        return [SkippedStep(f"files of {nodes}", reason)]

    def _value(self, statement: LiteralString, *values: Any) -> Any:
        row = self._connection.execute(statement, values or None).fetchone()
        return row[0] if row else None

    def _on_notice(self, notice: Diagnostic) -> None:
        # VACUUM skips a table for which the role lacks the privilege, with a warning.
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def _pause(self) -> None:
        self._is_stopping.wait(_CHECK_EVERY_S)
        self._check_not_stopped()

    def _check_not_stopped(self) -> None:
        if self._is_stopping.is_set():
            raise Unavailable(PURGE_STOPPED)
