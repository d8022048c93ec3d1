"""What a call costs whoever makes one after the other: `python -m bench.callers`.

- *Embedded* beside the raw driver: the same statements, as durable, with nothing around them.
- *The SDK* beside the bare HTTP library, which sends the same requests to the same server, reads
  the JSON and has no types, no retries and no keys for them.
- *Cold starts*, beside an interpreter that does nothing; and what an instance takes of a disk.

One thread asks, and waits for each answer. The sides of a row are measured in turn, for several
rounds; a share is the median of the rounds'.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from itertools import count
from pathlib import Path
from re import match
from statistics import median
from time import perf_counter, time_ns
from typing import Any, NamedTuple

import apsw
import httpx2

from bench import report, seed
from bench.engines.sqlite import SqliteBench
from bench.seed import Seeded
from bench.servers import Ground
from bench.words import indexed
from userkeep import AsyncUserkeep, NewMessage, Userkeep
from userkeep.domain.values.ids import new_uuid7
from userkeep.domain.values.times import Instant
from userkeep.storage.queries import load_queries
from userkeep.storage.sqlite.connection import connect

RESULTS = Path(__file__).with_name("RESULTS-callers.md")

_SIZE = Seeded(users=10_000, sessions=200)
_ROUNDS = 7
_STARTS = 15
_WORDS = "I wear size 9 shoes, and I like them red. "
_MESSAGE: dict[str, Any] = {"role": "Jane", "role_type": "user", "content": _WORDS}

Ask = Callable[[int], Any]
"""One call; its number makes what it adds different from all others."""


class Side(NamedTuple):
    """One of those that are compared: what it does for each row, by the row's name."""

    name: str
    asks: dict[str, Ask]
    runner: asyncio.Runner | None = None
    """Who waits for what is asked, if it must be awaited."""

    def microseconds(self, row: str, seconds: float, numbers: Iterator[int]) -> float:
        """What a call takes."""
        ask = self.asks[row]
        if self.runner is not None:
            return self.runner.run(_awaited_microseconds(ask, seconds, numbers))
        return _microseconds(ask, seconds, numbers)


ROWS = ("get user", "memory (12 messages)", "add user", "append 1", "append 10")


def _user_id(number: int) -> str:
    return f"user-{1 + number * 7919 % _SIZE.users:08d}"


def _session_id(number: int) -> str:
    return f"session-{1 + number * 7919 % _SIZE.sessions:08d}"


def _with_sdk(
    name: str, client: Userkeep | AsyncUserkeep, runner: asyncio.Runner | None = None
) -> Side:
    def append(several: int) -> Ask:
        messages = [NewMessage(role="Jane", role_type="user", content=_WORDS)] * several
        return lambda number: client.message.add(_session_id(number), messages)

    asks: dict[str, Ask] = {
        "get user": lambda number: client.user.get(_user_id(number)),
        "memory (12 messages)": lambda number: client.memory.get(_session_id(number)),
        "add user": lambda number: client.user.add(user_id=f"{name} {number}"),
        "append 1": append(1),
        "append 10": append(10),
    }
    return Side(name, asks, runner)


