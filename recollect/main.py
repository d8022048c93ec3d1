"""The wiring, read from top to bottom: settings, engine, rules, doors."""

import gc
import sys

import msgspec

from recollect.config import MIB, Settings, is_postgres, read_secret, sqlite_path
from recollect.domain.scope import Rules, Scope
from recollect.domain.secret import KeyedHash, fingerprint
from recollect.domain.times import HOUR
from recollect.http.app import Application
from recollect.http.guard import Guard, is_loopback
from recollect.services import installation
from recollect.storage.engine import Engine
from recollect.storage.queries import load_queries

DEFAULT_PROJECT = 1

_SWITCH_INTERVAL_S = 0.0005
_GARBAGE_THRESHOLD = 10_000


class Recollect(msgspec.Struct, frozen=True):
    """An open installation: its engine, and the scope in which the default project is used."""

    engine: Engine
    scope: Scope

    def close(self) -> None:
        """Finish what is queued and let go of the database."""
        self.engine.close()


def open_recollect(settings: Settings, *, url: str | None = None) -> Recollect:
    """Open the database, bring its schema up to date, and bind it to its secret.

    Args:
        settings: see config.
        url: where this process will serve, if it does.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    engine = _open_engine(settings, url)
    try:
        # Before the secret's file is looked for, because a missing one would be made.
        engine.write(installation.check_is_whole)
        secret = read_secret(settings)
        engine.write(lambda tx: installation.check_secret(tx, fingerprint(secret)))
    except BaseException:
        engine.close()
        raise
    return Recollect(engine, Scope(DEFAULT_PROJECT, make_rules(settings, secret)))


def _open_engine(settings: Settings, url: str | None) -> Engine:
    # A driver is loaded when it is used: a server on SQLite needs no PostgreSQL in its memory.
    if is_postgres(settings.database_url):
        from recollect.storage.postgres import PostgresEngine

        return PostgresEngine(
            settings.database_url,
            load_queries("postgres"),
            lanes=settings.postgres_lanes,
            queue_limit=settings.queue_limit,
            statement_limit_ms=settings.statement_limit_seconds * 1000,
            read_limit_ms=settings.read_limit_seconds * 1000,
        )

    from recollect.storage.sqlite import SqliteEngine

    return SqliteEngine(
        sqlite_path(settings.database_url),
        load_queries("sqlite"),
        url=url,
        queue_limit=settings.queue_limit,
        wal_limit_bytes=settings.wal_limit_mib * MIB,
        read_limit_ms=settings.read_limit_seconds * 1000,
    )


def make_rules(settings: Settings, secret: bytes) -> Rules:
    """The rules that operations obey."""
    return Rules(
        id_hash=KeyedHash(secret, "ids of what was erased"),
        request_hash=KeyedHash(secret, "requests with an idempotency key"),
        memory_window=settings.memory_window,
        forgotten_for_us=settings.forgotten_hours * HOUR,
    )


def make_application(recollect: Recollect, settings: Settings) -> Application:
    """The ASGI application of an open installation.

    Without keys, a server on loopback looks at the Host header; one that was opened to others on
    purpose (`insecure_no_auth`) cannot.
    """
    tune_interpreter()
    guard = Guard(any_host=settings.insecure_no_auth and not is_loopback(settings.host))
    return Application(recollect.engine, recollect.scope, guard)


def tune_interpreter() -> None:
    """Let the writer lane have the interpreter soon after its disk has answered.

    A thread that waits for the interpreter gets it after this interval at the latest; with the
    default of 5 ms, one statement of the writer can wait that long for a busy event loop.

    And let the garbage collector leave alone what was made at the start and lives to the end, and
    look less often for cycles, of which a request makes hardly any.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
