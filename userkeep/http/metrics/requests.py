"""Counts requests by method, route and status, and how long they took.

It runs in every request, so it adds plain numbers; a scrape makes metrics of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from userkeep.domain.values.histograms import Histogram

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

UNKNOWN_ROUTE = "unknown"
OTHER_METHOD = "other"

KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_Key = tuple[str, str, int]


class RequestSeries(NamedTuple):
    """The requests with the same method, route and status."""

    method: str
    route: str
    status: int
    durations_s: Histogram


class RequestFigures:
    """The requests of a server.

    Attributes:
        in_flight: how many are running.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._durations_s: dict[_Key, Histogram] = {}

    def add(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request that has ended.

        Args:
            route: the template of its path; empty if it is unknown.
        """
        try:
            durations_s = self._durations_s[method, route, status]
        except KeyError:
            durations_s = self._first(method, route, status)
        durations_s.add(duration_s)

    def series(self) -> Iterator[RequestSeries]:
        """Yield the requests with each method, route and status."""
        for key, durations_s in list(self._durations_s.items()):
            yield RequestSeries(*key, durations_s)

    def _first(self, method: str, route: str, status: int) -> Histogram:
        # A client can choose any method and path: all that is not known is one series.
        known = method if method in KNOWN_METHODS else OTHER_METHOD
        key = (known, route or UNKNOWN_ROUTE, status)
        return self._durations_s.setdefault(key, Histogram(BOUNDS_S))
