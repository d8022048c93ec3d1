"""The ways to call Userkeep. All have the same `request`, so one suite tests all of them.

- `in process`: the ASGI application, without a socket.
- `socket`: `userkeep serve` in a separate process.
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

from tests.serving import serving_with
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.server import make_application
from userkeep.worker.timers import SERVER_TIMERS, Timers


class Reply(NamedTuple):
    """A response: status, JSON or None, headers by lower-case name, and the raw text."""

    status: int
    json: Any
    headers: Mapping[str, str]
    text: str = ""


class Way(Protocol):
    """A way to call Userkeep: over HTTP, or with the typed methods of a client. Thread-safe."""

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

        Args:
            method: the HTTP method.
            path: the path of the operation, with `{}` for each id.
            ids: the ids of the path, not encoded.
            json: the body.
            content: the raw body, instead of `json`.
            params: the query string.
            headers: further headers.
        """
        ...


class HttpWay:
    """Sends HTTP requests with the function `send`."""

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
    """Run the ASGI application with its lifespan, on an event loop in its own thread."""
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
def loop_in_thread(
    loop: asyncio.AbstractEventLoop | None = None,
) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Yield a function that runs coroutines on one event loop, from any thread."""
    loop = loop or asyncio.new_event_loop()
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
    """Run a server in a separate process."""
    with (
        serving_with(settings, folder) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        yield HttpWay("socket", client.request)
