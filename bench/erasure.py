"""The benchmark of deleting: `make bench BENCH=--erasure`, on both engines.

In a database of 1,000,000 messages, which many users have said (see `bench.talk`), users of 100,
of 1,000, of 10,000 and of 100,000 messages are deleted, each size in a copy of its own; with
`--large` also one of 1,000,000 among as many of others. Meanwhile others are served: a writer who
appends a message to a session of somebody else as fast as it is answered, and two readers who ask
for a user, and for the memory of a session.

- *Until deleted*: when DELETE is answered, when the last row is gone, and how long others wait
  until then. The same user is deleted through the Zep v1 door, for one of the sizes.
- *The purge*, by itself: it is asked for when all users of a size are deleted, and it is told how
  long each of its steps takes, and how long others wait for it.

Beside an erasure stands how long the writer waits at most in a time without one, just before it.
"""

import argparse
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

from bench import report, seed, talk, traffic
from bench.bystanders import PATIENCE_S, Bystander, Window
from bench.engines import Engine
from bench.engines.postgres import PostgresBench
from bench.engines.sqlite import SqliteBench
from bench.measure import Client
from bench.report import Cells, Noise, milliseconds, spread
from bench.servers import Ground, Server
from bench.talk import Talk, Talkers

RESULTS = Path(__file__).with_name("RESULTS-erasure.md")

_MESSAGES = 1_000_000
_SIZES = (Talkers(9, 100), Talkers(9, 1_000), Talkers(3, 10_000), Talkers(3, 100_000))
_LARGE = Talkers(1, 1_000_000)
_AMONG_ALL = Talk(_MESSAGES, _SIZES)
_AMONG_MORE = Talk(_MESSAGES + _LARGE.messages, (_LARGE,))
_OF_ZEP = 100_000
_OF_GOAL, _GOAL_MS, _GOAL_OF_MORE_MS = 1_000, 100, 200
_LOOK_EVERY_S = 0.02
_TOLD_S = 0.05
_READERS_PAUSE_S = 0.002
_SETTLED_S = 2.0
_LEAST_QUIET_S, _MOST_QUIET_S = 0.5, 30.0
_DELETED_A_SECOND = 5_000
# Nothing is purged before it is asked for: somebody always asks for something.
_UNPURGED = {"USERKEEP_PURGE_LARGE_MIB": "1000000", "USERKEEP_PURGE_WITHIN_MINUTES": "1000"}

_OF_DELETED = (
    "a user of",
    "answered s",
    "deleted s",
    "writer's longest ms",
    "goal",
    "its p99",
    "its longest without",
    "reader of users",
    "reader of messages",
)
_ABOUT_DELETED = (
    "Medians (least to greatest) of deleting several users of as many messages, one after the "
    "other. `answered` is when DELETE was, after five seconds at the latest, and `deleted` "
    "when the last row was gone. Then, in ms, the longest wait of another writer in each; "
    "the goal is for the greatest, where it is not as great without an erasure; its p99 in all of "
    "them; its longest wait in a time just before each of them, in which nothing was deleted; and "
    "the longest waits of two readers."
)
_OF_PURGE = (
    "after users of",
    "MiB",
    "purged s",
    "of that",
    "writer's longest s",
    "reader of users",
    "reader of messages",
    "refused",
)
_ABOUT_PURGE = (
    "The purge that was asked for when they were deleted: how large the database was, after how "
    "many seconds all was purged, and what took how many of them; then the longest waits of "
    "others meanwhile, in seconds, and how many of all their requests were answered with an error."
)


class Deleted(NamedTuple):
    """What came of deleting one user.

    Attributes:
        uuid: of the erasure.
        answered_s: after how long DELETE was answered.
        window: from DELETE until nothing of the user was left.
        before: a time just before, in which nothing was deleted.
    """

    uuid: str
    answered_s: float
    window: Window
    before: Window


class Purged(NamedTuple):
    """What came of a purge: how large the database was before, and how long each step took."""

    size_bytes: int
    window: Window
    steps_s: Mapping[str, float]


