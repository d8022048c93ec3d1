"""Servers that do not outlive their test, and counts that are printed in any case."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devtools.ports import free_port
from tests.long.counts import SEED
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
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints how much was done, with the seed."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def print_(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {text} (seed {SEED})")

    return print_
