"""Those who are served while something else goes on: how long each of their requests waits.

A bystander has one connection, and asks again when it has its answer. Nothing is left out: a
request that is refused, or that waits for minutes, counts as any other.
"""

import threading
from collections.abc import Iterator, Sequence
from time import perf_counter, sleep
from typing import NamedTuple, Self

from bench.measure import Client
from bench.servers import Server

PATIENCE_S = 900.0


class Window(NamedTuple):
    """A time, from when to when."""

    began: float
    ended: float

    @property
    def took_s(self) -> float:
        """How long it is."""
        return self.ended - self.began


class Wait(NamedTuple):
    """When a request was sent, when its answer was there, and with which status."""

    sent: float
    answered: float
    status: int

    @property
    def took_s(self) -> float:
        """How long it was."""
        return self.answered - self.sent


class Bystander:
    """Asks in a thread, from entering to leaving.

    Args:
        requests: each is sent once.
        pause_s: between an answer and the next request, so that this is no load by itself.
    """

    def __init__(self, server: Server, requests: Iterator[bytes], *, pause_s: float = 0.0) -> None:
        self._client = Client(server, patience_s=PATIENCE_S)
        self._requests = requests
        self._pause_s = pause_s
        self._waits: list[Wait] = []
        self._is_leaving = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving = True
        self._thread.join()
        self._client.close()

    def during(self, windows: Sequence[Window]) -> "Waits":
        """What was under way at some time of windows; to be asked when it has left."""
        if self._error is not None:
            raise self._error
        return Waits(
            [
                [wait for wait in self._waits if wait.sent < ended and wait.answered > began]
                for began, ended in windows
            ]
        )

    def _ask(self) -> None:
        try:
            while not self._is_leaving:
                sent = perf_counter()
                status, _ = self._client.exchange(next(self._requests))
                self._waits.append(Wait(sent, perf_counter(), status))
                sleep(self._pause_s)
        except Exception as error:
            self._error = error


class Waits(NamedTuple):
    """The waits of a bystander in each of several windows."""

    of_windows: list[list[Wait]]

    @property
    def longest_s(self) -> list[float]:
        """The longest of each window."""
        return [max(wait.took_s for wait in waits) for waits in self.of_windows if waits]

    @property
    def p99_s(self) -> float:
        """What one of a hundred exceeds, of all windows together."""
        waits = sorted(wait.took_s for waits in self.of_windows for wait in waits)
        return waits[len(waits) * 99 // 100]

    @property
    def refused(self) -> int:
        """How many were answered with an error."""
        return sum(wait.status >= 400 for waits in self.of_windows for wait in waits)
