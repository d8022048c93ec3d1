"""A deletion that a server continues after its response: the command waits and shows progress."""

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

from tests.cli.running import environment_of, is_sentence, userkeep
from tests.cli.terminals import on_terminal
from tests.serving import USERKEEP

ID = "01a204d3-fd4f-7b04-a503-2bf951c2c06d"


def erasure(messages: int, *, is_deleted: bool, **purge: Any) -> dict[str, Any]:
    purge_of = {"requested_at": None, "phase": None, "problem": None, "skipped_steps": [], **purge}
    return {
        "id": ID,
        "subject": "user",
        "subject_id": None if is_deleted else "jane",
        "subject_uuid": ID,
        "state": "deleted" if is_deleted else "deleting",
        "counts": {"users": int(is_deleted), "sessions": 2, "messages": messages, "documents": 0},
        "started_at": "2026-11-22T11:30:00Z",
        "deleted_at": "2026-11-22T11:31:00Z" if is_deleted else None,
        "purged_at": None,
        "purge": purge_of,
    }


class SlowServer(ThreadingHTTPServer):
    """A server whose deletion is done after some polls."""

    daemon_threads = True

    def __init__(self, polls_until_deleted: int) -> None:
        self.left = polls_until_deleted
        self.is_to_purge = False
        self.end: dict[str, Any] = {}
        self.was_asked = threading.Event()
        super().__init__(("127.0.0.1", 0), SlowHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class SlowHandler(BaseHTTPRequestHandler):
    server: SlowServer

    def do_DELETE(self) -> None:
        self.server.is_to_purge = self.path.endswith("?purge=now")
        self._answer(202, erasure(100, is_deleted=False))

    def do_GET(self) -> None:
        assert self.path == f"/v1/erasures/{ID}"
        self.server.left -= 1
        self.server.was_asked.set()
        self._answer(200, self._erasure())

    def _erasure(self) -> dict[str, Any]:
        is_deleted = self.server.left <= 0
        if not (is_deleted and self.server.is_to_purge):
            return erasure(4000, is_deleted=is_deleted)
        requested_at = "2026-11-22T11:31:00Z"
        if self.server.left > -3:
            phase = "rewriting the file"
            return erasure(4000, is_deleted=True, requested_at=requested_at, phase=phase)
        return erasure(4000, is_deleted=True, **self.server.end)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def slow_server(polls_until_deleted: int) -> Iterator[SlowServer]:
    with SlowServer(polls_until_deleted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:  # or a test that fails keeps the whole run from ending
            server.shutdown()
            thread.join()


def test_a_running_erasure_is_waited_for_and_printed_at_its_end(tmp_path: Path) -> None:
    with slow_server(3) as server:
        words = ("users", "delete", "jane", "--yes", "--json", "--url", server.url)
        result = userkeep(*words, folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["state"] == "deleted"
    assert server.left == 0


def test_a_terminal_shows_how_much_is_deleted(tmp_path: Path) -> None:
    with slow_server(4) as server:
        words = ("users", "delete", "jane", "--yes", "--url", server.url)
        terminal = on_terminal(*words, folder=tmp_path)
    assert terminal.code == 0
    assert "Deleting user 'jane' … 4,000 messages deleted" in terminal.text
    assert re.search(r"^state +deleted", terminal.text, re.MULTILINE)


def test_a_requested_purge_is_waited_for_and_shown(tmp_path: Path) -> None:
    with slow_server(2) as server:
        server.end = {"skipped_steps": [{"step": "log", "reason": "The role may not do it."}]}
        words = ("users", "delete", "jane", "--yes", "--purge", "now", "--url", server.url)
        terminal = on_terminal(*words, folder=tmp_path)
    assert terminal.code == 0
    assert "Purging user 'jane' … rewriting the file" in terminal.text
    assert "skipped: log. The role may not do it." in terminal.text
    assert server.left == -3


def test_a_purge_with_a_problem_is_not_waited_for(tmp_path: Path) -> None:
    with slow_server(2) as server:
        problem = "The disk is full."
        server.end = {"requested_at": "2026-11-22T11:31:00Z", "problem": problem}
        words = ("users", "delete", "jane", "--yes", "--purge", "now", "--url", server.url)
        result = userkeep(*words, folder=tmp_path)
    assert result.returncode == 0
    assert problem in result.stdout


def test_an_interrupted_command_says_that_the_deletion_continues(tmp_path: Path) -> None:
    with slow_server(1_000_000) as server:
        process = subprocess.Popen(
            [str(USERKEEP), "users", "delete", "jane", "--yes", "--url", server.url],
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
    assert f"Erasure {ID} continues automatically" in error
