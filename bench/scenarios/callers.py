"""What a call costs a caller who makes one after the other, on SQLite.

- *Embedded* beside the raw driver: the same statements, as durable, with nothing around them.
- *The SDK* beside the HTTP library alone, which sends the same requests to the same server, reads
  the JSON and has no types, no retries and no keys for them.
- *Cold starts*, beside an interpreter that does nothing.

One thread calls, and waits for each response. The sides of a row are measured in turn, for several
rounds; a ratio is the median of the rounds'.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import httpx2

from bench.baseline.recording import record_operations
from bench.databases import Databases
from bench.harness import requests, rounds
from bench.harness.load import Load
from bench.harness.report import Report, by_rate, show, spread
from bench.harness.requests import Parts, Size
from bench.harness.rounds import Called, Compared, Rounds
from bench.harness.servers import SECRET, ServerHarness
from devtools.markdown import Table
from userkeep import AsyncUserkeep, NewMessage, Userkeep

_SIZE = Size(users=10_000, sessions=200)
_ROUNDS = 7
_STARTS = 15
_MESSAGE: dict[str, Any] = {
    "role": "user",
    "name": "Jane",
    "content": "I wear size 9 shoes, and I like them red. ",
}

Call = Callable[[int], Any]
"""One call; its number makes what it adds different from all others."""


class Row(NamedTuple):
    """A row: its name, the path of its request, and the body if it is a POST."""

    name: str
    path: Callable[[int], str]
    body: Callable[[int], Any] | None = None


class Side(NamedTuple):
    """One of those that are compared: what it does for each row, by the row's name."""

    name: str
    calls: dict[str, Call]
    runner: asyncio.Runner | None = None
    """What runs the calls, if they are awaited."""

    def of(self, row: str, numbers: Iterator[int]) -> Called:
        call = self.calls[row]
        return Called(lambda: call(next(numbers)), self.runner)


def _user_id(number: int) -> str:
    return f"user-{1 + number * 7919 % _SIZE.users:08d}"


def _session_id(number: int) -> str:
    return f"session-{1 + number * 7919 % _SIZE.sessions:08d}"


def _rows(name: str) -> list[Row]:
    """Return the rows as requests; ids of new users begin with `name`."""

    def messages_path(number: int) -> str:
        return f"/v1/sessions/{_session_id(number)}/messages"

    return [
        Row("get user", lambda number: f"/v1/users/{_user_id(number)}"),
        Row("memory (12 messages)", lambda number: f"/v1/sessions/{_session_id(number)}/memory"),
        Row("add user", lambda _: "/v1/users", lambda number: {"user_id": f"{name} {number}"}),
        Row("append 1", messages_path, lambda _: {"messages": [_MESSAGE]}),
        Row("append 10", messages_path, lambda _: {"messages": [_MESSAGE] * 10}),
    ]


def _with_sdk(
    name: str, client: Userkeep | AsyncUserkeep, runner: asyncio.Runner | None = None
) -> Side:
    def append(messages: int) -> Call:
        new = [NewMessage(**_MESSAGE)] * messages
        return lambda number: client.message.add(_session_id(number), new)

    calls: dict[str, Call] = {
        "get user": lambda number: client.user.get(_user_id(number)),
        "memory (12 messages)": lambda number: client.memory.get(_session_id(number)),
        "add user": lambda number: client.user.add(user_id=f"{name} {number}"),
        "append 1": append(1),
        "append 10": append(10),
    }
    return Side(name, calls, runner)


def _driver(databases: Databases, url: str) -> Side:
    """The bare driver, which runs the statements that the product runs for the same requests."""
    replay, rows = databases.replay(url), _rows("driver")
    # These lead to users and sessions that the database has on which operations are recorded.
    one, other = islice((number for number in count() if number * 7919 % _SIZE.users < 60), 2)
    pairs = {row.name: (_bytes(row, one), _bytes(row, other)) for row in rows}
    operations = record_operations(databases.scratch(), pairs)

    def call(row: Row, number: int) -> int:
        body = row.body(number) if row.body else None
        return replay.run(operations[row.name], Parts("", row.path(number).split("/"), body))

    return Side("driver", {row.name: partial(call, row) for row in rows})


