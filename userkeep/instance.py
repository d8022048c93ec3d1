"""Opening an instance: engine, schema, secret and rules, from settings. No API and no server."""

import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from userkeep.config import (
    MIB,
    OFF,
    Settings,
    is_postgres,
    purge_schedule,
    sqlite_path,
    without_password,
)
from userkeep.domain.embedding import Embedder
from userkeep.domain.errors import StorageError
from userkeep.domain.project import DEFAULT_NAME, DEFAULT_PROJECT
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.secret import KeyedHash, derive_key, fingerprint
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import HOUR
from userkeep.domain.vectors.plain import PlainVectorMath
from userkeep.domain.vectors.ranking import VectorMath
from userkeep.embedders import open_embedder, open_meaning, source_of
from userkeep.jobs.emails import fold_emails
from userkeep.jobs.index import Progress, build_index, no_progress
from userkeep.jobs.ledger import (
    NO_LEDGER,
    OpenLedger,
    check_is_current,
    find_ledger,
    ledger_format,
    open_ledger,
)
from userkeep.jobs.verify.table_scans import scan_queries
from userkeep.services import (
    authentication,
    email_folding,
    idempotency,
    instance,
    projects,
    reindexing,
    user_words,
)
from userkeep.storage.checks import CHANGE_MODES
from userkeep.storage.clock import check_system_clock
from userkeep.storage.engine import Engine
from userkeep.storage.migrations import load_migrations
from userkeep.storage.private_files import (
    beside_database,
    exposure,
    make_private_folder,
    pending_name,
    private_draft,
    read_private,
)
from userkeep.storage.queries import load_queries

logger = logging.getLogger(__name__)

_LARGEST_SECRET_BYTES = 64 * 1024


class Instance(msgspec.Struct, frozen=True):
    """An open instance: its engine, the scope in which one of its projects is used, its ledger.

    Attributes:
        is_new: whether the database was opened for the first time.
        embedder: makes embeddings; None if no embedding model is configured.
    """

    engine: Engine
    scope: Scope
    ledger: OpenLedger = NO_LEDGER
    is_new: bool = False
    embedder: Embedder | None = None

    def close(self) -> None:
        """Finish what is queued, and close the database and the embedding model."""
        if self.scope.rules.meaning is not None:
            self.scope.rules.meaning.close()
        if self.embedder is not None:
            self.embedder.close()
        self.engine.close()


def open_instance(
    settings: Settings,
    *,
    url: str | None = None,
    keeps_language: bool = True,
    is_replayed: bool = True,
    progress: Progress = no_progress,
) -> Instance:
    """Open the database, bring its schema and its index up to date, and bind it to its secret.

    Args:
        settings: see config.
        url: where this process will serve, if it does.
        is_replayed: whether a database that is older than its deletion ledger is rejected.
        keeps_language: whether an index of another language is rejected; otherwise it is rebuilt.
        progress: called while the index is built, with the messages of each batch.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    embedder = open_embedder(settings)
    engine = open_engine(settings, url=url)
    try:
        # Before the secret's file is looked for, because a missing one would be made.
        engine.write(instance.check_is_complete)
        is_new = engine.read(instance.secret_fingerprint) is None
        secret = secret_of(engine, settings)
        engine.write(lambda tx: instance.check_secret(tx, fingerprint(secret)))
        ledger = open_ledger(engine, ledger_path(settings, engine), is_replayed=is_replayed)
        rules = make_rules(settings, secret)
        if not engine.read(idempotency.are_keys_hashed):
            engine.write(lambda tx: idempotency.hash_plain_keys(tx, rules))
        if keeps_language:
            engine.read(lambda tx: reindexing.check_language(tx, rules))
        if engine.read(reindexing.version) != rules.analyzer.version:
            build_index(engine, rules, progress)
        if not engine.read(email_folding.is_done):
            fold_emails(engine, rules)
        engine.write(user_words.replace_others)
        for sentence in exposed_files(settings):
            logger.warning("%s. %s", sentence, CHANGE_MODES)
    except BaseException:
        engine.close()
        if embedder is not None:
            embedder.close()
        raise
    rules = msgspec.structs.replace(rules, meaning=open_meaning(settings, embedder))
    return with_quota(Instance(engine, Scope(DEFAULT_PROJECT, rules), ledger, is_new, embedder))


def open_instance_read_only(settings: Settings) -> Instance:
    """Open the database for reading, even while another process writes it.

    Nothing is created, locked, migrated or changed. A database that needs it is rejected.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    embedder = open_embedder(settings)
    engine = open_engine(settings, read_only=True)
    try:
        engine.read(instance.check_is_complete)
        rules = _check_secret_and_ledger(engine, settings)

        def check_index(tx: Transaction) -> None:
            reindexing.check_language(tx, rules)
            reindexing.check_version(tx, rules)
            email_folding.check_is_done(tx)

        engine.read(check_index)
    except BaseException:
        engine.close()
        if embedder is not None:
            embedder.close()
        raise
    rules = msgspec.structs.replace(rules, meaning=open_meaning(settings, embedder))
    return Instance(engine, Scope(DEFAULT_PROJECT, rules), embedder=embedder)


