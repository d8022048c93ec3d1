"""Rounds: contenders are measured in turn, A B, B A, A B …, so that the machine's drift meets all.

A ratio is the median of the ratios of the rounds.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

from bench.harness.load import CONNECTIONS, Load, drive
from bench.harness.servers import Server

T = TypeVar("T")

CpuSeconds = Callable[[], float]
"""The processor seconds that something has used so far."""


class Rounds(NamedTuple):
    """How long contenders are measured: rounds, and the seconds of each contender in each."""

    number: int
    seconds: float


class Contender(Protocol):
    """One of those that are compared."""

    def load(self, seconds: float, connections: int, database_cpu: CpuSeconds) -> Load:
        """Load it for some seconds, after a short warm-up."""
        ...


class Asked(NamedTuple):
    """A server, the requests that it is sent, and the status it must return."""

    server: Server
    requests: Iterator[bytes]
    status: int = 200

    def load(self, seconds: float, connections: int, database_cpu: CpuSeconds) -> Load:
        return drive(
            self.server.port,
            self.requests,
            self.status,
            seconds,
            connections=connections,
            server_cpu=self.server.cpu_s,
            database_cpu=database_cpu,
        )


class Called(NamedTuple):
    """Calls in this process, one after the other.

    Attributes:
        runner: what runs them, if they are awaited.
    """

    call: Callable[[], Any]
    runner: asyncio.Runner | None = None

    def load(self, seconds: float, connections: int, database_cpu: CpuSeconds) -> Load:  # noqa: ARG002 - one caller
        """Call for some seconds, after one call that does not count."""
        if self.runner is not None:
            return self.runner.run(self._awaited(seconds))
        self.call()
        sent, received = array("d"), array("d")
        ends = perf_counter() + seconds
        while not received or received[-1] < ends:
            sent.append(perf_counter())
            self.call()
            received.append(perf_counter())
        return Load(sent, received)

    async def _awaited(self, seconds: float) -> Load:
        await self.call()
        sent, received = array("d"), array("d")
        ends = perf_counter() + seconds
        while not received or received[-1] < ends:
            sent.append(perf_counter())
            await self.call()
            received.append(perf_counter())
        return Load(sent, received)


class Compared(NamedTuple):
    """The loads of each contender, round by round."""

    loads: list[list[Load]]

    @property
    def first(self) -> list[Load]:
        return self.loads[0]

    @property
    def second(self) -> list[Load]:
        return self.loads[1]

    def ratios(self, of: Callable[[Load], float]) -> list[float]:
        """The first divided by the second, round by round."""
        return [of(a) / of(b) for a, b in zip(self.first, self.second, strict=True)]


def compare(
    *contenders: Contender,
    rounds: Rounds,
    connections: int = CONNECTIONS,
    database_cpu: CpuSeconds = lambda: 0.0,
) -> Compared:
    compared = Compared([[] for _ in contenders])
    for pairs in in_turn(list(zip(contenders, compared.loads, strict=True)), rounds.number):
        for contender, loads in pairs:
            loads.append(contender.load(rounds.seconds, connections, database_cpu))
    return compared


def in_turn(contenders: Sequence[T], rounds: int) -> Iterator[Sequence[T]]:
    """Yield the contenders of each round, in an order that changes."""
    for round_ in range(rounds):
        yield contenders if round_ % 2 == 0 else contenders[::-1]
