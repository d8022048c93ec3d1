"""The far end of an engine, failing at any statement: SQLite's connection, PostgreSQL's server.

Each counts what the program asks of it from `fail` on, and fails at the given number: once, or from
there on until `heal`.
"""

import threading
from typing import Any, Protocol

import apsw
import psycopg

from tests.storage.postgres.proxy import Proxy

_FOREVER = 1_000_000_000


class FarEnd(Protocol):
    """What an engine works on."""

    def fail(self, at: int, *, lasts: bool) -> None:
        """Fail at a statement, counted from 0 from now on, or from it on until `heal`."""
        ...

    def heal(self) -> bool:
        """Fail no more; return whether a statement was to fail."""
        ...


class FailingSqlite:
    """Lets statements of the writer fail with an error, before SQLite sees them."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self._from = self._before = _FOREVER
        self._count = 0
        apsw.connection_hooks.append(self._hook)

    def close(self) -> None:
        """Let connections that are opened later be as usual."""
        apsw.connection_hooks.remove(self._hook)

    def fail(self, at: int, *, lasts: bool) -> None:
        self._count = 0
        self._from, self._before = at, _FOREVER if lasts else at + 1

    def heal(self) -> bool:
        has_failed = self._count > self._from
        self._from = self._before = _FOREVER
        return has_failed

    def _hook(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._trace

    def _trace(self, _cursor: apsw.Cursor, sql: str, _values: Any) -> bool:
        if threading.current_thread().name != "userkeep-writer" or sql.startswith("ROLLBACK"):
            return True
        number, self._count = self._count, self._count + 1
        if self._from <= number < self._before:
            raise self._error("the far end fails")
        return True


_TRIGGERS = """
CREATE SEQUENCE calls MINVALUE 0 START 0;
CREATE TABLE failing AS SELECT 1000000000::bigint AS first, 1000000000::bigint AS before;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE number bigint := nextval('public.calls');
BEGIN
    IF EXISTS (SELECT 1 FROM public.failing WHERE number >= first AND number < before) THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NULL;
END $$;
"""
_OF_STATEMENTS = """
CREATE TRIGGER fails BEFORE INSERT OR UPDATE OR DELETE ON {0}
    FOR EACH STATEMENT EXECUTE FUNCTION fail();
"""
_OF_COMMITS = """
CREATE CONSTRAINT TRIGGER fails_at_commit AFTER INSERT OR UPDATE OR DELETE ON {0}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail();
"""
_TABLES = (
    "users",
    "user_words",
    "sessions",
    "messages",
    "erasures",
    "deleted_sessions",
    "tombstones",
    "idempotency",
    "embedding_models",
    "embeddings",
    "collections",
    "documents",
    "document_vectors",
)


class FullPostgres:
    """Lets statements that change rows fail as on a server whose disk is full, or its commits."""

    def __init__(self, url: str, *, at_commit: bool) -> None:
        trigger = _OF_COMMITS if at_commit else _OF_STATEMENTS
        self._database = psycopg.connect(url, autocommit=True)
        self._database.execute(_TRIGGERS)
        for table in _TABLES:
            self._database.execute(trigger.format(table).encode())

    def close(self) -> None:
        """Disconnect."""
        self._database.close()

    def fail(self, at: int, *, lasts: bool) -> None:
        before = _FOREVER if lasts else at + 1
        self._database.execute("ALTER SEQUENCE calls RESTART")
        self._database.execute("UPDATE failing SET first = %s, before = %s", (at, before))

    def heal(self) -> bool:
        [(last, first)] = self._database.execute(
            "SELECT (SELECT last_value FROM calls WHERE is_called), first FROM failing"
        ).fetchall()
        self._database.execute("UPDATE failing SET first = 1000000000, before = 1000000000")
        return last is not None and last >= first


class CutConnection:
    """Breaks a connection after the server has received a message and before it has responded."""

    def __init__(self, url: str) -> None:
        self._proxy = Proxy(url)
        self._proxy.__enter__()
        self.url = self._proxy.url

    def close(self) -> None:
        """Stop forwarding."""
        self._proxy.__exit__(None, None, None)

    def fail(self, at: int, *, lasts: bool) -> None:
        self._proxy.drop_next_response(after=at, then_refuse=lasts)

    def heal(self) -> bool:
        return self._proxy.accept_again()
