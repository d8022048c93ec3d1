"""Opening an instance: settings, engine, schema, secret, rules. No door and no server."""

import msgspec

from userkeep.config import (
    MIB,
    Settings,
    is_postgres,
    purge_schedule,
    read_secret,
    sqlite_path,
)
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.analyzer import Words
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.secret import KeyedHash, fingerprint
from userkeep.domain.values.times import HOUR
from userkeep.index_upkeep import Tell, make_index, tell_nobody
from userkeep.services import instance, reindexing
from userkeep.storage.engine import Engine
from userkeep.storage.looks import look_queries
from userkeep.storage.queries import load_queries

DEFAULT_PROJECT = 1


class Instance(msgspec.Struct, frozen=True):
    """An open instance: its engine, and the scope in which the default project is used."""

    engine: Engine
    scope: Scope

    def close(self) -> None:
        """Finish what is queued and let go of the database."""
        self.engine.close()


def open_instance(
    settings: Settings,
    *,
    url: str | None = None,
    keeps_language: bool = True,
    tell: Tell = tell_nobody,
) -> Instance:
    """Open the database, bring its schema and its index up to date, and bind it to its secret.

    Args:
        settings: see config.
        url: where this process will serve, if it does.
        keeps_language: whether an index made for another language is a reason to refuse; else it
            is made anew.
        tell: is told, while the index is made, how many messages more are in it.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    engine = _open_engine(settings, url)
    try:
        # Before the secret's file is looked for, because a missing one would be made.
        engine.write(instance.check_is_whole)
        secret = read_secret(settings)
        engine.write(lambda tx: instance.check_secret(tx, fingerprint(secret)))
        rules = make_rules(settings, secret)
        if keeps_language:
            engine.read(lambda tx: reindexing.check_language(tx, rules))
        if engine.read(reindexing.version) != rules.words.version:
            make_index(engine, rules, tell)
    except BaseException:
        engine.close()
        raise
    return Instance(engine, Scope(DEFAULT_PROJECT, rules))


def _open_engine(settings: Settings, url: str | None) -> Engine:
    # A driver is loaded when it is used: a server on SQLite needs no PostgreSQL in its memory.
    if is_postgres(settings.database_url):
        from userkeep.storage.postgres import PostgresEngine

        return PostgresEngine(
            settings.database_url,
            load_queries("postgres") | look_queries("postgres"),
            lanes=settings.postgres_pool_size,
            queue_limit=settings.queue_limit,
            statement_limit_ms=settings.statement_limit_seconds * 1000,
            read_limit_ms=settings.read_limit_seconds * 1000,
        )

    from userkeep.storage.sqlite import SqliteEngine

    return SqliteEngine(
        sqlite_path(settings.database_url),
        load_queries("sqlite") | look_queries("sqlite"),
        url=url,
        queue_limit=settings.queue_limit,
        wal_limit_bytes=settings.wal_limit_mib * MIB,
        read_limit_ms=settings.read_limit_seconds * 1000,
    )


def make_rules(settings: Settings, secret: bytes) -> Rules:
    """The rules that operations obey."""
    return Rules(
        id_hash=KeyedHash(secret, "ids of what was deleted"),
        request_hash=KeyedHash(secret, "requests with an idempotency key"),
        words=Words(LANGUAGES[settings.search_language]),
        purges=purge_schedule(settings),
        memory_window=settings.memory_window,
        tombstone_ttl_us=settings.tombstone_hours * HOUR,
    )