class Others(NamedTuple):
    """Those who are served meanwhile."""

    writer: Bystander
    of_users: Bystander
    of_messages: Bystander

    @property
    def readers(self) -> Sequence[Bystander]:
        """Those who read."""
        return (self.of_users, self.of_messages)


@dataclass
class ErasureBench:
    """One run on one engine."""

    given: argparse.Namespace
    name: str
    engine: Engine
    folder: Path
    deleted: list[Cells] = field(default_factory=list)
    purged: list[Cells] = field(default_factory=list)

    def run(self) -> list[report.Table]:
        """Measure all that was asked for."""
        sizes = [*_SIZES, *([_LARGE] if self.given.large else [])]
        for size in sizes:
            if self._wants(f"users of {size.messages}"):
                self._measure(size)
        return [
            report.Table(f"{self.name}: until deleted", _ABOUT_DELETED, _OF_DELETED, self.deleted),
            report.Table(f"{self.name}: the purge", _ABOUT_PURGE, _OF_PURGE, self.purged),
        ]

    def _wants(self, name: str) -> bool:
        asked = self.given.only
        return not asked or any(part in f"{self.name}: {name}" for part in asked)

    def _measure(self, size: Talkers) -> None:
        said = _AMONG_ALL if size != _LARGE else _AMONG_MORE
        url = self.engine.copied(talk.filled(self.engine, said), "deleting")
        users = [talk.user_id(number) for number in said.talkers_of(size.messages)]
        by_zep = users.pop() if size.messages == _OF_ZEP else None
        with Ground(self.folder, is_pinned=not self.given.unpinned) as ground, ExitStack() as stack:
            server = stack.enter_context(ground.product(url, **_UNPURGED))
            with _others(server, said) as others:
                sleep(_SETTLED_S)
                deleted = [_delete(server, user, size.messages) for user in users]
                zep = [_delete_by_zep(server, by_zep, size.messages)] if by_zep else []
                before = self.engine.bytes_of(url)
                purged = _purge(server, [*deleted, *zep][-1].uuid, before)
        self._add_deleted(f"{size.messages:,}", size, deleted, others)
        if zep:
            self._add_deleted(f"{size.messages:,}, by the Zep v1 door", size, zep, others)
        self._add_purged(size, purged, others)

    def _add_deleted(
        self, name: str, size: Talkers, deleted: Sequence[Deleted], others: Others
    ) -> None:
        windows = [each.window for each in deleted]
        waits = others.writer.during(windows)
        without = others.writer.during([each.before for each in deleted])
        goal_ms = _GOAL_MS if size.messages <= _OF_GOAL else _GOAL_OF_MORE_MS
        # Who waits longer when nothing is deleted does not wait for an erasure.
        is_met = max(waits.longest_s) <= max(goal_ms / 1000, *without.longest_s)
        self.deleted.append(
            (
                name,
                spread([each.answered_s for each in deleted]),
                spread([window.took_s for window in windows]),
                milliseconds(waits.longest_s),
                report.goal(f"≤ {goal_ms}", is_met=is_met),
                f"{waits.p99_s * 1000:.1f}",
                milliseconds(without.longest_s),
                *(milliseconds(reader.during(windows).longest_s) for reader in others.readers),
            )
        )
        print("  ".join(self.deleted[-1]), flush=True)

    def _add_purged(self, size: Talkers, purged: Purged, others: Others) -> None:
        waits = [each.during([purged.window]) for each in others]
        self.purged.append(
            (
                f"{size.messages:,}",
                f"{purged.size_bytes >> 20:,}",
                f"{purged.window.took_s:.1f}",
                ", ".join(
                    f"{step} {took:.1f}" for step, took in purged.steps_s.items() if took >= _TOLD_S
                ),
                *(f"{each.longest_s[0]:.2f}" for each in waits),
                f"{sum(each.refused for each in waits)}",
            )
        )
        print("  ".join(self.purged[-1]), flush=True)


