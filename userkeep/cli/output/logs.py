"""Log records as lines: text, or JSON with fixed names.

A record can have `fields` (`extra={"fields": {…}}`): numbers, names and ids that programs read.
"""

import asyncio
import logging
import re
import sys
from collections import deque
from contextlib import nullcontext
from datetime import UTC, datetime
from time import time
from typing import Any, TextIO

import msgspec

from userkeep.cli.output.escaping import escape_control, escape_line
from userkeep.cli.output.tracebacks import format_traceback
from userkeep.http.request_log import REQUESTS, RequestFields, write_requests_by

_JOIN_S = 0.02

_BEFORE_VALUES = re.compile(r"[\n(<]")

_encode = msgspec.json.Encoder(enc_hook=str).encode
_OF_REQUEST = f'"level":"info","logger":"{REQUESTS}","message":"request",'


class _UtcFormatter(logging.Formatter):
    """Formats times as RFC 3339 in UTC, with milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ms = -1
        self._time = ""

    def time(self, created_s: float) -> str:
        """Return a time. The last one is kept: a busy server logs several requests in one."""
        now_ms = int(created_s * 1000)
        if now_ms != self._now_ms:
            second, ms = divmod(now_ms, 1000)
            moment = datetime.fromtimestamp(second, UTC)
            self._now_ms, self._time = now_ms, f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
        return self._time

    def request(self, created_s: float, fields: RequestFields) -> str:
        """Return the line of a request, with its end: what `format` returns of its record."""
        raise NotImplementedError

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802
        """Return the time of a record."""
        return self.time(record.created)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback of an error, without its text."""
        return "" if ei[1] is None else format_traceback(ei[1])


class TextFormatter(_UtcFormatter):
    """One line a record, its fields as `name=value` at the end; a traceback has more."""

    def request(self, created_s: float, fields: RequestFields) -> str:
        # Its fields have no characters that must be escaped.
        return f"{self.time(created_s)} INFO {REQUESTS}: request {fields.words()}\n"

    def format(self, record: logging.LogRecord) -> str:
        """Return a record without control characters."""
        line = (
            f"{self.formatTime(record)} {record.levelname} {record.name}: {_message(record)}"
            f"{_words(record.__dict__.get('fields'))}"
        )
        if not record.exc_info:
            return escape_line(line)
        traceback = escape_control(self.formatException(record.exc_info))
        return f"{escape_line(line)}\n{traceback}"


class JSONFormatter(_UtcFormatter):
    """One JSON object a record, in one line: time, level, logger, message, then its fields."""

    def request(self, created_s: float, fields: RequestFields) -> str:
        return f'{{"time":"{self.time(created_s)}",{_OF_REQUEST}{_encode(fields).decode()[1:]}\n'

    def format(self, record: logging.LogRecord) -> str:
        """Return a record; its traceback is the field `traceback`."""
        document: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_named(record.__dict__.get("fields")),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return escape_control(_encode(document).decode())


class JoiningHandler(logging.Handler):
    """Formats and writes the records of 20 ms together, which costs half of one at a time.

    From warnings on, and outside of an event loop, a record is written immediately.
    """

    formatter: "TextFormatter | JSONFormatter"

    def __init__(self, stream: TextIO, formatter: "TextFormatter | JSONFormatter") -> None:
        super().__init__()
        self._stream = stream
        self.formatter = formatter
        # Other threads may write what waits while one more is added.
        self._waiting: deque[logging.LogRecord | tuple[float, RequestFields]] = deque()
        self._flush_on: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, now or soon."""
        self._waiting.append(record)
        # What has arguments is formatted now: they may change.
        if record.args or record.levelno >= logging.WARNING:
            self.flush()
        else:
            self._flush_soon()

    def add_request(self, fields: RequestFields) -> None:
        """Write the line of a request soon."""
        self._waiting.append((time(), fields))
        if self._flush_on is None:
            self._flush_soon()

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            lines = []
            request, next_ = self.formatter.request, self._waiting.popleft
            while self._waiting:
                waiting = next_()
                lines.append(
                    request(*waiting) if isinstance(waiting, tuple) else self._line(waiting)
                )
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _flush_soon(self) -> None:
        loop = _running_loop()
        if loop is None:
            self.flush()
        elif self._flush_on is not loop:
            self._flush_on = loop
            loop.call_later(_JOIN_S, self._flush_from_loop)

    def _flush_from_loop(self) -> None:
        self._flush_on = None
        self.flush()

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
    formatter = JSONFormatter() if kind == "json" else TextFormatter()
    handler = JoiningHandler(sys.stderr, formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if handler in logging.getLogger().handlers:  # else the program has a log of its own already
        write_requests_by(handler.add_request)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _message(record: logging.LogRecord) -> str:
    """Return the message of a record.

    Of an error that no request has raised, asyncio also logs its text and the arguments of
    callbacks. They may have what users sent; the traceback has the place.
    """
    message = record.getMessage()
    if record.name == "asyncio" and record.exc_info:
        return _BEFORE_VALUES.split(message, maxsplit=1)[0].rstrip()
    return message


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
