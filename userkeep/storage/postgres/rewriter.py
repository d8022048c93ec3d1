"""Writing PostgreSQL tables anew, so that nothing that was deleted is in the files any more.

VACUUM alone leaves what was deleted in the holes of pages, and every word in a GIN index. So:

1. Wait until no transaction is open that still sees what was deleted: VACUUM FULL would copy it.
2. VACUUM FULL, table by table. It locks each as long as it takes, and waits for that lock only
   briefly at a time, because everybody else queues behind whoever waits.
3. Samples of columns, which ANALYZE keeps in a table of the system's own: the schema has none taken
   of columns with people's data. Where there are some all the same, or still, from before the
   schema said so, they are deleted, and that table is written anew, when nobody sees them either.
4. The log: after a checkpoint the files of the log that are no longer needed are kept under new
   names, to be used again, with what they held. They are overwritten by switching through them.
5. Files that belong to no table. Where PostgreSQL itself crashes while it writes a table anew, it
   leaves what it had written for ever. No statement can remove that: it is told.

What the role of the instance may not do, or what a replica or an archive still holds back, is
told, and is then not done.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from threading import Event
from time import monotonic
from typing import Any, LiteralString, Self

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
from userkeep.domain.purge import NotDone
from userkeep.storage.postgres.connection import connect, opening_problem
from userkeep.storage.refusals import OTHER_PURGE, PURGE_STOPPED

READER_WAIT_S = 60.0
LOCK_WAIT_S = 60.0
_LOCK_KEY = 0x5C5B5EC0
_LOOK_EVERY_S = 0.2
_LOOKS = 5
_LOCK_TIMEOUT_MORE_MS = 300
_CANCEL_S = 2.0
_NOT_ALLOWED = "The role that Userkeep connects as may not do it: {}"

_DEADLOCK_MS = "SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'"
# VACUUM, which may take hours, is not among them: it sees no rows.
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
_SAMPLED = """
SELECT count(*) FROM pg_stats
WHERE schemaname = current_schema() AND tablename || '.' || attname = ANY(%s)
"""
# Of columns of which none are taken any more, older ones stay for ever. To give a column the type
# that it has makes PostgreSQL delete them; it does not touch a row.
_STALE = """
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
_FILES_OF_LOG_AHEAD = """
SELECT count(*) FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND name > pg_walfile_name(pg_current_wal_lsn())
"""
_FILES_OF_LOG_KEPT = """
SELECT count(*) FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND name < (SELECT redo_wal_file FROM pg_control_checkpoint())
"""
_FILES_OF_NO_TABLE = """
SELECT string_agg(folder || '/' || name, ', ' ORDER BY name)
FROM regexp_replace(pg_relation_filepath('pg_class'), '/[^/]*$', '') AS folder,
    pg_ls_dir(folder) AS name,
    substring(name FROM '^[0-9]+') AS number
WHERE number IS NOT NULL AND pg_filenode_relation(0, CAST(number AS oid)) IS NULL
"""
# A file of the log in which nothing stands yet is not left: so something is written first.
_NEXT_FILE_OF_LOG = "SELECT pg_logical_emit_message(false, 'userkeep', ''), pg_switch_wal()"


