"""Instances on a database: embedded in this process, or a server."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Protocol, cast

import msgspec

from devtools.ports import free_port
from tests.embedders import MadeUpEmbedder, embed_all
from tests.embedding_server import EmbeddingServer
from tests.residue.databases import SECRET, Database
from tests.serving import Server
from userkeep import Userkeep
from userkeep.embedded import EmbeddedTransport
from userkeep.sdk._sync.client import Client

_DIMENSIONS = 1_024
_GREATEST = 127


def encode(text: str, dimensions: int = _DIMENSIONS) -> list[float]:
    """Return a vector whose stored bytes are the beginning of the text, and so have its marks."""
    letters = text.encode("ascii", "replace")[: _DIMENSIONS - 1].ljust(_DIMENSIONS - 1)
    values = [_GREATEST, *letters]
    length = math.hypot(*values)
    return [value / length for value in values]


def _encode_all(texts: list[str], dimensions: int) -> list[list[float]]:
    return [encode(text, dimensions) for text in texts]


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

    def embed(self, random: Random) -> None:
        """Embed what is there, perhaps with another model than before; a server does it itself."""
        ...

    def close(self) -> None:
        """Stop the instance."""
        ...


class EmbeddedInstance:
    """An embedded instance in this process."""

    can_be_killed = False

    def __init__(self, database: Database) -> None:
        self.client: Client = Userkeep.open(database.url, secret=SECRET)
        self._embedder = MadeUpEmbedder(encoder=encode)
        transport = cast("EmbeddedTransport", self.client._transport)
        scope = transport.opened.scope
        rules = msgspec.structs.replace(scope.rules, has_embedder=True)
        scope = msgspec.structs.replace(scope, rules=rules)
        self._opened = transport.opened = msgspec.structs.replace(transport.opened, scope=scope)

    def embed(self, random: Random) -> None:
        if random.random() < 0.2:
            self._embedder = MadeUpEmbedder(f"{random.getrandbits(32)}", encoder=encode)
        embed_all(self._opened, self._embedder)

    def kill(self) -> None:
        raise AssertionError("this would kill the test")

    def close(self) -> None:
        self.client.close()


class ServerInstance:
    """`userkeep serve` in a separate process."""

    can_be_killed = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._endpoint = EmbeddingServer(_encode_all)
        self._port = free_port()
        self._server = self._start()
        self.client: Client = Userkeep(self._server.url)

    def kill(self) -> None:
        self._server.kill()
        self._server = self._start()

    def close(self) -> None:
        self.client.close()
        assert self._server.stop() == 0
        self._endpoint.close()

    def embed(self, random: Random) -> None:
        pass

    def _start(self) -> Server:
        settings = {
            "USERKEEP_SECRET": SECRET,
            "USERKEEP_LOG_LEVEL": "debug",
            **self._endpoint.settings,
        }
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
