"""Texts that are safe on a terminal.

Users can store any characters. Control characters are escaped, so that no stored text can send
commands to a terminal; bidirectional ones too, which would show a text in another order than it is.
JSON is escaped wherever it is printed: it stays the same document, and may reach a terminal later.
"""

import logging
import re
import traceback
from types import TracebackType
from typing import Any, BinaryIO

import click

from userkeep.api.encoding import to_json_text

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]"
)
_LINE_BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def escape_control(text: str) -> str:
    r"""Replace each control character by its escape sequence, such as `\u001b`."""
    if text.isprintable():  # nearly always; it is the fastest check
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def escape_line(text: str) -> str:
    """Escape line breaks and tabs too."""
    return text if text.isprintable() else escape_control(text).translate(_LINE_BREAKS)


class SafeFormatter(logging.Formatter):
    """Formats log records without control characters; only tracebacks have several lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - overrides
        """Return the line of a record."""
        return escape_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return a record with its traceback."""
        return escape_control(super().format(record))


def print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an unexpected error; a `sys.excepthook`."""
    echo("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), is_error=True)


def echo(text: str, *, is_error: bool = False) -> None:
    """Print lines that may contain what users or servers sent, on stdout or stderr."""
    click.echo(escape_control(text), err=is_error)


def print_error(sentence: str) -> None:
    """Print why a command fails, in one line on stderr."""
    click.echo(f"userkeep: {escape_line(sentence)}", err=True)


def json_line(value: Any) -> bytes:
    """Return a JSON document without control characters, for printing."""
    return escape_json(to_json_text(value).encode())


def escape_json(document: bytes) -> bytes:
    """Escape the control characters of a JSON document, which can only be in its strings."""
    return escape_control(document.decode()).encode()


class TerminalFile:
    """Writes lines of JSON to a terminal, without control characters."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: bytes) -> int:
        """Write a line."""
        self._file.write(escape_json(line))
        return len(line)

    def flush(self) -> None:
        """Show what was written."""
        self._file.flush()
