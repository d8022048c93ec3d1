"""Servers that do not outlive their test, and counts that are printed at the end."""

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
    """Starts a server on the test's own file, always on the same port."""
    port = free_port()
    with ExitStack() as stack:

        def start_() -> Server:
            server = Server(tmp_path, port=port)
            stack.callback(server.kill)
            return server

        yield start_


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have it printed at the end of the run how much was done."""
    return partial(record_property, DONE)
