"""A deletion that a server goes on with after its answer: it is waited for, and told."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cli.running import environment_of, is_sentence, recollect
from tests.cli.terminals import on_terminal
from tests.serving import RECOLLECT

ID = "01a204d3-fd4f-7b04-a503-2bf951c2c06d"


def erasure(messages: int, *, is_erased: bool, **scrub: Any) -> dict[str, Any]:
    scrub_of = {"asked_at": None, "doing": None, "problem": None, "not_done": [], **scrub}
    return {
        "id": ID,
        "subject": "user",
        "subject_id": None if is_erased else "jane",
        "subject_uuid": ID,
        "state": "erased" if is_erased else "erasing",
        "counts": {"users": int(is_erased), "sessions": 2, "messages": messages},
        "started_at": "2026-11-22T11:30:00Z",
        "erased_at": "2026-11-22T11:31:00Z" if is_erased else None,
        "scrubbed_at": None,
        "scrub": scrub_of,
    }


class SlowServer(ThreadingHTTPServer):
    """A server that takes long to erase: it is asked so often before it is done."""

    daemon_threads = True

    def __init__(self, asked_until_erased: int) -> None:
        self.left = asked_until_erased
        self.is_to_scrub = False
        self.end: dict[str, Any] = {}
        self.was_asked = threading.Event()
        super().__init__(("127.0.0.1", 0), SlowHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class SlowHandler(BaseHTTPRequestHandler):
    server: SlowServer

    def do_DELETE(self) -> None:
        self.server.is_to_scrub = self.path.endswith("?scrub=now")
        self._answer(202, erasure(100, is_erased=False))

    def do_GET(self) -> None:
        assert self.path == f"/v1/erasures/{ID}"
        self.server.left -= 1
        self.server.was_asked.set()
        self._answer(200, self._erasure())

    def _erasure(self) -> dict[str, Any]:
        is_erased = self.server.left <= 0
        if not (is_erased and self.server.is_to_scrub):
            return erasure(4000, is_erased=is_erased)
        asked_at = "2026-11-22T11:31:00Z"
        if self.server.left > -3:
            doing = "writing the file anew"
            return erasure(4000, is_erased=True, asked_at=asked_at, doing=doing)
        return erasure(4000, is_erased=True, **self.server.end)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def slow_server(asked_until_erased: int) -> Iterator[SlowServer]:
    with SlowServer(asked_until_erased) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:  # or a test that fails keeps the whole run from ending
            server.shutdown()
            thread.join()


def test_an_erasure_that_goes_on_is_waited_for_and_printed_at_its_end(tmp_path: Path) -> None:
    with slow_server(3) as server:
        words = ("users", "delete", "jane", "--yes", "--json", "--url", server.url)
        result = recollect(*words, folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["state"] == "erased"
    assert server.left == 0


def test_a_terminal_shows_how_much_is_gone(tmp_path: Path) -> None:
    with slow_server(4) as server:
        words = ("users", "delete", "jane", "--yes", "--url", server.url)
        terminal = on_terminal(*words, folder=tmp_path)
    assert terminal.code == 0
    assert "Deleting user 'jane' … 4,000 messages gone" in terminal.text
    assert re.search(r"^state +erased", terminal.text, re.MULTILINE)


def test_a_scrub_that_was_asked_for_is_waited_for_and_shown(tmp_path: Path) -> None:
    with slow_server(2) as server:
        server.end = {"not_done": [{"step": "log", "why": "The role may not do it."}]}
        words = ("users", "delete", "jane", "--yes", "--scrub", "now", "--url", server.url)
        terminal = on_terminal(*words, folder=tmp_path)
    assert terminal.code == 0
    assert "Scrubbing user 'jane' … writing the file anew" in terminal.text
    assert "not done: log. The role may not do it." in terminal.text
    assert server.left == -3


def test_a_scrub_with_something_in_its_way_is_not_waited_for(tmp_path: Path) -> None:
    with slow_server(2) as server:
        problem = "The disk is full."
        server.end = {"asked_at": "2026-11-22T11:31:00Z", "problem": problem}
        words = ("users", "delete", "jane", "--yes", "--scrub", "now", "--url", server.url)
        result = recollect(*words, folder=tmp_path)
    assert result.returncode == 0
    assert problem in result.stdout


def test_who_does_not_wait_for_it_is_told_that_it_goes_on(tmp_path: Path) -> None:
    with slow_server(1_000_000) as server:
        process = subprocess.Popen(
            [str(RECOLLECT), "users", "delete", "jane", "--yes", "--url", server.url],
            cwd=tmp_path,
            env=environment_of(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert server.was_asked.wait(timeout=30)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert is_sentence(error)
    assert f"Erasure {ID} goes on by itself" in error
