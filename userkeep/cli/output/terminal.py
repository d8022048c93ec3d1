"""Consoles for stdout and stderr, and texts that are readable on a terminal."""

import io
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from userkeep.api.encoding import to_json_text
from userkeep.cli.output.escaping import echo, escape_control, escape_line
from userkeep.domain.values.counts import pluralize

_UNLIMITED = 100_000
"""Columns where stdout is not a terminal: a program that reads a table needs whole rows."""

_UNITS = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_NOW_S = 5


def stdout_console() -> Console:
    """Return a console for results."""
    return _console(sys.stdout)


def stderr_console() -> Console:
    """Return a console for progress and notes."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")  # the encoding of the terminal may lack a character
    is_terminal = file.isatty()
    is_coloured = is_terminal and not os.environ.get("NO_COLOR")
    return _SafeConsole(
        file=file,
        force_terminal=is_terminal,
        color_system="auto" if is_coloured else None,
        width=None if is_terminal else _UNLIMITED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


class _SafeConsole(Console):
    """Escapes control characters in every text that is given as a `str`."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text for printing, alone or as a cell of a table."""
        return super().render_str(escape_control(text), **options)


def print_note(sentence: str, console: Console | None = None) -> None:
    """Print a note on stderr.

    Args:
        console: the one that shows progress at the moment, if there is one.
    """
    (console or stderr_console()).print(f"userkeep: {escape_control(sentence)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    echo(msgspec.json.format(to_json_text(value), indent=2))


def one_line(value: str | None) -> Text:
    """Format a value as a cell of a table."""
    return Text(escape_line(value or ""))


def humanize(time: datetime | None) -> str:
    """Format a time relative to now: `3 minutes ago`."""
    if time is None:
        return ""
    seconds = (datetime.now(UTC) - time).total_seconds()
    if abs(seconds) < _NOW_S:
        return "just now"
    unit, length = next(each for each in _UNITS if abs(seconds) >= each[1])
    amount = pluralize(int(abs(seconds) // length), unit)
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def format_time(time: datetime | None) -> str:
    """Format a time in both ways: `3 minutes ago (2026-11-22 11:30:00.000 UTC)`."""
    if time is None:
        return ""
    text = time.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")
    return f"{humanize(time)} ({text.removesuffix('+00:00')} UTC)"
