"""How long a deletion takes, and how long other clients wait for it.

In a database of 1,000,000 messages of many users (see `bench.harness.corpus`), users of 100, of
1,000, of 10,000 and of 100,000 messages are deleted, each size in a copy of its own; with `--large`
also one of 1,000,000 among as many of others. Other clients are served at the same time: a writer,
who appends a message to a session of another user as fast as it gets responses, and two readers,
who ask for a user, and for the memory of a session.

- *Until deleted*: when DELETE is responded to, when the last row is gone, and how long others wait
  until then. One size is also deleted by the Zep v1 API.
- *The purge*: it is requested when all users of a size are deleted; how long each of its steps
  takes, and how long others wait for it.

Beside a deletion stands the writer's longest wait in a time without one, just before it.
"""

import argparse
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import httpx2

from bench.databases import Databases
from bench.harness import corpus, requests
from bench.harness.background_clients import TIMEOUT_S, BackgroundClient, Window
from bench.harness.corpus import Corpus, HeavyUsers
from bench.harness.report import Report, is_wanted, milliseconds, show, spread
from bench.harness.servers import Server, ServerHarness, exchange
from devtools.markdown import Cells, Table, columns, goal

_MESSAGES = 1_000_000
_SIZES = (HeavyUsers(9, 100), HeavyUsers(9, 1_000), HeavyUsers(3, 10_000), HeavyUsers(3, 100_000))
_LARGE = HeavyUsers(1, 1_000_000)
_AMONG_ALL = Corpus(_MESSAGES, _SIZES)
_AMONG_MORE = Corpus(_MESSAGES + _LARGE.messages, (_LARGE,))
_OF_ZEP = 100_000
_OF_GOAL, _GOAL_MS, _GOAL_OF_MORE_MS = 1_000, 100, 200
_POLL_S = 0.02
_LEAST_STEP_S = 0.05
_READERS_PAUSE_S = 0.002
_SETTLED_S = 2.0
_LEAST_QUIET_S, _MOST_QUIET_S = 0.5, 30.0
_DELETED_PER_SECOND = 5_000
# No purge starts by itself: neither is there enough to purge, nor is the server ever idle.
_NO_PURGE = {"PURGE_LARGE_MIB": "1000000", "PURGE_WITHIN_MINUTES": "1000"}

_OF_DELETED = columns(
    "responded s, deleted s, writer's longest ms, goal, its p99, its longest without, "
    "reader of users, reader of messages",
    first="a user of",
)
_ABOUT_DELETED = (
    "Medians (least to greatest) of deleting several users of as many messages, one after the "
    "other. `responded` is when DELETE was, after five seconds at the latest, and `deleted` when "
    "the last row was gone. Then, in ms, the longest wait of another writer in each; the goal is "
    "for the greatest, unless it is as great without a deletion; its p99 in all of them; its "
    "longest wait in a time just before each of them, in which nothing was deleted; and the "
    "longest waits of two readers."
)
_OF_PURGE = columns(
    "MiB, purged s, steps s, writer's longest s, reader of users, reader of messages, rejected",
    first="after users of",
)
_ABOUT_PURGE = (
    "The purge that was requested when they were deleted: how large the database was, after how "
    "many seconds all was purged, and how long its steps took; then the longest waits of others "
    "during it, in seconds, and how many of all their requests got an error."
)


class Deleted(NamedTuple):
    """The deletion of one user.

    Attributes:
        erasure: its id.
        responded_s: after how long DELETE was responded to.
        window: from DELETE until no row of the user was left.
        before: a time just before, in which nothing was deleted.
    """

    erasure: str
    responded_s: float
    window: Window
    before: Window


class Purged(NamedTuple):
    """A purge: how large the database was before, and how long each step took."""

    size_bytes: int
    window: Window
    steps_s: Mapping[str, float]


class Others(NamedTuple):
    """The clients that are served at the same time."""

    writer: BackgroundClient
    of_users: BackgroundClient
    of_messages: BackgroundClient

    @property
    def readers(self) -> Sequence[BackgroundClient]:
        return (self.of_users, self.of_messages)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    deleted: list[Cells] = []
    purged: list[Cells] = []
    for size in [*_SIZES, *([_LARGE] if given.large else [])]:
        if is_wanted(given, f"users of {size.messages}"):
            rows = list(_measure(databases, harness, size))
            deleted += rows[:-1]
            purged += rows[-1:]
    tables = [
        Table("Until deleted", _ABOUT_DELETED, _OF_DELETED, deleted),
        Table("The purge", _ABOUT_PURGE, _OF_PURGE, purged),
    ]
    return Report(tables, [harness.note, *databases.notes])


