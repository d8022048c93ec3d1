"""Log records as lines: text, or JSON with fixed names.

A record can have `fields` (`extra={"fields": {…}}`): numbers, names and ids that programs read.
"""

import asyncio
import logging
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from userkeep.cli.output.escaping import escape_control, escape_line

_JOIN_S = 0.02

_encode = msgspec.json.Encoder(enc_hook=str).encode


class _UtcFormatter(logging.Formatter):
    """Formats times as RFC 3339 in UTC, with milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._prefix = ""

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802
        """Return the time of a record. The text of a second is kept: it is half of the work."""
        second = int(record.created)
        if second != self._second:
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._prefix}.{int(record.msecs):03d}Z"


class TextFormatter(_UtcFormatter):
    """One line a record, its fields as `name=value` at the end; a traceback has more."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record without control characters."""
        line = (
            f"{self.formatTime(record)} {record.levelname} {record.name}: {record.getMessage()}"
            f"{_words(record.__dict__.get('fields'))}"
        )
        if not record.exc_info:
            return escape_line(line)
        traceback = escape_control(self.formatException(record.exc_info))
        return f"{escape_line(line)}\n{traceback}"


class JSONFormatter(_UtcFormatter):
    """One JSON object a record, in one line: time, level, logger, message, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record; its traceback is the field `traceback`."""
        document: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_named(record.__dict__.get("fields")),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return escape_control(_encode(document).decode())


class JoiningHandler(logging.Handler):
    """Formats and writes the records of 20 ms together, which costs half of one at a time.

    From warnings on, and outside of an event loop, a record is written immediately.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, now or soon."""
        self._waiting.append(record)
        # What has arguments is formatted now: they may change.
        loop = None if record.args or record.levelno >= logging.WARNING else _running_loop()
        if loop is None:
            self.flush()
        elif len(self._waiting) == 1:
            loop.call_later(_JOIN_S, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            waiting, self._waiting = self._waiting, []
            lines = [self._line(record) for record in waiting]
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception:
            self.handleError(record)
            return ""


def configure_logging(level: str, kind: str) -> None:
    """Write log records of a level and above to stderr, as text or as JSON.

    Args:
        level: a name of a level, in lower case.
        kind: `text` or `json`.
    """
    # The formats show neither the line of the code nor thread, process and task. Without them, a
    # record costs half.
    logging._srcfile = None  # as the manual of logging describes it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging)["logAsyncioTasks"] = False  # new in Python 3.12
    handler = JoiningHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if kind == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _named(fields: Any) -> dict[str, Any]:
    """Return fields as a dict. Those of a request are a struct."""
    return msgspec.to_builtins(fields) if fields else {}


def _words(fields: Any) -> str:
    """Return fields as ` name=value name=value`; empty without any."""
    if not fields:
        return ""
    if not isinstance(fields, dict):
        return f" {fields}"
    return "".join([f" {name}={_word(value)}" for name, value in fields.items()])


def _word(value: Any) -> Any:
    if value is None or value == "":
        return "-"
    return f'"{value}"' if isinstance(value, str) and " " in value else value