class PostgresRewriter:
    """See storage.engine.Rewriter."""

    def __init__(self, url: str, tables: Mapping[str, Sequence[str]]) -> None:
        self._url = url
        self._tables = tables
        self._is_stopping = Event()
        self._to_cancel: psycopg.Connection[Any] | None = None
        self._warnings: list[str] = []

    def __enter__(self) -> Self:
        """See storage.engine.Rewriter: the right is a lock, which ends with the connection."""
        with ExitStack() as unless_ready:
            try:
                connection = unless_ready.enter_context(closing(connect(self._url)))
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

    def run(self, tell: Callable[[str], None]) -> list[NotDone]:
        """See storage.engine.Rewriter."""
        try:
            tell("waiting for transactions that see the former state")
            self._wait_for_transactions()
            left = []
            for table in self._tables:
                tell(f"writing the table {table} anew")
                left += self._try(f"table {table}", self._write_anew, table)
            tell("looking for samples of columns")
            left += self._try("samples of columns", self._clear_samples)
            tell("overwriting the log")
            left += self._try("log", self._overwrite_log)
            tell("looking for files of no table")
            return [*left, *self._try("files of no table", self._look_for_files)]
        except QueryCanceled as error:
            raise Unavailable(PURGE_STOPPED) from error
        except psycopg.Error as error:
            raise Unavailable(f"The database refused a step of the purge: {error}") from error

    def stop(self) -> None:
        """See storage.engine.Rewriter: also before it has a connection, or after."""
        self._is_stopping.set()
        if self._to_cancel is not None:
            with suppress(psycopg.Error):
                self._to_cancel.cancel_safe(timeout=_CANCEL_S)

    def _prepare(self) -> None:
        """Make the connection ready, and take the right to purge."""
        self._connection.add_notice_handler(self._note)
        self._connection.execute("SET statement_timeout = 0")
        # An autovacuum gives way to whoever has waited for it until deadlocks are looked for.
        deadlock_ms = int(self._value(_DEADLOCK_MS))
        lock_ms = deadlock_ms + _LOCK_TIMEOUT_MORE_MS
        self._connection.execute(f"SET lock_timeout = {lock_ms}".encode())
        if not self._value("SELECT pg_try_advisory_lock(%s)", _LOCK_KEY):
            raise Unavailable(OTHER_PURGE)

    def _try(self, step: str, do: Callable[..., str | None], *given: Any) -> list[NotDone]:
        """Do a step, unless it is not allowed; what is left of it."""
        self._check_goes_on()
        self._warnings.clear()
        try:
            why = do(*given)
        except InsufficientPrivilege as error:
            why = _NOT_ALLOWED.format(error.diag.message_primary)
        if self._warnings:
            why = _NOT_ALLOWED.format(self._warnings[0])
        return [NotDone(step, why)] if why else []

    def _wait_for_transactions(self) -> None:
        now_xid = str(self._value("SELECT CAST(pg_current_xact_id() AS xid)"))
        ends = monotonic() + READER_WAIT_S
        while older := self._connection.execute(_OLDER_TRANSACTION, [now_xid]).fetchone():
            if monotonic() > ends:
                holder, since = older
                began = f", begun {since:%Y-%m-%d %H:%M:%S %Z}," if since else ""
                raise Unavailable(
                    f"An open transaction ({holder}){began} still sees what was deleted: until it "
                    "ends, that stays in the files."
                )
            self._pause()

    def _write_anew(self, table: str) -> None:
        self._lock_and_do(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(table)), table)

    def _lock_and_do(self, statement: sql.SQL | sql.Composed, table: str) -> None:
        ends = monotonic() + LOCK_WAIT_S
        while True:
            try:
                self._connection.execute(statement)
            except LockNotAvailable as error:
                if monotonic() > ends:
                    raise Unavailable(
                        f"The table {table} is in use by a transaction that does not end."
                    ) from error
                self._pause()
            else:
                return

    def _clear_samples(self) -> str | None:
        columns = [f"{table}.{name}" for table, names in self._tables.items() for name in names]
        if not self._value(_SAMPLED, columns):
            return None
        try:
            for delete, table in self._connection.execute(_STALE, [columns]).fetchall():
                self._lock_and_do(sql.SQL(delete), table)
        except FeatureNotSupported as error:
            return f"Old samples are kept, because of something made by others: {error}"
        for table in self._tables:
            self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
        self._wait_for_transactions()
        self._write_anew("pg_statistic")
        return None

    def _overwrite_log(self) -> str | None:
        self._connection.execute(_NEXT_FILE_OF_LOG)
        self._connection.execute("CHECKPOINT")
        for _ in range(self._value(_FILES_OF_LOG_AHEAD) + 1):
            self._check_goes_on()
            self._connection.execute(_NEXT_FILE_OF_LOG)
        self._connection.execute("CHECKPOINT")
        kept = self._value(_FILES_OF_LOG_KEPT)
        if kept:
            return f"{kept} older files of the log are kept for a replica, a slot or an archive."
        return None

    def _look_for_files(self) -> str | None:
        for _ in range(_LOOKS):
            names = self._value(_FILES_OF_NO_TABLE)
            if names is None:
                return None
            self._pause()  # somebody may be making one, whose table nobody else sees yet
        return (
            f"A crash of the database server has left files that belong to no table: {names}. They "
            "may have anything in them. Move to a new database (userkeep port) and drop this one, "
            "or remove them while the server is stopped."
        )

    def _value(self, statement: LiteralString, *values: Any) -> Any:
        row = self._connection.execute(statement, values or None).fetchone()
        return row[0] if row else None

    def _note(self, notice: Diagnostic) -> None:
        # What a role may not vacuum is passed over with a warning.
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def _pause(self) -> None:
        self._is_stopping.wait(_LOOK_EVERY_S)
        self._check_goes_on()

    def _check_goes_on(self) -> None:
        if self._is_stopping.is_set():
            raise Unavailable(PURGE_STOPPED)
