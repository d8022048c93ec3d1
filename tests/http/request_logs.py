"""Captures what the server logs about requests."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from userkeep.cli.output.logs import JSONFormatter


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@contextmanager
def logged(name: str = "userkeep.requests") -> Iterator[list[Any]]:
    """Yield the records of a logger and of those below it, as the JSON format has them."""
    handler = _Lines()
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