def _check_secret_and_ledger(engine: Engine, settings: Settings) -> Rules:
    """Check that both belong to the database; return the rules of the settings."""
    secret = secret_of(engine, settings, may_change=False)
    rules = make_rules(settings, secret)
    engine.read(lambda tx: instance.check_secret_matches(tx, fingerprint(secret)))
    path = ledger_path(settings, engine)
    if path is not None:
        check_is_current(engine, find_ledger(engine, path))
    return rules


def in_project(opened: Instance, name: str) -> Instance:
    """Return an open instance with the scope of another one of its projects.

    Args:
        name: the name of the project, or its uuid.

    Raises:
        NotFound: there is no such project. Gone: it is being deleted.
    """
    if name == DEFAULT_NAME:
        return opened
    project = opened.engine.read(lambda tx: projects.find_active(tx, name))
    scope = Scope(project.number, opened.scope.rules)
    return with_quota(msgspec.structs.replace(opened, scope=scope))


def with_quota(opened: Instance) -> Instance:
    """Return an open instance whose scope has the quota that its project has now."""
    read = partial(authentication.quota_of, project_id=opened.scope.project_id)
    quota = opened.engine.read(read)
    scope = msgspec.structs.replace(opened.scope, quota=quota)
    return msgspec.structs.replace(opened, scope=scope)


