"""Who has a database open, and how that ends: an app in its own process, or a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from devtools.ports import free_port
from tests.residue.homes import SECRET, Home
from tests.serving import Server
from userkeep import Userkeep
from userkeep.sdk._sync.client import Client


class Opening(Protocol):
    """A database that is open.

    Attributes:
        client: to whoever has it open; any thread may use it.
        can_be_killed: whether `kill` ends a process.
    """

    client: Client
    can_be_killed: bool

    def kill(self) -> None:
        """End the process at once, and start it again."""
        ...

    def close(self) -> None:
        """End in good order."""
        ...


class Embedded:
    """An app in this process."""

    can_be_killed = False

    def __init__(self, home: Home) -> None:
        self.client: Client = Userkeep.open(home.url, secret=SECRET)

    def kill(self) -> None:
        """See Opening."""
        raise AssertionError("this would be the test's own end")

    def close(self) -> None:
        """See Opening."""
        self.client.close()


class Served:
    """`userkeep serve`, in a process of its own."""

    can_be_killed = True

    def __init__(self, home: Home) -> None:
        self._home = home
        self._port = free_port()
        self._server = self._started()
        self.client: Client = Userkeep(self._server.url)

    def kill(self) -> None:
        """See Opening."""
        self._server.kill()
        self._server = self._started()

    def close(self) -> None:
        """See Opening."""
        self.client.close()
        assert self._server.stop() == 0

    def _started(self) -> Server:
        settings = {"USERKEEP_SECRET": SECRET, "USERKEEP_LOG_LEVEL": "debug"}
        server = Server(
            self._home.folder, database_url=self._home.url, port=self._port, settings=settings
        )
        return server.wait_until_ready()


@contextmanager
def opened(home: Home, *, is_served: bool) -> Iterator[Opening]:
    """An open database, closed at the end."""
    opening = Served(home) if is_served else Embedded(home)
    try:
        yield opening
    finally:
        opening.close()
