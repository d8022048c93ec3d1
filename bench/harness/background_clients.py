"""Clients that are served while something else happens: how long each of their requests waits.

A background client has one connection, and sends its next request when it has the response to the
previous one. Nothing is left out: a request that is rejected, or that waits for minutes, counts as
any other.
"""

import threading
from collections.abc import Iterator, Sequence
from time import perf_counter, sleep
from typing import NamedTuple, Self

from bench.harness.requests import split
from bench.harness.servers import Server

TIMEOUT_S = 900.0
_HEADERS = {"content-type": "application/json"}


class Window(NamedTuple):
    began: float
    ended: float

    @property
    def took_s(self) -> float:
        return self.ended - self.began


class Waits(NamedTuple):
    """The waits of a client in each of several windows, and how many requests got an error."""

    of_windows: list[list[float]]
    rejected: int

    @property
    def longest_s(self) -> list[float]:
        return [max(waits) for waits in self.of_windows if waits]

    @property
    def p99_s(self) -> float:
        """The 99th percentile of all windows together."""
        waits = sorted(wait for waits in self.of_windows for wait in waits)
        return waits[len(waits) * 99 // 100]


class BackgroundClient:
    """Sends requests in a thread, while it is entered.

    Args:
        requests: each is sent once.
        pause_s: between a response and the next request, so that this is no load by itself.
    """

    def __init__(self, server: Server, requests: Iterator[bytes], *, pause_s: float = 0.0) -> None:
        self._client = server.client(timeout_s=TIMEOUT_S)
        self._requests = requests
        self._pause_s = pause_s
        self._sent: list[tuple[Window, int]] = []
        self._is_leaving = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving = True
        self._thread.join()
        self._client.close()

    def during(self, windows: Sequence[Window]) -> Waits:
        """Return the waits of what was in flight in each of several windows, after the end."""
        if self._error is not None:
            raise self._error
        in_flight = [
            [each for each in self._sent if each[0].began < ended and each[0].ended > began]
            for began, ended in windows
        ]
        rejected = sum(status >= 400 for sent in in_flight for _, status in sent)
        return Waits([[wait.took_s for wait, _ in sent] for sent in in_flight], rejected)

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                method, path, body = split(next(self._requests))
                began = perf_counter()
                response = self._client.request(method, path, content=body, headers=_HEADERS)
                self._sent.append((Window(began, perf_counter()), response.status_code))
                sleep(self._pause_s)
        except Exception as error:
            self._error = error
