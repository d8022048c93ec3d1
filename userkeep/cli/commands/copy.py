"""`userkeep copy`."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from time import perf_counter
from typing import Any, NamedTuple, TextIO

import click

from userkeep.cli.options import warn_of_password
from userkeep.cli.output.escaping import echo
from userkeep.cli.signals import run_until_signal
from userkeep.config import (
    SettingError,
    is_postgres,
    load_settings,
    sqlite_path,
    url_of_database,
    without_password,
)
from userkeep.domain.errors import StorageError
from userkeep.domain.secret import fingerprint
from userkeep.domain.values.counts import plural
from userkeep.instance import find_secret_file, secret_path
from userkeep.jobs.copy.checksums import Checksum
from userkeep.jobs.copy.job import (
    FINGERPRINT,
    START_AGAIN,
    CopiedTable,
    Copy,
    CopyReporter,
    Source,
    Target,
)
from userkeep.jobs.copy.tables import TABLES
from userkeep.services.instance import IF_IT_IS_LOST

_INTERRUPTED = "Interrupted. Run the same command again; it continues where it stopped."
_NAME_WIDTH = max(len(table.name) for table in TABLES)


class Report(NamedTuple):
    """The result of a copy.

    Attributes:
        source, target: the URLs, without passwords.
        seconds: how long it took.
        tables: the checksums of each table.
        secret: a sentence about the secret that the target needs.
    """

    source: str
    target: str
    seconds: float
    tables: list[CopiedTable]
    secret: str

    @property
    def differing(self) -> list[str]:
        """The names of tables that are not equal."""
        return [table.name for table in self.tables if not table.is_equal]


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def copy(*, source: str, target: str, as_json: bool) -> None:
    """Copy an instance into a new database.

    SRC and DST are paths of SQLite files or database URLs. A SQLite file at SRC must not be in use;
    a PostgreSQL database is copied as it is when the command starts. DST is created if it does
    not exist, and must be empty otherwise. At the end both are compared. If the command is
    interrupted, run it again: it continues where it stopped. DST cannot be used before the copy is
    complete.

    \b
    userkeep copy userkeep-data/userkeep.db postgresql://jane@db.example/userkeep
    userkeep copy postgresql://jane@db.example/userkeep /var/lib/userkeep.db
    userkeep copy old.db new.db
    """
    source, target = url_of_database(source), url_of_database(target)
    warn_of_password(source)
    warn_of_password(target)
    load_settings()  # reports a misspelled variable before anything happens
    _check_urls(source, target)
    report = _copy(source, target)
    echo(json.dumps(_as_json(report), indent=2) if as_json else _as_text(report))
    if report.differing:
        raise StorageError(
            f"The target differs from the source: {', '.join(report.differing)}. Either the source "
            "has changed since the copy started, or a disk has failed. The target cannot be used. "
            f"{START_AGAIN}"
        )


def _copy(source_url: str, target_url: str) -> Report:
    started = perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(_open_source(source_url))
        target = stack.enter_context(_open_target(target_url))
        job = Copy(source, target, stack.enter_context(_reporter(sys.stderr)))
        tables = run_until_signal(job.run, job.stop, _INTERRUPTED)
        known = source.instance_value(FINGERPRINT) or ""
    return Report(
        without_password(source_url),
        without_password(target_url),
        round(perf_counter() - started, 1),
        tables,
        _secret_sentence(source_url, target_url, known),
    )


def _check_urls(source_url: str, target_url: str) -> None:
    files = []
    for url in (source_url, target_url):
        if is_postgres(url):
            continue
        path = sqlite_path(url)
        if path == ":memory:":
            raise SettingError(
                "An in-memory database cannot be copied, because it ends with its process. Use "
                "a path or postgresql://host/database."
            )
        files.append(os.path.realpath(path))
    if source_url == target_url or (len(files) == 2 and files[0] == files[1]):
        raise SettingError("The source and the target are the same database.")


# A driver is imported only if a database needs it.


def _open_source(url: str) -> AbstractContextManager[Source]:
    if is_postgres(url):
        from userkeep.jobs.copy import postgres

        return postgres.source(url)

    from userkeep.jobs.copy import sqlite

    return sqlite.source(sqlite_path(url))


def _open_target(url: str) -> AbstractContextManager[Target]:
    if is_postgres(url):
        from userkeep.jobs.copy import postgres

        return postgres.target(url)

    from userkeep.jobs.copy import sqlite

    return sqlite.target(sqlite_path(url))


@contextmanager
def _reporter(file: TextIO) -> Iterator[CopyReporter]:
    if not file.isatty():
        yield _LineReporter(file)
        return
    reporter = _BarReporter(file)
    try:
        yield reporter
    finally:
        reporter.close()


class _LineReporter:
    """Prints a line for each table that is done, for logs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._table = ""
        self._rows = 0

    def start(self, rows: int) -> None:
        """Print nothing yet."""

    def start_table(self, step: str, table: str) -> None:
        """Start to count."""
        self._table = f"{step:<9}  {table:<{_NAME_WIDTH}}"
        self._rows = 0

    def advance(self, rows: int) -> None:
        """Count rows."""
        self._rows += rows

    def end_table(self) -> None:
        """Print the line."""
        click.echo(f"{self._table}  {self._rows:>12,} {plural(self._rows, 'row')}", file=self._file)


