"""How each thing is measured. What is measured is in __main__, against which goal in rows."""

import socket
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from subprocess import Popen
from time import perf_counter, sleep
from typing import Any, NamedTuple, Protocol

import msgspec

from bench import traffic
from bench.floor.orders import Done, Order
from bench.load import CONNECTIONS, WARM_UP_S, Load, drive
from bench.servers import Ground, Server

_ERASURES = 16
_MESSAGES_OF_DELETED = 1_000
_SESSIONS_OF_DELETED = 4
_WRITERS = 8
_SETTLED_S = 1.0
_STARTS = 5
_ANSWER_S = 30.0

decode = msgspec.json.Decoder().decode


class Pace(NamedTuple):
    """How long things are measured: rounds, and the seconds of each side in each of them."""

    rounds: int
    seconds: float


class Side(Protocol):
    """One of those that are compared."""

    def load(self, seconds: float, connections: int, used_by_database: Callable[[], float]) -> Load:
        """Load it for some seconds, after a short warm-up."""
        ...


class Asked(NamedTuple):
    """A server, what it is asked, and the status it must answer."""

    server: Server
    requests: Iterator[bytes]
    status: int = 200

    def load(self, seconds: float, connections: int, used_by_database: Callable[[], float]) -> Load:
        """See Side."""
        return drive(
            self.server.port,
            self.requests,
            self.status,
            seconds,
            connections=connections,
            used_by_server=self.server.used_s,
            used_by_database=used_by_database,
        )


class Alone(NamedTuple):
    """The statements of a row without a server: the process that runs them, and the row's name."""

    process: "Popen[str]"
    row: str

    def load(self, seconds: float, connections: int, used_by_database: Callable[[], float]) -> Load:
        """See Side."""
        databases, began = used_by_database(), perf_counter()
        done = self._carried_out(Order(self.row, WARM_UP_S, seconds, connections))
        return Load(
            array("d", done.sent),
            array("d", done.answered),
            busy=0.0,
            server_s=done.used_s,
            database=(used_by_database() - databases) / (perf_counter() - began),
        )

    def _carried_out(self, order: Order) -> Done:
        told, answers = self.process.stdin, self.process.stdout
        assert told is not None
        assert answers is not None
        told.write(msgspec.json.encode(order).decode() + "\n")
        told.flush()
        return msgspec.json.decode(answers.readline(), type=Done)


class Compared(NamedTuple):
    """What came of several sides in the same rounds: the loads of each of them."""

    loads: list[list[Load]]

    @property
    def first(self) -> list[Load]:
        """Those of the first side."""
        return self.loads[0]

    @property
    def second(self) -> list[Load]:
        """Those of the second."""
        return self.loads[1]

    def ratios(self, of: Callable[[Load], float], *, to: int = 1) -> list[float]:
        """The first by the second, or by another, round by round."""
        return [of(a) / of(b) for a, b in zip(self.first, self.loads[to], strict=True)]

    def busy(self) -> float:
        """The greatest share of the time in which the generator was busy."""
        return max(load.busy for loads in self.loads for load in loads)


def compare(
    *sides: Side,
    pace: Pace,
    connections: int = CONNECTIONS,
    used_by_database: Callable[[], float] = lambda: 0.0,
) -> Compared:
    """Load them in turn: A B, B A, A B …, so that a drift of the machine meets all of them."""
    compared = Compared([[] for _ in sides])
    for round_ in range(pace.rounds):
        turns = list(zip(sides, compared.loads, strict=True))
        for side, loads in turns if round_ % 2 == 0 else reversed(turns):
            loads.append(side.load(pace.seconds, connections, used_by_database))
    return compared


class Client:
    """One connection that waits for each answer: for what is asked once, or one after the other."""

    def __init__(self, server: Server, *, patience_s: float = _ANSWER_S) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=patience_s)
        self._file = self._socket.makefile("rb")

    def ask(self, request: bytes) -> Any:
        """The JSON of an answer.

        Raises:
            AssertionError: the status is not one of success.
        """
        status, body = self.exchange(request)
        if status >= 300:
            raise AssertionError(f"{request[:200]!r} was answered {status} {body!r}")
        return decode(body)

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of an answer, whatever they are."""
        self._socket.sendall(request)
        status = int(self._file.readline().split()[1])
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        return status, self._file.read(length)

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
    """What came of deleting users while others write.

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


def delete_under_load(server: Server, writes: Iterator[bytes]) -> Erasures:
    """Delete users of 1,000 messages, one after the other, while 8 connections append messages."""
    client = Client(server)
    users = [_user_to_delete(client, number) for number in range(_ERASURES)]
    windows: list[tuple[float, float]] = []

    def delete() -> None:
        for user in users:
            sleep(0.4)
            began = perf_counter()
            deleted = client.ask(traffic.delete(f"/v1/users/{user}"))
            windows.append((began, perf_counter()))
            assert deleted["state"] == "deleted", deleted
            assert deleted["counts"]["messages"] == _MESSAGES_OF_DELETED, deleted

    thread = threading.Thread(target=delete)
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
    # The window before is as long as the erasure, in the 0.4 s in which nothing was deleted.
    return Erasures(
        [ended - began for began, ended in windows],
        [load.longest_wait(began, ended) for began, ended in windows],
        [load.longest_wait(2 * began - ended - 0.05, began - 0.05) for began, ended in windows],
        len(load.sent),
    )


def _user_to_delete(client: Client, number: int) -> str:
    user = f"to-delete-{number}"
    client.ask(traffic.post("/v1/users", {"user_id": user, "email": f"{user}@example.org"}))
    each = _MESSAGES_OF_DELETED // _SESSIONS_OF_DELETED
    messages = [{"role": "user", "role_type": "user", "content": traffic.TEXT}] * each
    for session in range(_SESSIONS_OF_DELETED):
        path = f"/v1/sessions/{user}-{session}/messages"
        client.ask(traffic.post(path, {"user_id": user, "messages": messages}))
    return user


class Starts(NamedTuple):
    """What came of starting a server several times: seconds until it answers, memory when idle."""

    seconds: list[float]
    memory_bytes: list[int]

    def __str__(self) -> str:
        return f"{median(self.seconds):.3f} s"


def start_servers(ground: Ground, databases: Sequence[str]) -> list[Starts]:
    """Start the product on each database in turn, several times."""
    starts = [Starts([], []) for _ in databases]
    for _ in range(_STARTS):
        for database, of_database in zip(databases, starts, strict=True):
            with ground.product(database) as server:
                of_database.seconds.append(server.started_s)
                sleep(_SETTLED_S)
                of_database.memory_bytes.append(server.memory_bytes())
    return starts