def _measure(databases: Databases, harness: ServerHarness, size: HeavyUsers) -> Iterator[Cells]:
    """Yield the rows of a size: of its deletions, and at last of their purge."""
    among = _AMONG_ALL if size != _LARGE else _AMONG_MORE
    url = databases.copied(corpus.filled(databases, among), "deleting")
    users = [corpus.user_id(number) for number in among.users_of(size.messages)]
    by_zep = [users.pop()] if size.messages == _OF_ZEP else []
    with (
        harness,
        harness.serving(url, settings=_NO_PURGE) as server,
        _others(server, among) as others,
    ):
        sleep(_SETTLED_S)
        deleted = [_delete(server, user, size.messages, _by_native) for user in users]
        of_zep = [_delete(server, user, size.messages, _by_zep) for user in by_zep]
        before = databases.bytes_of(url)
        purged = _purge(server, [*deleted, *of_zep][-1].erasure, before)
    yield show(_deleted_row(f"{size.messages:,}", size, deleted, others))
    if of_zep:
        yield show(_deleted_row(f"{size.messages:,}, by the Zep v1 API", size, of_zep, others))
    yield show(_purged_row(size, purged, others))


@contextmanager
def _others(server: Server, among: Corpus) -> Iterator[Others]:
    sessions = corpus.sessions_of(among, among.others)
    users = (requests.get(f"/v1/users/{corpus.user_id(each)}") for each in cycle(among.others))
    memories, pause_s = corpus.memories(sessions), _READERS_PAUSE_S
    with (
        BackgroundClient(server, corpus.appends(among, sessions, 1)) as writer,
        BackgroundClient(server, users, pause_s=pause_s) as of_users,
        BackgroundClient(server, memories, pause_s=pause_s) as of_messages,
    ):
        yield Others(writer, of_users, of_messages)


def _by_native(client: httpx2.Client, user: str) -> Any:
    return exchange(client, "DELETE", f"/v1/users/{user}")


def _by_zep(client: httpx2.Client, user: str) -> Any:
    response = client.delete(f"/api/v1/user/{user}")
    assert (response.status_code, response.text) == (200, "OK"), response.text


def _delete(
    server: Server, user: str, messages: int, by: Callable[[httpx2.Client, str], Any]
) -> Deleted:
    quiet = perf_counter()
    sleep(min(max(_LEAST_QUIET_S, messages / _DELETED_PER_SECOND), _MOST_QUIET_S))
    with server.client(timeout_s=TIMEOUT_S) as client:
        began = perf_counter()
        erasure = by(client, user)
        responded_s = perf_counter() - began
        if erasure is None:
            newest = exchange(client, "GET", "/v1/erasures?limit=1&order=-created")
            erasure = newest["items"][0]
        while erasure["state"] == "deleting":
            sleep(_POLL_S)
            erasure = exchange(client, "GET", f"/v1/erasures/{erasure['id']}")
        ended = perf_counter()
    assert erasure["counts"]["messages"] == messages, erasure
    before = Window(max(quiet, 2 * began - ended), began)
    return Deleted(erasure["id"], responded_s, Window(began, ended), before)


def _purge(server: Server, erasure: str, size_bytes: int) -> Purged:
    """Request the purge, and watch its steps until it is done."""
    steps_s: defaultdict[str, float] = defaultdict(float)
    state, path = "deleted", f"/v1/erasures/{erasure}"
    with server.client(timeout_s=TIMEOUT_S) as client, server.client(timeout_s=TIMEOUT_S) as other:
        began = now = perf_counter()
        requesting = threading.Thread(target=lambda: exchange(other, "POST", f"{path}/purge"))
        requesting.start()
        while state != "purged":
            sleep(_POLL_S)
            answer = exchange(client, "GET", path)
            state, purge = answer["state"], answer["purge"]
            assert not purge["problem"], answer
            assert not purge["skipped_steps"], answer
            before, now = now, perf_counter()
            steps_s[purge["phase"] or "begin and end"] += now - before
        requesting.join()
    return Purged(size_bytes, Window(began, now), steps_s)


def _deleted_row(name: str, size: HeavyUsers, deleted: Sequence[Deleted], others: Others) -> Cells:
    windows = [each.window for each in deleted]
    waits = others.writer.during(windows)
    without = others.writer.during([each.before for each in deleted])
    goal_ms = _GOAL_MS if size.messages <= _OF_GOAL else _GOAL_OF_MORE_MS
    # Who waits longer when nothing is deleted does not wait for a deletion.
    is_met = max(waits.longest_s) <= max(goal_ms / 1000, *without.longest_s)
    return (
        name,
        spread([each.responded_s for each in deleted]),
        spread([window.took_s for window in windows]),
        milliseconds(waits.longest_s),
        goal(f"≤ {goal_ms}", is_met=is_met),
        f"{waits.p99_s * 1000:.1f}",
        milliseconds(without.longest_s),
        *(milliseconds(reader.during(windows).longest_s) for reader in others.readers),
    )


def _purged_row(size: HeavyUsers, purged: Purged, others: Others) -> Cells:
    waits = [each.during([purged.window]) for each in others]
    steps = (f"{step} {s:.1f}" for step, s in purged.steps_s.items() if s >= _LEAST_STEP_S)
    return (
        f"{size.messages:,}",
        f"{purged.size_bytes >> 20:,}",
        f"{purged.window.took_s:.1f}",
        ", ".join(steps),
        *(f"{each.longest_s[0]:.2f}" for each in waits),
        f"{sum(each.rejected for each in waits)}",
    )