class Raw:
    """The statements that the product runs, through the bare driver; words come ready."""

    def __init__(self, path: str) -> None:
        self._text = {name: query.text({}) for name, query in load_queries("sqlite").items()}
        newest = {"descending": True, "limit": 1}
        self._text["list_messages"] = load_queries("sqlite")["list_messages"].text(newest)
        self._reader = connect(path, read_only=True).cursor()
        self._writer = connect(path).cursor()

    def side(self) -> Side:
        """See Side."""
        return Side(
            "driver",
            {
                "get user": self._get_user,
                "memory (12 messages)": self._memory,
                "add user": self._add_user,
                "append 1": lambda number: self._append(number, 1),
                "append 10": lambda number: self._append(number, 10),
            },
        )

    def _get_user(self, number: int) -> Any:
        values = {"project_id": 1, "user_id": _user_id(number)}
        return self._reader.execute(self._text["get_user"], values).fetchall()

    def _memory(self, number: int) -> Any:
        values = {"project_id": 1, "session_id": _session_id(number), "limit": 12}
        return self._reader.execute(self._text["list_messages"], values).fetchall()

    def _add_user(self, number: int) -> Any:
        now = time_ns() // 1000
        values: dict[str, apsw.SQLiteValue] = {
            "project_id": 1,
            "user_id": f"driver {number}",
            "uuid": new_uuid7(Instant(now)),
            "email": None,
            "email_folded": None,
            "first_name": None,
            "last_name": None,
            "metadata": None,
            "now_at": now,
        }
        with self._transaction():
            return self._writer.execute(self._text["add_user"], values).fetchall()

    def _append(self, number: int, several: int) -> Any:
        now = time_ns() // 1000
        of_session: dict[str, apsw.SQLiteValue] = {
            "project_id": 1,
            "session_id": _session_id(number),
        }
        with self._transaction():
            words = indexed(_MESSAGE["role"], _MESSAGE["role_type"], _MESSAGE["content"])
            length = several * words.length
            reserve = {**of_session, "count": several, "length": length, "now_at": now}
            rows_of_session: list[Any] = self._writer.execute(
                self._text["reserve_seqs"], reserve
            ).fetchall()
            last, _, search_scope = rows_of_session[0]
            rows = [
                {
                    **of_session,
                    **_MESSAGE,
                    "seq": last - several + 1 + each,
                    "uuid": new_uuid7(Instant(now)),
                    "token_count": None,
                    "created_at": now,
                    "metadata": None,
                    "data": None,
                    "word_count": words.word_count,
                    "words": words.terms,
                    "search_scope": search_scope,
                }
                for each in range(several)
            ]
            self._writer.executemany(self._text["add_message"], rows)
            self._writer.executemany(self._text["index_message"], rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        yield
        self._writer.execute("COMMIT")


def _bare_http(client: httpx2.Client) -> Side:
    def get(path: str) -> Any:
        return client.get(path).raise_for_status().json()

    def post(path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        content = json.dumps(body)
        return client.post(path, content=content, headers=headers).raise_for_status().json()

    def append(several: int) -> Ask:
        body = {"messages": [_MESSAGE] * several}
        return lambda number: post(f"/v1/sessions/{_session_id(number)}/messages", body)

    return Side(
        "HTTP library",
        {
            "get user": lambda number: get(f"/v1/users/{_user_id(number)}"),
            "memory (12 messages)": lambda number: get(
                f"/v1/sessions/{_session_id(number)}/memory"
            ),
            "add user": lambda number: post("/v1/users", {"user_id": f"bare {number}"}),
            "append 1": append(1),
            "append 10": append(10),
        },
    )


def compare(
    sides: list[Side], row: str, seconds: float, numbers: Iterator[int]
) -> list[list[float]]:
    """The microseconds of a call, per side and round."""
    measured: list[list[float]] = [[] for _ in sides]
    for round_ in range(_ROUNDS):
        turns = list(zip(sides, measured, strict=True))
        for side, times in turns if round_ % 2 == 0 else reversed(turns):
            times.append(side.microseconds(row, seconds / _ROUNDS, numbers))
    return measured


def _microseconds(ask: Ask, seconds: float, numbers: Iterator[int]) -> float:
    ask(next(numbers))
    began, asked = perf_counter(), 0
    while (passed := perf_counter() - began) < seconds:
        ask(next(numbers))
        asked += 1
    return passed / max(asked, 1) * 1e6


async def _awaited_microseconds(ask: Ask, seconds: float, numbers: Iterator[int]) -> float:
    await ask(next(numbers))
    began, asked = perf_counter(), 0
    while (passed := perf_counter() - began) < seconds:
        await ask(next(numbers))
        asked += 1
    return passed / max(asked, 1) * 1e6


def table(title: str, about: str, sides: list[Side], seconds: float) -> report.Table:
    """A table of all rows; each side but the first is compared with the first."""
    numbers = count()
    first, *others = sides
    columns = ["", f"{first.name}, µs"]
    for side in others:
        columns += [f"{side.name}, µs", "calls a second", f"times {first.name}"]
    rows = []
    for row in ROWS:
        floor, *measured = compare(sides, row, seconds, numbers)
        cells = [row, f"{median(floor):,.0f}"]
        for times in measured:
            ratios = [time / of_floor for time, of_floor in zip(times, floor, strict=True)]
            cells += [
                f"{median(times):,.0f}",
                f"{1e6 / median(times):,.0f}",
                report.spread(ratios),
            ]
        rows.append(tuple(cells))
        print("  ".join(cells), flush=True)
    return report.Table(title, about, tuple(columns), rows)


def starts() -> report.Table:
    """Cold starts, each a process of its own; the first of each does not count."""
    userkeep = str(Path(sys.executable).with_name("userkeep"))
    commands = {
        "an interpreter that does nothing": [sys.executable, "-c", "pass"],
        "import userkeep": [sys.executable, "-c", "import userkeep"],
        "userkeep --help": [userkeep, "--help"],
        "userkeep users --help": [userkeep, "users", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_STARTS):
        for name, command in commands.items():
            began = perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append((perf_counter() - began) * 1000)
    rows: list[report.Cells] = [(name, report.spread(came[1:], 0)) for name, came in times.items()]
    rows.append(("the instance: userkeep and all that it needs, MiB", f"{_installed_mib():.0f}"))
    return report.Table(
        "Starts and size", "Milliseconds, where nothing else is said.", ("", ""), rows
    )


def _installed_mib() -> float:
    wanted, seen = ["userkeep"], set[str]()
    total = sum(each.stat().st_size for each in Path("userkeep").rglob("*") if each.is_file())
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # needed elsewhere: on another system or Python
            continue
        if name != "userkeep":
            paths = [Path(str(file.locate())) for file in installed.files or ()]
            total += sum(path.stat().st_size for path in paths if path.exists())
        for needed in installed.requires or ():
            found = match(r"[\w.-]+", needed)
            if found and "extra ==" not in needed:
                wanted.append(found[0])
        if name == "psycopg":
            wanted.append("psycopg-binary")
    return total / 2**20


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.callers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each side of a row")
    seconds = parser.parse_args().seconds
    seed.FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder,
        ExitStack() as stack,
    ):
        noise = report.Noise()
        bench = SqliteBench(Path(folder))
        urls = {
            name: bench.seeded(_SIZE, name) for name in ("raw", "embedded", "awaited", "server")
        }
        embedded = stack.enter_context(Userkeep.open(urls["embedded"]))
        runner = stack.enter_context(asyncio.Runner())
        awaited = AsyncUserkeep.open(urls["awaited"])
        stack.callback(lambda: runner.run(awaited.close()))
        raw = Raw(urls["raw"].removeprefix("sqlite:///"))
        in_process = [
            raw.side(),
            _with_sdk("embedded", embedded),
            _with_sdk("embedded, awaited", awaited, runner),
        ]
        tables = [
            table(
                "In this process",
                "Beside the driver. A write is on the disk when the call returns, on each side.",
                in_process,
                seconds,
            )
        ]
        ground = stack.enter_context(Ground(Path(folder), is_pinned=True))
        server = stack.enter_context(ground.product(urls["server"]))
        url = f"http://127.0.0.1:{server.port}"
        bare = stack.enter_context(httpx2.Client(base_url=url))
        sdk = stack.enter_context(Userkeep(url))
        tables.append(
            table(
                "Over HTTP, to a server on this machine",
                "Beside the HTTP library alone.",
                [_bare_http(bare), _with_sdk("SDK", sdk)],
                seconds,
            )
        )
        tables.append(starts())
    text = report.text_of(tables, [noise.told(0.0)], seed.FOLDER, bench.facts(), module="callers")
    print(f"\n{text}")
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
