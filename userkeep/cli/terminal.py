"""What a terminal is shown: tables that fit it, colour where it is one, times in words.

What users have written may hold anything; nothing of it reaches a terminal as a command to it.
"""

import io
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import click
import msgspec
from rich.console import Console
from rich.text import Text

_UNFOLDED = 100_000
"""Columns of what is no terminal: a program that reads a table wants its rows whole."""

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_UNITS = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_NOW_S = 5


def output() -> Console:
    """What goes to stdout."""
    return _console(sys.stdout)


def progress() -> Console:
    """What goes to stderr: progress and remarks."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")  # a terminal without this character is no reason to fail
    is_terminal = file.isatty()
    is_coloured = is_terminal and not os.environ.get("NO_COLOR")
    return Console(
        file=file,
        force_terminal=is_terminal,
        color_system="auto" if is_coloured else None,
        width=None if is_terminal else _UNFOLDED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def say(sentence: str) -> None:
    """A remark, on stderr."""
    progress().print(f"userkeep: {visible(sentence)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def visible(text: str) -> str:
    """A text without what a terminal would obey: such characters are written out."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_one_line(value: str | None) -> Text:
    """A value as a cell of a table."""
    text = visible(value or "").replace("\n", "\\n").replace("\t", "\\t")
    return Text(text)


def ago(moment: datetime | None) -> str:
    """A time in words: `3 minutes ago`."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if abs(seconds) < _NOW_S:
        return "just now"
    name, length = next(each for each in _UNITS if abs(seconds) >= each[1])
    words = counted(int(abs(seconds) // length), name)
    return f"{words} ago" if seconds > 0 else f"in {words}"


def exactly(moment: datetime | None) -> str:
    """A time in words, and as it is."""
    if moment is None:
        return ""
    text = moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")
    return f"{ago(moment)} ({text.removesuffix('+00:00')} UTC)"


def counted(count: int, name: str) -> str:
    """A number of things: `1 session`, `2,000 sessions`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"
