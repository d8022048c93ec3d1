"""Metrics of one server, in the formats of Prometheus.

Each server has a registry of its own, because several can run in one process.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from time import monotonic, time
from typing import NamedTuple

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
from userkeep.http.health import ReadinessChecks
from userkeep.http.metrics.families import families
from userkeep.http.metrics.sources import Scrape, Sources
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse
from userkeep.services.monitoring import StoredFigures, stored_figures
from userkeep.worker.threads import run_in_daemon_thread

_KEPT_S = 5.0
_RESPONSE_S = 5.0


class _Found(NamedTuple):
    stored: StoredFigures | None
    at_s: float


class Metrics:
    """The metrics of a server.

    Args:
        sources: where the numbers come from.
        readiness: the checks of `/readyz`, which are metrics too.

    Attributes:
        requests: count them there.
    """

    def __init__(self, sources: Sources, readiness: ReadinessChecks) -> None:
        self._sources = sources
        self.requests = sources.requests
        self._readiness = readiness
        self._found = _Found(None, -_KEPT_S)
        self._turn = asyncio.Lock()
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    async def response(self, request: Request) -> Response:
        """Return the metrics as text, in the format that the client accepts."""
        accepted = request.header(b"accept") or ""
        async with self._turn:
            # Together: each waits up to 5 s for a database that hangs, and Prometheus waits 10 s.
            found = await asyncio.gather(self._readiness.run(), self._stored())
            scrape = Scrape(*found, time())
            # In a thread of its own: on the event loop others would wait for it, and it must not
            # wait for the threads that large requests use.
            encode = partial(self._encode, scrape, accepted)
            text, content_type = await run_in_daemon_thread(encode, "userkeep-metrics")
        return RawResponse(text, 200, content_type)

    def _encode(self, scrape: Scrape, accepted: str) -> tuple[bytes, bytes]:
        encode, content_type = choose_encoder(accepted)
        return encode(_Collected(self, scrape)), content_type.encode()

    def collect(self, scrape: Scrape) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from families(self._sources, scrape)
        yield from self._process.collect()

    async def _stored(self) -> StoredFigures | None:
        """Return what the database knows, which is read once for several scrapes."""
        if monotonic() - self._found.at_s > _KEPT_S:
            self._found = _Found(await self._read(), monotonic())
        return self._found.stored

    async def _read(self) -> StoredFigures | None:
        # In a thread: with many projects it takes longer than others may wait on the loop.
        reading = self._sources.engine.read_async(stored_figures, is_bounded=False)
        try:
            return await asyncio.wait_for(reading, _RESPONSE_S)
        except (UserkeepError, TimeoutError):
            return None


class _Collected(NamedTuple):
    """The metrics of one scrape, as an encoder wants them."""

    metrics: Metrics
    scrape: Scrape

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        return self.metrics.collect(self.scrape)
