"""What metrics are made of: plain numbers of the parts of a server."""

from collections.abc import Mapping
from typing import NamedTuple

from userkeep.domain.embedding import Embedder
from userkeep.domain.purge import Schedule
from userkeep.http.authentication import Authenticator
from userkeep.http.connections import Connections
from userkeep.http.health import Readiness
from userkeep.http.metrics.requests import RequestFigures
from userkeep.services.monitoring import StoredFigures
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import Ledger
from userkeep.worker.worker import Worker


class Sources(NamedTuple):
    """The parts of a server.

    Attributes:
        ledger: records deletions.
        schedule: when deleted data is purged.
        wal_limit_bytes: the size above which SQLite's WAL is truncated.
        connections: those of its clients; None if something else holds them.
        embedder: makes embeddings; None if there is no embedding model.
    """

    engine: Engine
    worker: Worker
    authenticator: Authenticator
    requests: RequestFigures
    ledger: Ledger
    schedule: Schedule
    wal_limit_bytes: int
    connections: Connections | None
    embedder: Embedder | None = None


class Scrape(NamedTuple):
    """What was asked for one scrape.

    Attributes:
        readiness: the result of all checks.
        stored: what the database knows; None if it did not respond.
        now_s: the time, as Unix time.
    """

    readiness: Readiness
    stored: StoredFigures | None
    now_s: float


Labels = Mapping[str, str]
