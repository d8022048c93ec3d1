"""How each thing is measured. What is measured, and against which goal, is in __main__."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import msgspec

from bench import traffic
from bench.load import CONNECTIONS, Load, drive
from bench.servers import Ground, Server

_ERASURES = 16
_MESSAGES_OF_ERASED = 1_000
_SESSIONS_OF_ERASED = 4
_WRITERS = 8
_SETTLED_S = 1.0
_STARTS = 5
_ANSWER_S = 30.0

decode = msgspec.json.Decoder().decode


class Side(NamedTuple):
    """One of two that are compared: a server, what it is asked, and the status it must answer."""

    server: Server
    requests: Iterator[bytes]
    status: int = 200


class Pace(NamedTuple):
    """How long things are measured: rounds, and the seconds of each side in each of them."""

    rounds: int
    seconds: float


@dataclass
class Compared:
    """What came of two sides in the same rounds."""

    first: list[Load] = field(default_factory=list)
    second: list[Load] = field(default_factory=list)

    def ratios(self, of: Callable[[Load], float]) -> list[float]:
        """The first by the second, round by round."""
        return [of(a) / of(b) for a, b in zip(self.first, self.second, strict=True)]

    def busy(self) -> float:
        """The greatest share of the time in which the generator was busy."""
        return max(load.busy for load in (*self.first, *self.second))


def compare(first: Side, second: Side, pace: Pace, *, connections: int = CONNECTIONS) -> Compared:
    """Load two servers in turn: A B, B A, A B …, so that a drift of the machine meets both."""
    compared = Compared()
    for round_ in range(pace.rounds):
        turns = [(first, compared.first), (second, compared.second)]
        for side, loads in turns if round_ % 2 == 0 else reversed(turns):
            loads.append(
                drive(
                    side.server.port,
                    side.requests,
                    side.status,
                    pace.seconds,
                    connections=connections,
                    used_by_server=side.server.used_s,
                )
            )
    return compared


class Client:
    """One connection that waits for each answer: for what is asked once."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=_ANSWER_S)
        self._file = self._socket.makefile("rb")

    def ask(self, request: bytes) -> Any:
        """The JSON of an answer.

        Raises:
            AssertionError: the status is not one of success.
        """
        self._socket.sendall(request)
        status = self._file.readline()
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        body = self._file.read(length)
        if not status.startswith(b"HTTP/1.1 20"):
            raise AssertionError(f"{request[:200]!r} was answered {status!r} {body!r}")
        return decode(body)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def cursor_of_page(server: Server, page: int) -> str:
    """The cursor of a page of 100 users, found by walking there, in steps of up to 1,000."""
    client = Client(server)
    left, cursor = (page - 1) * 100, ""
    while left:
        step = min(left, 1_000)
        after = f"&cursor={cursor}" if cursor else ""
        cursor = client.ask(traffic.get(f"/v1/users?limit={step}{after}"))["next"]
        left -= step
    client.close()
    return cursor


class Erasures(NamedTuple):
    """What came of erasing users while others write.

    Attributes:
        answered_s: how long each erasure took until its answer.
        waits_s: the longest wait of another writer during each of them.
        quiet_waits_s: the same in a window as long, shortly before each.
        writes: how many writes of others there were in all.
    """

    answered_s: list[float]
    waits_s: list[float]
    quiet_waits_s: list[float]
    writes: int


def erase_under_load(server: Server, writes: Iterator[bytes]) -> Erasures:
    """Erase users of 1,000 messages, one after the other, while 8 connections append messages."""
    client = Client(server)
    users = [_user_to_erase(client, number) for number in range(_ERASURES)]
    windows: list[tuple[float, float]] = []

    def erase() -> None:
        for user in users:
            sleep(0.4)
            began = perf_counter()
            erased = client.ask(traffic.delete(f"/v1/users/{user}"))
            windows.append((began, perf_counter()))
            assert erased["state"] == "erased", erased
            assert erased["counts"]["messages"] == _MESSAGES_OF_ERASED, erased

    thread = threading.Thread(target=erase)
    thread.start()
    load = drive(
        server.port,
        writes,
        201,
        seconds=120,
        connections=_WRITERS,
        stop=lambda: not thread.is_alive(),
    )
    thread.join()
    client.close()
    if len(windows) != len(users):
        raise SystemExit("an erasure failed; see above")
    # The window before is as long as the erasure, in the 0.4 s in which nothing was erased.
    return Erasures(
        [ended - began for began, ended in windows],
        [load.longest_wait(began, ended) for began, ended in windows],
        [load.longest_wait(2 * began - ended - 0.05, began - 0.05) for began, ended in windows],
        len(load.sent),
    )


def _user_to_erase(client: Client, number: int) -> str:
    user = f"to-erase-{number}"
    client.ask(traffic.post("/v1/users", {"user_id": user, "email": f"{user}@example.org"}))
    each = _MESSAGES_OF_ERASED // _SESSIONS_OF_ERASED
    messages = [{"role": "user", "role_type": "user", "content": traffic.TEXT}] * each
    for session in range(_SESSIONS_OF_ERASED):
        path = f"/v1/sessions/{user}-{session}/messages"
        client.ask(traffic.post(path, {"user_id": user, "messages": messages}))
    return user


class Starts(NamedTuple):
    """What came of starting a server several times: seconds until it answers, memory when idle."""

    seconds: list[float]
    memory_bytes: list[int]

    def __str__(self) -> str:
        return f"{median(self.seconds):.3f} s"


def start_servers(ground: Ground, databases: list[Path]) -> list[Starts]:
    """Start the product on each database in turn, several times."""
    starts = [Starts([], []) for _ in databases]
    for _ in range(_STARTS):
        for database, of_database in zip(databases, starts, strict=True):
            with ground.product(database) as server:
                of_database.seconds.append(server.started_s)
                sleep(_SETTLED_S)
                of_database.memory_bytes.append(server.memory_bytes())
    return starts
