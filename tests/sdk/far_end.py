"""The far end of a wire, which does what a test says: answers, breaks off, or keeps silent."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

import anyio

from userkeep import AsyncUserkeep, Userkeep

WAYS = ("sync", "asyncio", "trio")

USER = {
    "user_id": "jane",
    "uuid": "019a0000-0000-7000-8000-000000000000",
    "email": None,
    "first_name": None,
    "last_name": None,
    "metadata": None,
    "revision": 1,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


class Answer(NamedTuple):
    """An answer of the far end."""

    status: int = 200
    body: bytes = json.dumps(USER).encode()
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    """A request as it arrived, and the client's port: another port is another connection."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int


BROKEN = Answer(0)
SILENT = Answer(-1)
HTML = Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})


def refusal(status: int, code: str, **headers: str) -> Answer:
    """A problem as the server tells it."""
    problem = {"status": status, "code": code, "detail": f"{code} it is.", "fields": ["x"]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(problem).encode(), named)


class FarEnd:
    """Gives one answer after the other; the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[Asked] = []
        self.is_over = Event()
        self._answers = list(answers) or [Answer()]
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.far_end = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def keys(self) -> list[str | None]:
        """The idempotency keys that came."""
        return [each.headers.get("Idempotency-Key") for each in self.asked]

    def next_answer(self) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    far_end: FarEnd


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = dict(self.headers.items())
        far_end = self.server.far_end
        answer = far_end.next_answer()
        far_end.asked.append(Asked(self.command, self.path, said, body, self.client_address[1]))
        if answer is SILENT:
            far_end.is_over.wait(10)
        if answer is BROKEN or answer is SILENT:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        pass


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)


@contextmanager
def far_end(*answers: Answer) -> Iterator[FarEnd]:
    """A far end until the end of the block."""
    server = FarEnd(*answers)
    try:
        yield server
    finally:
        server.close()


def ask(way: str, url: str, do: Callable[[Any], Any], **options: Any) -> Any:
    """What `do` gives with a client: a Userkeep, or an AsyncUserkeep on an event loop."""
    if way == "sync":
        with Userkeep(url, **options) as client:
            return do(client)

    async def main() -> Any:
        async with AsyncUserkeep(url, **options) as client:
            return await do(client)

    return anyio.run(main, backend=way)
