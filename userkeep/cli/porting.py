"""What `userkeep port` does, and how it is told."""

import json
import os
import sys
from contextlib import AbstractContextManager, ExitStack
from time import perf_counter
from typing import Any, NamedTuple, TextIO

import click

from userkeep.config import (
    SettingError,
    is_postgres,
    load_settings,
    sqlite_path,
    without_password,
)
from userkeep.domain.errors import StorageError
from userkeep.instance import secret_path
from userkeep.storage.porting.checksums import Checksum
from userkeep.storage.porting.copying import START_ANEW, Ported, Progress, Readable, Writable, port


class Report(NamedTuple):
    """How a port ended.

    Attributes:
        source, target: the URLs, without passwords.
        seconds: how long it took.
        tables: each at both ends.
        secret: a sentence about the secret that the target needs.
    """

    source: str
    target: str
    seconds: float
    tables: list[Ported]
    secret: str

    @property
    def different(self) -> list[str]:
        """The tables that do not hold the same."""
        return [table.name for table in self.tables if not table.is_equal]


def port_instance(source_url: str, target_url: str) -> Report:
    """Copy an instance, or go on with it, and compare both ends; progress goes to stderr.

    Raises:
        SettingError: a URL is not one that can be ported from or to.
        StorageError: see storage.porting.copying.port.
    """
    load_settings()  # a misspelt variable is told before anything happens
    _check(source_url, target_url)
    began = perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(_source(source_url))
        target = stack.enter_context(_target(target_url))
        tables = port(source, target, stack.enter_context(_shown(sys.stderr)))
    return Report(
        without_password(source_url),
        without_password(target_url),
        round(perf_counter() - began, 1),
        tables,
        _secret_sentence(source_url, target_url),
    )


def print_report(report: Report, *, as_json: bool) -> None:
    """Print what was ported, and whether it is the same at both ends.

    Raises:
        StorageError: it is not.
    """
    if as_json:
        click.echo(json.dumps(_as_json(report), indent=2))
    else:
        click.echo(_as_text(report))
    if report.different:
        raise StorageError(
            f"The target does not hold what the source holds: {', '.join(report.different)} "
            "differ, because the source has changed since the port began, or a disk has failed. "
            f"No server opens the target as it is. {START_ANEW}"
        )


def _check(source_url: str, target_url: str) -> None:
    files = []
    for url in (source_url, target_url):
        if is_postgres(url):
            continue
        path = sqlite_path(url)
        if path == ":memory:":
            raise SettingError(
                "A database in memory cannot be ported: it is gone with its process. "
                "Name a file, sqlite:///path/to/file.db, or postgresql://host/database."
            )
        files.append(os.path.realpath(path))
    if source_url == target_url or (len(files) == 2 and files[0] == files[1]):
        raise SettingError("The source and the target are the same database.")


# A driver is loaded when it is used, as for a server.


def _source(url: str) -> AbstractContextManager[Readable]:
    if is_postgres(url):
        from userkeep.storage.porting import postgres

        return postgres.source(url)

    from userkeep.storage.porting import sqlite

    return sqlite.source(sqlite_path(url))


def _target(url: str) -> AbstractContextManager[Writable]:
    if is_postgres(url):
        from userkeep.storage.porting import postgres

        return postgres.target(url)

    from userkeep.storage.porting import sqlite

    return sqlite.target(sqlite_path(url))


def _shown(file: TextIO) -> "AbstractContextManager[Progress]":
    return _Bar(file) if file.isatty() else _Lines(file)


class _Lines:
    """A line for each table that is done, for logs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._table = ""
        self._rows = 0

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, rows: int) -> None:
        """See storage.porting.copying.Progress."""

    def enter(self, doing: str, table: str) -> None:
        """See storage.porting.copying.Progress."""
        self._table = f"{doing:<9}  {table:<12}"
        self._rows = 0

    def advance(self, rows: int) -> None:
        """See storage.porting.copying.Progress."""
        self._rows += rows

    def leave(self) -> None:
        """See storage.porting.copying.Progress."""
        click.echo(f"{self._table}  {self._rows:>12,} rows", file=self._file)


class _Bar:
    """One bar over all rows, for a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._open = ExitStack()
        self._bar: Any = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def begin(self, rows: int) -> None:
        """See storage.porting.copying.Progress."""
        self._bar = self._open.enter_context(
            click.progressbar(length=rows, file=self._file, show_pos=True)
        )

    def enter(self, doing: str, table: str) -> None:
        """See storage.porting.copying.Progress."""
        self._bar.label = f"{doing:<9} {table:<12}"
        self._bar.render_progress()

    def advance(self, rows: int) -> None:
        """See storage.porting.copying.Progress."""
        self._bar.update(rows)

    def leave(self) -> None:
        """See storage.porting.copying.Progress."""


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "source": report.source,
        "target": report.target,
        "is_verified": not report.different,
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
    lines = [f"{'table':<12}  {'rows':>12}  checksum"]
    for table in report.tables:
        if table.is_equal:
            lines.append(_line(table.name, table.source))
        else:
            lines.append(_line(table.name, table.source, "source: DIFFERENT"))
            lines.append(_line("", table.target, "target: DIFFERENT"))
    if not report.different:
        lines += [
            f"{report.target} holds what {report.source} held, verified, in {report.seconds} s.",
            report.secret,
        ]
    return "\n".join(lines)


def _line(name: str, checksum: Checksum, remark: str = "") -> str:
    return f"{name:<12}  {checksum.rows:>12,}  {checksum.digest}  {remark}".rstrip()


def _secret_sentence(source_url: str, target_url: str) -> str:
    begin = "The target opens with the source's secret and no other:"
    of_source = load_settings({"database_url": source_url})
    if of_source.secret:
        return f"{begin} start its server with the same USERKEEP_SECRET."
    there = secret_path(of_source)
    wanted = secret_path(load_settings({"database_url": target_url}))
    if there == wanted:
        return f"{begin} that is the file {there}, where a server of the target looks too."
    return (
        f"{begin} unless set otherwise that is the file {there}. Copy it to {wanted}, where a "
        "server of the target looks, or name it in USERKEEP_SECRET_FILE."
    )
