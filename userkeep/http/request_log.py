"""One log record for each request: what was asked, how it ended, how long it took.

It has the template of the path and no id, value or address of the request: logs are kept for longer
than the users they would name.
"""

import logging
import re
from collections.abc import Callable
from random import Random
from time import time

import msgspec

SLOW_MS = 1000.0
"""From so many milliseconds on, a request is logged as a warning."""

CLIENT_CLOSED = 499
"""The status in the log of a request whose client left before the response (as in nginx)."""

REQUEST_ID_HEADER = b"x-request-id"

REQUESTS = "userkeep.requests"

logger = logging.getLogger(REQUESTS)

_VISIBLE_ASCII = re.compile(rb"[!-~]{1,128}")

_random = Random()  # noqa: S311 - for ids, which need no secrecy


def request_id_of(header: bytes | None) -> str:
    """Return the id that a client sent, if it is 1 to 128 visible ASCII characters; else a new one.

    Args:
        header: the value of X-Request-Id; None if there is none.
    """
    if header is not None and _VISIBLE_ASCII.fullmatch(header):
        return header.decode()
    return f"{_random.getrandbits(64):016x}"


class RequestFields(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of a request's record.

    Attributes:
        route: the template of the path; empty if it is unknown.
        duration_ms: from the head of the request to the last byte that was handed to the system.
        bytes: the bytes of the response body.
        key_id: the id of the key; None without one.
        aborted: whether the response was begun and not completed.
    """

    method: str
    route: str
    status: int
    duration_ms: float
    bytes: int
    request_id: str
    key_id: str | None
    aborted: bool = False

    def __str__(self) -> str:
        return self.words()

    def words(self) -> str:
        """Return all fields as `name=value`; `-` stands for what there is not."""
        return (
            f"method={self.method or '-'} route={self.route or '-'} status={self.status} "
            f"duration_ms={self.duration_ms:.2f} bytes={self.bytes} "
            f"request_id={self.request_id} key_id={self.key_id or '-'}"
            f"{' aborted=true' if self.aborted else ''}"
        )


def log_request(fields: RequestFields) -> None:
    """Log a request: 500 as an error; other 5xx and slow ones as a warning; others as info."""
    if fields.status < 500 and fields.duration_ms < SLOW_MS:
        if is_logged():
            log_usual_request(fields)
        return
    level = logging.ERROR if fields.status == 500 else logging.WARNING
    if logger.isEnabledFor(level):
        logger.handle(_Record(level, fields))


def log_usual_request(fields: RequestFields) -> None:
    """Log a request that is neither slow nor failed, if these are logged: see `is_logged`."""
    _write[0](fields)


def write_requests_by(write: Callable[[RequestFields], None]) -> None:
    """Let a program that has one log for all write the lines of usual requests itself.

    A record that passes through `logging` costs as much as a fifth of the cheapest request.
    """
    _write[0] = write


def is_logged() -> bool:
    """Return whether requests that are neither slow nor failed are logged."""
    return logger.isEnabledFor(logging.INFO)


class _Record(logging.LogRecord):
    """A record whose attributes, but for the time, are copied: making them costs as much as a read
    of a user.
    """

    def __init__(self, level: int, fields: RequestFields) -> None:
        now_s = time()
        self.__dict__ = {
            **_ATTRIBUTES[level],
            "created": now_s,
            "msecs": now_s % 1 * 1000,
            "fields": fields,
        }


_ATTRIBUTES = {
    level: vars(logging.LogRecord(logger.name, level, __file__, 0, "request", None, None))
    for level in (logging.INFO, logging.WARNING, logging.ERROR)
}


def _write_by_logging(fields: RequestFields) -> None:
    logger.handle(_Record(logging.INFO, fields))


_write: list[Callable[[RequestFields], None]] = [_write_by_logging]