def _bytes(row: Row, number: int) -> bytes:
    path = row.path(number)
    return requests.post(path, row.body(number)) if row.body else requests.get(path)


def _bare_http(client: httpx2.Client) -> Side:
    def call(row: Row, number: int) -> Any:
        if row.body is None:
            return client.get(row.path(number)).raise_for_status().json()
        headers, content = {"Content-Type": "application/json"}, json.dumps(row.body(number))
        sent = client.post(row.path(number), content=content, headers=headers)
        return sent.raise_for_status().json()

    return Side("HTTP library", {row.name: partial(call, row) for row in _rows("bare")})


def _table(title: str, about: str, sides: Sequence[Side], seconds: float) -> Table:
    """Measure all rows; each side but the first is compared with the first."""
    numbers = count()
    first, *others = sides
    columns = ["", f"{first.name}, µs"]
    for side in others:
        columns += [f"{side.name}, µs", "calls per second", f"times {first.name}"]
    rows = []
    for row in first.calls:
        contenders = [side.of(row, numbers) for side in sides]
        of_first, *of_others = rounds.compare(*contenders, rounds=Rounds(_ROUNDS, seconds)).loads
        cells = [row, f"{_microseconds(of_first):,.0f}"]
        for loads in of_others:
            microseconds = _microseconds(loads)
            times = Compared([of_first, loads]).ratios(by_rate)
            cells += [f"{microseconds:,.0f}", f"{1e6 / microseconds:,.0f}", spread(times)]
        rows.append(show(tuple(cells)))
    return Table(title, about, tuple(columns), rows)


def _microseconds(loads: Sequence[Load]) -> float:
    return median(1e6 / load.rate for load in loads)


def _starts() -> Table:
    """Measure cold starts, each a process of its own; the first of each does not count."""
    command = [sys.executable, "-m", "userkeep"]
    commands = {
        "an interpreter that does nothing": [sys.executable, "-c", "pass"],
        "import userkeep": [sys.executable, "-c", "import userkeep"],
        "userkeep --help": [*command, "--help"],
        "userkeep users --help": [*command, "users", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_STARTS):
        for name, words in commands.items():
            began = perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            times[name].append((perf_counter() - began) * 1000)
    rows = [show((name, spread(of[1:], 0))) for name, of in times.items()]
    return Table("Starts", "Milliseconds.", ("", ""), rows)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    seconds = given.seconds / _ROUNDS
    names = ("raw", "embedded", "awaited", "server")
    raw, embedded, awaited, served = (databases.seeded(_SIZE, name) for name in names)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        awaited_client = AsyncUserkeep.open(awaited, secret=SECRET)
        stack.callback(lambda: runner.run(awaited_client.close()))
        in_process = [
            _driver(databases, raw),
            _with_sdk("embedded", stack.enter_context(Userkeep.open(embedded, secret=SECRET))),
            _with_sdk("embedded, awaited", awaited_client, runner),
        ]
        about = "Beside the driver. A write is on the disk when the call returns, on each side."
        tables = [_table("In this process", about, in_process, seconds)]
        harness = stack.enter_context(ServerHarness(folder, is_pinned=not given.unpinned))
        server = stack.enter_context(harness.serving(served))
        over_http = [
            _bare_http(stack.enter_context(server.client())),
            _with_sdk("SDK", stack.enter_context(Userkeep(server.url))),
        ]
        about = "Beside the HTTP library alone."
        tables.append(_table("Over HTTP, to a server on this machine", about, over_http, seconds))
        tables.append(_starts())
    return Report(tables)
