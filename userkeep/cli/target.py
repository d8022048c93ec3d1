"""Where a data command works: on a server, or on a database that it opens itself."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import click

from userkeep.cli.exits import Interrupted
from userkeep.client import Userkeep
from userkeep.config import (
    SettingError,
    is_postgres,
    load_client_settings,
    load_settings,
    sqlite_path,
)
from userkeep.domain.errors import InvalidField, StorageError

Command = Callable[..., Any]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_OPTIONS = (
    click.option(
        "--database",
        metavar="DATABASE",
        help="The database to open: a path, sqlite:///path or postgresql://user@host/name; where"
        " a server holds the file, it is asked.  [USERKEEP_DATABASE_URL;"
        " userkeep-data/userkeep.db]",
    ),
    click.option("--url", metavar="URL", help="A server to talk to instead.  [USERKEEP_URL; none]"),
    click.option(
        "--api-key", metavar="KEY", help="The key for the server.  [USERKEEP_API_KEY; none]"
    ),
)


def with_client(command: Command) -> Command:
    """Give a command the flags that say where it works, and the open client as first argument."""
    return _with_client(command, may_make=False)


def with_client_that_may_make(command: Command) -> Command:
    """The same, for a command that adds: a database that is not there is made."""
    return _with_client(command, may_make=True)


def _with_client(command: Command, *, may_make: bool) -> Command:
    @wraps(command)
    def run(
        *, database: str | None, url: str | None, api_key: str | None, **arguments: Any
    ) -> None:
        with (
            _told_to_stop(),
            open_client(database, url, api_key, may_make=may_make) as client,
        ):
            command(client, **arguments)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def open_client(
    database: str | None, url: str | None, api_key: str | None, *, may_make: bool
) -> Userkeep:
    """The instance that flags and environment name.

    Args:
        database: a path or a database URL.
        url: a server's.
        may_make: whether a missing database is made.

    Raises:
        SettingError: both are given, or one cannot be. StorageError: the database is not there,
            or somebody holds it.
    """
    if database and url:
        raise SettingError("--database and --url name two places; give one of them.")
    client = load_client_settings({"url": url, "api_key": api_key})
    settings = load_settings({"database_url": _database_url(database)} if database else {})
    if client.url and not database:
        return _server(client.url, client.api_key)
    held_at = None
    if is_postgres(settings.database_url):
        _check_postgres(settings.database_url, may_make=may_make)
    else:
        held_at = _look_at_file(sqlite_path(settings.database_url), may_make=may_make)
    if held_at:
        return _server(held_at, client.api_key)
    return Userkeep.open(settings.database_url)


def _database_url(database: str) -> str:
    return database if "://" in database else f"sqlite:///{database}"


def _server(url: str, api_key: str) -> Userkeep:
    try:
        return Userkeep(url, api_key=api_key or None)
    except InvalidField as error:
        raise SettingError(error.detail) from error


def _look_at_file(path: str, *, may_make: bool) -> str | None:
    """Where the server is that holds a file, if one does."""
    from userkeep.storage.sqlite.file_lock import locked_by_another, read_lock_holder

    if path == ":memory:":
        raise SettingError(
            "A database in memory is gone when the command ends; name a file, or a server by --url."
        )
    if not Path(path).exists():
        if may_make:
            return None
        raise StorageError(
            f"There is no database {path}. Name another by --database, or a server by --url; "
            "userkeep serve or userkeep users add would make this one."
        )
    owner = read_lock_holder(path)
    if owner is None:
        return None
    if owner.url is None:
        raise StorageError(locked_by_another(path, owner))
    click.echo(f"userkeep: {path} is held by the server at {owner.url}, which is asked.", err=True)
    return owner.url


def _check_postgres(url: str, *, may_make: bool) -> None:
    if may_make:
        return
    from userkeep.storage.postgres.migrations import applied_migrations
    from userkeep.storage.postgres.server import describe_url, open_for_inspection

    with open_for_inspection(url) as connection:
        if not applied_migrations(connection):
            raise StorageError(
                f"There is nothing of Userkeep's in {describe_url(url)} yet; userkeep serve or "
                "userkeep users add would make it."
            )


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: with a sentence, and everything closed."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    former = {each: signal.getsignal(each) for each in _STOP_SIGNALS}
    for each, handler in former.items():
        if handler is not signal.SIG_IGN:  # as nohup leaves it, and a shell in the background
            signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
