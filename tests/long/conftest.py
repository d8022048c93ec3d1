"""Servers that stop with their test, and reports that are printed at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from devtools.ports import free_port
from tests.long.counts import DONE
from tests.serving import Server

Start = Callable[[], Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server on a separate database file, always on the same port."""
    port = free_port()
    with ExitStack() as stack:

        def start_() -> Server:
            server = Server(tmp_path, port=port)
            stack.callback(server.kill)
            return server

        yield start_


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Prints at the end of the run how much a test has done."""
    return partial(record_property, DONE)
