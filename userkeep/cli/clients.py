"""Where a data command works: on a server, or on a database that it opens itself."""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TextIO

import click

from userkeep.cli.options import visible_secret_option, warn_of_password
from userkeep.cli.output.escaping import print_error
from userkeep.cli.signals import raise_on_signal
from userkeep.client import Userkeep
from userkeep.config import (
    ClientSettings,
    SettingError,
    is_postgres,
    load_client_settings,
    load_settings,
    sqlite_path,
)
from userkeep.domain.errors import Forbidden, InvalidField, StorageError, Unauthenticated
from userkeep.domain.project import DEFAULT_NAME
from userkeep.key_files import read_key_file
from userkeep.sdk.errors import UnauthenticatedServerWarning

Command = Callable[..., Any]

Access = Literal["read", "write", "create"]
"""What a command does: `read` opens the database read-only, `create` creates a missing one."""

_OPTIONS = (
    click.option(
        "--database",
        metavar="DATABASE",
        help="The database: a path, sqlite:///path or postgresql://user@host/name. If a server has"
        " the file open, the command calls the server.  [USERKEEP_DATABASE_URL;"
        " userkeep-data/userkeep.db]",
    ),
    click.option("--url", metavar="URL", help="Call this server instead.  [USERKEEP_URL; none]"),
    visible_secret_option("api_key", "api_key"),
    click.option(
        "--api-key-file",
        metavar="FILE",
        help="The file of the API key for the server.  [USERKEEP_API_KEY_FILE; none]",
    ),
)

_PROJECT_OPTION = click.option(
    "--project",
    "project_of_client",
    metavar="PROJECT",
    help="The project to work in. On a server it is that of the API key.  [default]",
)


def with_client(access: Access, *, in_project: bool = True) -> Callable[[Command], Command]:
    """Add the options that choose the instance, and pass the open client as first argument.

    Args:
        in_project: whether the command works in a project, which an option names.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(
            *,
            database: str | None,
            url: str | None,
            api_key: str | None,
            api_key_file: str | None,
            project_of_client: str | None = None,
            **arguments: Any,
        ) -> None:
            warn_of_password(database)
            given = {"url": url, "api_key": api_key, "api_key_file": api_key_file}
            with (
                raise_on_signal(),
                _printed_warnings(),
                _explained_denials(given),
                open_client(database, given, access, project_of_client) as client,
            ):
                command(client, **arguments)

        for option in reversed((*_OPTIONS, *([_PROJECT_OPTION] if in_project else []))):
            run = option(run)
        return run

    return decorate


def open_client(
    database: str | None,
    given: Mapping[str, str | None],
    access: Access,
    project: str | None = None,
) -> Userkeep:
    """Open the instance that flags and environment name.

    Args:
        database: a path or a database URL.
        given: settings of the client by name; `url` is the URL of a server.
        project: the name of the project to work in, for a database that is opened here.

    Raises:
        SettingError: both are given, or one is invalid.
        StorageError: the database does not exist, or, if it is written, another process has it
            open.
        NotFound: there is no such project.
    """
    if database and given.get("url"):
        raise SettingError("Use --database or --url, not both.")
    client = load_client_settings(given)
    if client.url and not database:
        return _server(client.url, client, project)
    settings = load_settings({"database_url": database} if database else {})
    if project and access == "create":
        access = "write"  # a new database has no such project
    server_url = None
    if is_postgres(settings.database_url):
        _check_postgres(settings.database_url, access)
    else:
        server_url = _check_file(sqlite_path(settings.database_url), access)
    if server_url:
        return _server(server_url, client, project)
    if access != "read":
        from userkeep.instance import check_is_migrated  # what opens databases takes long to load

        check_is_migrated(settings)
    return Userkeep.open(
        settings.database_url, project=project or DEFAULT_NAME, read_only=access == "read"
    )


@contextmanager
def _printed_warnings() -> Iterator[None]:
    """Print the warnings of the SDK about a server as those of a command."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UnauthenticatedServerWarning)
        show_others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, UnauthenticatedServerWarning):
                print_error(f"warning: {message}")
            else:
                show_others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


@contextmanager
def _explained_denials(given: Mapping[str, str | None]) -> Iterator[None]:
    """Say where the key came from that a server does not accept, or how to send one."""
    try:
        yield
    except (Unauthenticated, Forbidden) as error:
        source = _source_of_key(given)
        if source is not None:
            error.detail = f"{error.detail} The key came from {source}."
        elif isinstance(error, Unauthenticated):
            error.detail = _NO_KEY
        raise


_NO_KEY = (
    "The server needs an API key, and none was given. Set USERKEEP_API_KEY, or name the file of a "
    "key with --api-key-file. `userkeep keys create` creates keys."
)


def _source_of_key(given: Mapping[str, str | None]) -> str | None:
    """Return where the key of a command came from; None if it has none."""
    client = load_client_settings(given)
    if client.api_key:
        return "--api-key" if given.get("api_key") else "USERKEEP_API_KEY"
    if client.api_key_file:
        return "--api-key-file" if given.get("api_key_file") else "USERKEEP_API_KEY_FILE"
    return None


def _server(url: str, client: ClientSettings, project: str | None) -> Userkeep:
    if project:
        raise SettingError(
            f"--project cannot be used with the server at {url}: the API key says in which project "
            "a request works."
        )
    try:
        return Userkeep(url, api_key=client.api_key or read_key_file(client.api_key_file) or None)
    except InvalidField as error:
        raise SettingError(error.detail) from error


def _check_file(path: str, access: Access) -> str | None:
    """Check that a command can use a file; return the URL of the server that has it open, if any.

    Raises:
        SettingError: it is not a file.
        StorageError: it does not exist, or, if it is written, another process has it open.
    """
    from userkeep.storage.sqlite.file_lock import locked_by_another, read_lock_holder

    if path == ":memory:":
        raise SettingError(
            "An in-memory database is lost when the command ends. Name a file with --database, or "
            "a server with --url."
        )
    if not Path(path).exists():
        if access == "create":
            return None
        raise StorageError(
            f"Database {path} does not exist. Name another with --database, or a server with "
            "--url; `userkeep serve` or `userkeep users add` creates this one."
        )
    holder = read_lock_holder(path)
    if holder is None:
        return None
    if holder.url is None and access == "read":
        return None
    if holder.url is None:
        raise StorageError(locked_by_another(path, holder))
    if sys.stderr.isatty():  # what a program captures stays free of it
        print_error(f"the server at {holder.url} has {path} open; calling it.")
    return holder.url


def _check_postgres(url: str, access: Access) -> None:
    if access != "write":
        return  # it is created, or checked when it is opened read-only
    from userkeep.storage.postgres.migrations import read_applied
    from userkeep.storage.postgres.server import describe_url

    if not read_applied(url):
        raise StorageError(
            f"{describe_url(url)} has no Userkeep database yet; `userkeep serve` or "
            "`userkeep users add` creates it."
        )