class _BarReporter:
    """Shows a progress bar over all rows, on a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._stack = ExitStack()
        self._bar: Any = None

    def start(self, rows: int) -> None:
        """Show the bar."""
        self._bar = self._stack.enter_context(
            click.progressbar(length=rows, file=self._file, show_pos=True)
        )

    def start_table(self, step: str, table: str) -> None:
        """Show the table."""
        self._bar.label = f"{step:<9} {table:<{_NAME_WIDTH}}"
        self._bar.render_progress()

    def advance(self, rows: int) -> None:
        """Move the bar."""
        self._bar.update(rows)

    def end_table(self) -> None:
        """Leave the bar as it is."""

    def close(self) -> None:
        """End the line of the bar."""
        self._stack.close()


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "source": report.source,
        "target": report.target,
        "is_verified": not report.differing,
        "seconds": report.seconds,
        "secret": report.secret,
        "tables": [
            {
                "table": table.name,
                "is_equal": table.is_equal,
                "source": table.source._asdict(),
                "target": table.target._asdict(),
            }
            for table in report.tables
        ],
    }


def _as_text(report: Report) -> str:
    lines = [f"{'table':<{_NAME_WIDTH}}  {'rows':>12}  checksum"]
    for table in report.tables:
        if table.is_equal:
            lines.append(_line(table.name, table.source))
        else:
            lines.append(_line(table.name, table.source, "source: DIFFERENT"))
            lines.append(_line("", table.target, "target: DIFFERENT"))
    if not report.differing:
        lines += [
            f"Copied {report.source} to {report.target} and verified it in {report.seconds} s.",
            report.secret,
        ]
    return "\n".join(lines)


def _line(name: str, checksum: Checksum, remark: str = "") -> str:
    return f"{name:<{_NAME_WIDTH}}  {checksum.rows:>12,}  {checksum.digest}  {remark}".rstrip()


def _secret_sentence(source_url: str, target_url: str, known: str) -> str:
    """Say where the secret with a fingerprint is, or that it was not found."""
    needed = "The target needs the secret of the source:"
    of_source = load_settings({"database_url": source_url})
    if of_source.secret and fingerprint(of_source.secret.encode()) == known:
        return f"{needed} start its server with the same USERKEEP_SECRET."
    source_file = find_secret_file(known, of_source)
    if source_file is None:
        looked_at = "USERKEEP_SECRET" if of_source.secret else f"The file {secret_path(of_source)}"
        return (
            f"{needed} it was not found. {looked_at} is missing or has another one. Find the "
            f"secret that the source was created with. {IF_IT_IS_LOST}"
        )
    target_file = secret_path(load_settings({"database_url": target_url}))
    if source_file == target_file:
        return f"{needed} the file {source_file}, which a server of the target reads too."
    return (
        f"{needed} the file {source_file}. Copy it to {target_file}, which a server of "
        "the target reads, or name it in USERKEEP_SECRET_FILE."
    )
