"""Other clients of a server, in a process of their own: how long each of their requests waits.

python -m bench.stalls.watch PORT

It prints a line when it has begun. When its input ends, it prints the waits as JSON, those of
requests that are still in flight included.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from typing import Any, NamedTuple, Self

from bench.harness.servers import REPOSITORY

USER, SESSION = "watcher", "session-of-watcher"
_MESSAGES = f"/v1/sessions/{SESSION}/messages"
_TIMEOUT_S = 600.0


class Asked(NamedTuple):
    """What a watcher asks for, and after which pause it asks again.

    Attributes:
        is_new: open a connection for each request, as a health check does.
    """

    method: str
    path: str
    body: str | None = None
    pause_s: float = 0.02
    is_new: bool = False


HEALTH, APPEND, READ, SEARCH = "healthz", "append", "read", "search"
ASKED: Mapping[str, Asked] = {
    HEALTH: Asked("GET", "/healthz", is_new=True),
    APPEND: Asked(
        "POST", _MESSAGES, json.dumps({"messages": [{"role": "user", "content": "A short one."}]})
    ),
    READ: Asked("GET", f"/v1/users/{USER}"),
    SEARCH: Asked(
        "POST", "/v1/search", json.dumps({"session_id": SESSION, "query": "short"}), pause_s=0.2
    ),
}


class Wait(NamedTuple):
    """A request of a watcher; the status is 0 if it has no response, and None if in flight."""

    began: float
    ended: float
    status: int | None

    @property
    def took_s(self) -> float:
        return self.ended - self.began


class Watchers:
    """Runs the watchers of a server while it is entered."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.stalls.watch", str(port)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the watchers did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def finish(self) -> dict[str, list[Wait]]:
        """End the watchers, and return the waits of each."""
        text, _ = self._process.communicate()
        return {name: [Wait(*each) for each in waits] for name, waits in json.loads(text).items()}


class _Watcher:
    def __init__(self, port: int, asked: Asked) -> None:
        self._port, self._asked = port, asked
        self._connection = self._connected()
        self._done: list[Wait] = []
        self._began: float | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def waits(self) -> Sequence[Wait]:
        began = self._began
        return [*self._done, *([] if began is None else [Wait(began, monotonic(), None)])]

    def _run(self) -> None:
        while True:
            began = self._began = monotonic()
            status = self._ask()
            self._began = None
            self._done.append(Wait(began, monotonic(), status))
            sleep(self._asked.pause_s)

    def _ask(self) -> int:
        try:
            if self._asked.is_new:
                self._connection.close()
            self._connection.request(self._asked.method, self._asked.path, self._asked.body)
            response = self._connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            self._connection.close()
            return 0
        return response.status

    def _connected(self) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        connection.connect()
        return connection


def main() -> None:
    watchers = {name: _Watcher(int(sys.argv[1]), asked) for name, asked in ASKED.items()}
    print("watching", flush=True)
    sys.stdin.read()
    waits: dict[str, Any] = {name: watcher.waits() for name, watcher in watchers.items()}
    print(json.dumps(waits), flush=True)
    os._exit(0)  # some may wait for a server that does not respond


if __name__ == "__main__":
    main()
