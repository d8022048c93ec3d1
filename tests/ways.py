"""The ways into Userkeep, each behind the same `request`, so that one suite tests them all.

- `in process`: the ASGI application, without a socket.
- `socket`: `userkeep serve` in a process of its own.
- `embedded`, `embedded async`, `sdk`, `sdk async`: typed methods, in typed_ways.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx2

from tests.serving import serving
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.server import make_application
from userkeep.worker.timers import SERVER_TIMERS, Timers


class Reply(NamedTuple):
    """What came back: a status, the JSON (or None), headers by lower-case name, the raw text."""

    status: int
    json: Any
    headers: Mapping[str, str]
    text: str = ""


class Way(Protocol):
    """A way in, open to any number of threads.

    Ids in `path` are given as values and encoded by the way.
    """

    name: str

    def request(
        self,
        method: str,
        path: str,
        *ids: str,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request: `request("GET", "/v1/users/{}", "jane")`.

        `content` is a body as it is, in place of `json`.
        """
        ...


class HttpWay:
    """Sends HTTP requests, through whatever `send` sends them through."""

    def __init__(self, name: str, send: Callable[..., httpx2.Response]) -> None:
        self.name = name
        self._send = send

    def request(
        self,
        method: str,
        path: str,
        *ids: str,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url = path.format(*(quote(id_, safe="") for id_ in ids))
        body = {"json": json} if content is None else {"content": content}
        response = self._send(method, url, **body, params=params, headers=headers)
        is_json = "json" in response.headers.get("content-type", "")
        value = response.json() if is_json else None
        return Reply(response.status_code, value, response.headers, response.text)


@contextmanager
def in_process(settings: Settings, timers: Timers = SERVER_TIMERS) -> Iterator[Way]:
    """The ASGI application on a loop in a thread of its own, with its start and its end."""
    userkeep = open_instance(settings)
    application = make_application(userkeep, settings, timers)
    with loop_in_thread() as run:
        transport = httpx2.ASGITransport(app=application, raise_app_exceptions=True)
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        lifespan = application.lifespan_context(application)
        run(lifespan.__aenter__())
        try:
            yield HttpWay("in process", lambda *args, **kw: run(client.request(*args, **kw)))
        finally:
            run(client.aclose())
            run(lifespan.__aexit__(None, None, None))
            userkeep.close()


@contextmanager
def loop_in_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs coroutines on one loop, whichever thread asks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="in process")
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def over_socket(settings: Settings, folder: Path) -> Iterator[Way]:
    """A server in a process of its own."""
    with (
        serving(folder, database_url=settings.database_url) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        yield HttpWay("socket", client.request)