def open_engine(settings: Settings, *, url: str | None = None, read_only: bool = False) -> Engine:
    """Open the database and bring its schema up to date; its secret is not read.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    check_system_clock()
    # A driver is imported only if the database needs it: it costs memory and time.
    if is_postgres(settings.database_url):
        from userkeep.storage.postgres import PostgresEngine

        return PostgresEngine(
            settings.database_url,
            load_queries("postgres") | scan_queries("postgres"),
            read_only=read_only,
            pool_size=settings.postgres_pool_size,
            queue_limit=settings.queue_limit,
            statement_limit_ms=settings.statement_limit_seconds * 1000,
            read_limit_ms=settings.read_limit_seconds * 1000,
            row_security=settings.postgres_row_security,
        )

    from userkeep.storage.sqlite import ReadOnlySqliteEngine, SqliteEngine

    path = sqlite_path(settings.database_url)
    queries = load_queries("sqlite") | scan_queries("sqlite")
    read_limit_ms = settings.read_limit_seconds * 1000
    if read_only:
        return ReadOnlySqliteEngine(path, queries, read_limit_ms=read_limit_ms)
    return SqliteEngine(
        path,
        queries,
        url=url,
        queue_limit=settings.queue_limit,
        wal_limit_bytes=settings.wal_limit_mib * MIB,
        read_limit_ms=read_limit_ms,
    )


def applied_steps(settings: Settings) -> dict[int, str]:
    """Return the migrations that a database has, number to name; none if it does not exist.

    Raises:
        StorageError: it cannot be read.
    """
    if is_postgres(settings.database_url):
        from userkeep.storage.postgres import migrations as postgres

        return postgres.read_applied(settings.database_url)

    from userkeep.storage.sqlite import migrations as sqlite

    return sqlite.read_applied(sqlite_path(settings.database_url))


def check_is_migrated(settings: Settings) -> None:
    """Check that opening a database would not migrate it: only some programs may do that.

    Raises:
        StorageError: it has an older schema.
    """
    applied = applied_steps(settings)
    known = load_migrations("postgres" if is_postgres(settings.database_url) else "sqlite")
    if applied and any(each.number not in applied for each in known):
        raise StorageError(
            f"The schema of {without_password(settings.database_url)} is at version "
            f"{max(applied)}; this program needs version {known[-1].number}. Run "
            "`userkeep migrate` or `userkeep serve` first."
        )


def make_rules(settings: Settings, secret: bytes) -> Rules:
    """The rules that operations obey."""
    return Rules(
        id_hash=KeyedHash(secret, "ids of what was deleted"),
        request_hash=KeyedHash(secret, "requests with an idempotency key"),
        token_key=derive_key(secret, "user tokens"),
        analyzer=Analyzer(LANGUAGES[settings.search_language]),
        purges=purge_schedule(settings),
        memory_window=settings.memory_window,
        tombstone_ttl_us=settings.tombstone_hours * HOUR,
        search_match_limit=settings.search_match_limit,
        idempotency_limit=settings.idempotency_keys,
        backup_folder=settings.backup_folder,
        has_embedder=bool(settings.embeddings_url or settings.embeddings_folder),
        embedding_source=source_of(settings),
        is_embedder_local=bool(settings.embeddings_folder),
        vector_math=make_vector_math,
    )


def make_vector_math() -> VectorMath:
    """Return the arithmetic of vectors: with numpy, if it is installed."""
    # Imported by the first search, because it costs memory and time.
    try:
        from userkeep.domain.vectors.documents import NumpyVectorMath
    except ImportError:
        return PlainVectorMath()
    return NumpyVectorMath()


def read_secret(settings: Settings, *, may_create: bool = True) -> bytes:
    """Return the secret that is set, or that of the secret file.

    Servers that share a PostgreSQL database share the secret too: each needs the same file, or the
    same USERKEEP_SECRET.

    Args:
        may_create: whether to create a missing file (with mode 0600) with a new secret.

    Raises:
        StorageError: the file cannot be read or created, or the secret is too short.
    """
    if settings.secret:
        return settings.secret.encode()
    path = secret_path(settings)
    if path is None:
        return os.urandom(32)
    try:
        if not os.path.lexists(path):
            if not may_create:
                raise StorageError(
                    f"The secret file {path} does not exist. Copy the file with the secret that "
                    "the database was created with to this path, or name it in "
                    f"USERKEEP_SECRET_FILE. {instance.IF_IT_IS_LOST}"
                )
            _make_secret(path)
        return _read_secret_file(path)
    except OSError as error:
        raise StorageError(
            f"The secret's file {path} cannot be read or made: {error.strerror}."
        ) from error


def _read_secret_file(path: Path) -> bytes:
    secret = read_private(path, _LARGEST_SECRET_BYTES).strip()
    if len(secret) < 16:
        raise StorageError(f"The secret in {path} is shorter than 16 characters.")
    return secret


def secret_of(engine: Engine, settings: Settings, *, may_change: bool = True) -> bytes:
    """Return the secret of a database.

    A restore or a rotation writes the new secret beside the former one, then changes the database,
    then renames the secret. If it was killed before the last step, that is done here.

    Args:
        may_change: whether files may be created and renamed.

    Raises:
        StorageError: it cannot be read, or the database has another, which a file here has.
    """
    known = engine.read(instance.secret_fingerprint)
    path = secret_path(settings)
    owner = None if known is None else find_secret_file(known, settings)
    if owner is None or path is None:
        # A new secret would be the wrong one for a database that has its own.
        return read_secret(settings, may_create=may_change and known is None)
    secret = _read_secret_file(owner)
    if settings.secret:
        if fingerprint(settings.secret.encode()) != known:
            raise StorageError(
                f"This database has the secret in {owner}, and USERKEEP_SECRET is another. Set "
                "USERKEEP_SECRET to the content of this file, or unset it."
            )
        return settings.secret.encode()
    if owner == pending_name(path) and may_change:
        with suppress(FileNotFoundError):  # another process was first
            owner.replace(path)
    return secret


def find_secret_file(known: str, settings: Settings) -> Path | None:
    """Return which file has the secret with a fingerprint: the secret file or one beside it."""
    path = secret_path(settings)
    files = [] if path is None else [path, pending_name(path), *_secret_files(settings)]
    for each in files:
        with suppress(OSError, StorageError):
            if fingerprint(_read_secret_file(each)) == known:
                return each
    return None


def secret_path(settings: Settings) -> Path | None:
    """The file in which the secret is looked for where it is not set; none for `:memory:`."""
    return next(iter(_secret_files(settings)), None)


def _secret_files(settings: Settings) -> list[Path]:
    if settings.secret_file:
        return [Path(settings.secret_file)]
    if is_postgres(settings.database_url):
        return [Path("userkeep-data/userkeep.secret")]
    path = sqlite_path(settings.database_url)
    return [] if path == ":memory:" else beside_database(path, ".secret")


def ledger_path(settings: Settings, engine: Engine) -> Path | None:
    """The file of the deletion ledger; None for a database in memory, or if it is off.

    By default it is beside a SQLite file. Servers on PostgreSQL have it below the folder that they
    are started in, with a name that differs for each database.
    """
    is_shared = is_postgres(settings.database_url)
    path = "" if is_shared else sqlite_path(settings.database_url)
    if settings.ledger_file == OFF or path == ":memory:":
        return None
    if settings.ledger_file:
        return Path(settings.ledger_file)
    if is_shared:
        return Path(f"userkeep-data/userkeep-{ledger_format(engine).database[:8]}.ledger")
    return beside_database(path, ".ledger")[0]


def exposed_files(settings: Settings) -> list[str]:
    """Return which files of the instance other users can use, in words."""
    exposed = []
    if not is_postgres(settings.database_url):
        from userkeep.storage.sqlite.files import exposed_files as of_database

        path = sqlite_path(settings.database_url)
        exposed = [] if path == ":memory:" else of_database(path)
        if path != ":memory:" and Path(path).is_symlink():
            at_link = exposure(beside_database(path, ".ledger")[0])
            exposed += [] if at_link is None or at_link in exposed else [at_link]
    secrets = [None if settings.secret else secret_path(settings)]
    files = (settings.backup_passphrase_file, settings.embeddings_key_file)
    secrets += [Path(file) for file in files if file]
    of_secrets = [exposure(file) for file in secrets if file is not None]
    return exposed + [each for each in of_secrets if each is not None]


def _make_secret(path: Path) -> None:
    # Written whole or not at all: a half-written secret would bind the database to garbage.
    make_private_folder(path.parent)
    with private_draft(path) as (draft, file):
        file.write(os.urandom(32).hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its secret counts
            path.hardlink_to(draft)