@contextmanager
def _others(server: Server, said: Talk) -> Iterator[Others]:
    sessions = talk.sessions_of(said, said.others)
    users = (traffic.get(f"/v1/users/{talk.user_id(number)}") for number in cycle(said.others))
    with (
        Bystander(server, talk.appends(said, sessions, 1)) as writer,
        Bystander(server, users, pause_s=_READERS_PAUSE_S) as of_users,
        Bystander(server, talk.memories(sessions), pause_s=_READERS_PAUSE_S) as of_messages,
    ):
        yield Others(writer, of_users, of_messages)


def _delete(server: Server, user: str, messages: int) -> Deleted:
    def delete(client: Client) -> Any:
        return client.ask(traffic.delete(f"/v1/users/{user}"))

    return _deleted(server, delete, messages)


def _delete_by_zep(server: Server, user: str, messages: int) -> Deleted:
    def delete(client: Client) -> Any:
        answer = client.exchange(traffic.delete(f"/api/v1/user/{user}"))
        assert answer == (200, b"OK"), answer
        return None

    return _deleted(server, delete, messages)


def _deleted(server: Server, delete: Callable[[Client], Any], messages: int) -> Deleted:
    quiet = perf_counter()
    sleep(min(max(_LEAST_QUIET_S, messages / _DELETED_A_SECOND), _MOST_QUIET_S))
    client = Client(server, patience_s=PATIENCE_S)
    began = perf_counter()
    erasure = delete(client)
    answered_s = perf_counter() - began
    if erasure is None:
        newest = client.ask(traffic.get("/v1/erasures?limit=1&order=-created"))
        erasure = newest["items"][0]
    while erasure["state"] == "deleting":
        sleep(_LOOK_EVERY_S)
        erasure = client.ask(traffic.get(f"/v1/erasures/{erasure['id']}"))
    ended = perf_counter()
    client.close()
    assert erasure["counts"]["messages"] == messages, erasure
    before = Window(max(quiet, 2 * began - ended), began)
    return Deleted(erasure["id"], answered_s, Window(began, ended), before)


def _purge(server: Server, uuid: str, size_bytes: int) -> Purged:
    """Ask for the purge, and look what it does until it is done."""
    client, asking = (Client(server, patience_s=PATIENCE_S) for _ in range(2))
    began = now = perf_counter()
    asked = threading.Thread(
        target=lambda: asking.ask(traffic.post(f"/v1/erasures/{uuid}/purge", None))
    )
    asked.start()
    steps_s: defaultdict[str, float] = defaultdict(float)
    erasure: Any = {"state": "deleted"}
    while erasure["state"] != "purged":
        sleep(_LOOK_EVERY_S)
        erasure = client.ask(traffic.get(f"/v1/erasures/{uuid}"))
        assert not erasure["purge"]["problem"], erasure
        assert not erasure["purge"]["skipped_steps"], erasure
        looked, now = now, perf_counter()
        steps_s[erasure["purge"]["phase"] or "begin and end"] += now - looked
    asked.join()
    asking.close()
    client.close()
    return Purged(size_bytes, Window(began, now), steps_s)


def run(given: argparse.Namespace) -> None:
    """Measure both engines, print, and keep what a whole run gives."""
    tables: list[report.Table] = []
    notes: list[str] = []
    facts: dict[str, str] = {}
    database_s = 0.0
    noise = Noise()
    with tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder:
        # Opened one after the other: PostgreSQL's server runs from when it is made.
        engines: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
            "SQLite": lambda: nullcontext(SqliteBench(Path(folder))),
            "PostgreSQL": PostgresBench,
        }
        for name, opened in engines.items():
            with opened() as engine:
                tables += ErasureBench(given, name, engine, Path(folder)).run()
                facts |= engine.facts()
                database_s += engine.used_s()
                notes += engine.notes
    notes.insert(0, noise.told(database_s))
    tables = [table for table in tables if table.rows]
    text = report.text_of(tables, notes, seed.FOLDER, facts, module="erasure")
    print(f"\n{text}")
    file = given.results or (None if given.only else RESULTS)
    if file is not None:
        file.write_text(text)
