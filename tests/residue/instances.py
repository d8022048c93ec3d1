"""Instances on a database: embedded in this process, or a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from devtools.ports import free_port
from tests.residue.databases import SECRET, Database
from tests.serving import Server
from userkeep import Userkeep
from userkeep.sdk._sync.client import Client


class Instance(Protocol):
    """A running instance.

    Attributes:
        client: a client of the instance; any thread can use it.
        can_be_killed: whether `kill` ends a process.
    """

    client: Client
    can_be_killed: bool

    def kill(self) -> None:
        """Kill the process and start it again."""
        ...

    def close(self) -> None:
        """Stop the instance."""
        ...


class EmbeddedInstance:
    """An embedded instance in this process."""

    can_be_killed = False

    def __init__(self, database: Database) -> None:
        self.client: Client = Userkeep.open(database.url, secret=SECRET)

    def kill(self) -> None:
        raise AssertionError("this would kill the test")

    def close(self) -> None:
        self.client.close()


class ServerInstance:
    """`userkeep serve` in a separate process."""

    can_be_killed = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._port = free_port()
        self._server = self._start()
        self.client: Client = Userkeep(self._server.url)

    def kill(self) -> None:
        self._server.kill()
        self._server = self._start()

    def close(self) -> None:
        self.client.close()
        assert self._server.stop() == 0

    def _start(self) -> Server:
        settings = {"USERKEEP_SECRET": SECRET, "USERKEEP_LOG_LEVEL": "debug"}
        server = Server(
            self._database.folder,
            database_url=self._database.url,
            port=self._port,
            settings=settings,
        )
        return server.wait_until_ready()


@contextmanager
def running(database: Database, *, is_served: bool) -> Iterator[Instance]:
    """Start an instance and stop it at the end."""
    instance = ServerInstance(database) if is_served else EmbeddedInstance(database)
    try:
        instance.client.user.list(q="any")  # from now on, the words of users are stored too
        yield instance
    finally:
        instance.close()
