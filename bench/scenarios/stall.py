"""How long others wait while a client is hostile, and how much memory it costs.

Each input is sent to a server of its own, on a database that was filled for it. At the same time,
another process requests `/healthz`, appends for another user, reads that user, and searches
(`bench.stalls.watch`). The server has all cores: its workers and its event loop compete for them,
as they do in production.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import NamedTuple, Self

from bench.databases import Databases
from bench.harness.report import Report, is_wanted, show
from bench.harness.servers import PRODUCT, Server, ServerCommand, ServerHarness
from bench.stalls import generated, inputs
from bench.stalls.connections import ANSWERED, CLOSED, LEFT, WAITING, Answer, Target
from bench.stalls.inputs import Hostile, Setup
from bench.stalls.watch import APPEND, HEALTH, READ, SEARCH, SESSION, USER, Wait, Watchers
from devtools.markdown import Cells, Table, columns

_GOALS_S = {HEALTH: 0.1, READ: 0.1, APPEND: 0.25}
_REJECTED_S, _LIMITED_S, _STOPPED_S = 1.0, 12.0, 10.0
_MEMORY_MIB = 512
_QUIET_S = 0.5
_SAMPLE_S = 0.02
_SETUP_S = 120.0
_MOST_BYTES = 6 << 30
_MIB = 1 << 20

_COLUMNS = columns(
    "healthz ms, append ms, read ms, search ms, others failed, memory MiB, its own, response s, "
    "status, stop s",
    first="input",
)
_ABOUT = (
    "The longest wait of others while the input was processed: for `/healthz` (goal: 100 ms), for "
    "an append (250 ms), a point read (100 ms) and a search of another user; and how many of their "
    "requests got an error (0). The server's greatest memory above that of the idle server (512 "
    "MiB), and the part of it that is no file. `response` is the longest time until a response was "
    "complete: within 1 s for a rejection (4xx) of one request, any time for what was performed, "
    "and a 503 where a time limit ended it. A connection that never sends or reads all must be "
    "closed. `stop` is how long the server needed to stop afterwards (10 s). What missed its goal "
    "is **bold**."
)


class Outcome(NamedTuple):
    """What an input did to a server and to others."""

    answers: Sequence[Answer]
    waits: Mapping[str, Sequence[Wait]]
    memory: "_Memory"
    stopped_s: float


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    command = PRODUCT
    if given.other is not None:
        command = ServerCommand.other(given.other, given.other_prefix, folder)
    stage = _Stage(given, databases, ServerHarness(folder, is_pinned=False), command)
    wanted = [each for each in _inputs(given) if is_wanted(given, each.name)]
    rows = [show(_cells(hostile, stage.outcome(hostile))) for hostile in wanted]
    missed = sum(any("**" in cell for cell in row) for row in rows)
    notes = [
        *([f"the server: `{given.other}`"] if given.other else []),
        f"{missed} of {len(rows)} inputs missed a goal",
        f"a client waits {given.bound:.0f} s at most; large set-ups at a scale of {given.scale:g}",
        *([f"generated inputs: {given.seeds}, from seed {given.seed}"] if given.seeds else []),
    ]
    return Report([Table("Hostile inputs", _ABOUT, _COLUMNS, rows)], notes)


def _inputs(given: argparse.Namespace) -> Iterator[Hostile]:
    yield from inputs.handed()
    for seed in range(given.seed, given.seed + given.seeds):
        yield generated.hostile(seed)


class _Stage:
    """Runs inputs, each on a server and a database of its own."""

    def __init__(
        self,
        given: argparse.Namespace,
        databases: Databases,
        harness: ServerHarness,
        command: ServerCommand,
    ) -> None:
        self._bound_s, self._scale = given.bound, given.scale
        self._words = dict(pair.split("=", 1) for pair in given.renamed)
        self._databases, self._harness, self._command = databases, harness, command
        self._filled: dict[Setup, str] = {}

    def outcome(self, hostile: Hostile) -> Outcome:
        """Send an input, and watch what happens."""
        url = self._databases.copied(self._filled_by(hostile.setup), "attacked")
        try:
            return self._outcome(hostile, url)
        finally:
            self._databases.discard(url)

    def _outcome(self, hostile: Hostile, url: str) -> Outcome:
        with self._harness.serving(url, self._command) as server, Watchers(server.port) as others:
            sleep(_QUIET_S)
            target = Target(server.port, self._bound_s, self._words)
            with _Memory(server) as memory:
                began = monotonic()
                answers = hostile.attack(target)
                sleep(hostile.watched_s)
            waits = others.finish()
            stopped_s = server.stop()
        during = {name: [each for each in of if each.ended > began] for name, of in waits.items()}
        return Outcome(answers, during, memory, stopped_s)

    def _filled_by(self, setup: Setup) -> str:
        if setup not in self._filled:
            url = self._databases.empty(f"setup-{len(self._filled)}")
            with self._harness.serving(url, self._command) as server:
                target = Target(server.port, _SETUP_S, self._words)
                target.call("POST", "/v1/users", {"user_id": USER})
                target.call("POST", "/v1/sessions", {"session_id": SESSION, "user_id": USER})
                setup(target, self._scale)
            self._filled[setup] = url
        return self._filled[setup]


class _Memory:
    """The greatest memory of a server while this is entered, above what it had at first.

    The server is killed before the machine has no memory left for others.
    """

    def __init__(self, server: Server) -> None:
        server.reset_peak_memory()
        self._server = server
        self._first, self._first_own = server.memory_bytes(), server.own_memory_bytes()
        self._is_over = Event()
        self._thread = Thread(target=self._sample)
        self.peak_bytes = self.own_bytes = 0
        self.is_killed = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_SAMPLE_S) and not self.is_killed:
            self.peak_bytes = self._server.peak_memory_bytes() - self._first
            own_bytes = self._server.own_memory_bytes() - self._first_own
            self.own_bytes = max(self.own_bytes, own_bytes)
            if own_bytes > _MOST_BYTES:
                self.is_killed = True
                self._server.kill()


def _cells(hostile: Hostile, outcome: Outcome) -> Cells:
    failed = sum(not _is_served(wait) for waits in outcome.waits.values() for wait in waits)
    longest_s = max(answer.took_s for answer in outcome.answers)
    peak_mib, own_mib = outcome.memory.peak_bytes / _MIB, outcome.memory.own_bytes / _MIB
    return (
        hostile.name,
        *(_longest(name, outcome.waits[name]) for name in (HEALTH, APPEND, READ, SEARCH)),
        _marked(f"{failed}", is_met=not failed),
        _marked(f"{peak_mib:.0f}", is_met=peak_mib < _MEMORY_MIB),
        f"{own_mib:.0f}",
        _marked(f"{longest_s:.2f}", is_met=_is_in_time(hostile, outcome.answers)),
        _status(hostile, outcome),
        _marked(f"{outcome.stopped_s:.1f}", is_met=outcome.stopped_s <= _STOPPED_S),
    )


def _longest(name: str, waits: Sequence[Wait]) -> str:
    longest_s = max(wait.took_s for wait in waits)
    return _marked(f"{longest_s * 1000:,.0f}", is_met=longest_s <= _GOALS_S.get(name, longest_s))


def _is_served(wait: Wait) -> bool:
    return wait.status is None or 200 <= wait.status < 300


def _is_in_time(hostile: Hostile, answers: Sequence[Answer]) -> bool:
    """Return whether what was rejected was rejected soon; many at once wait for each other."""
    if hostile.is_ended or len(answers) > 1:
        return True
    limits_s = {4: _REJECTED_S, 5: _LIMITED_S}
    return all(each.took_s <= limits_s.get(each.status // 100, each.took_s) for each in answers)


def _is_right(hostile: Hostile, answers: Sequence[Answer]) -> bool:
    """Return whether every connection got a response, or was closed if it never ends."""
    if hostile.is_ended:
        return all(answer.how in {ANSWERED, CLOSED} for answer in answers)
    return all(
        answer.how in {ANSWERED, LEFT} and (answer.status < 500 or answer.status in {501, 503})
        for answer in answers
    )


def _status(hostile: Hostile, outcome: Outcome) -> str:
    if outcome.memory.is_killed:
        return _marked("killed", is_met=False)
    return _marked(_ends(outcome.answers), is_met=_is_right(hostile, outcome.answers))


def _ends(answers: Sequence[Answer]) -> str:
    """Return the different ends, such as `413, closed`."""
    ends = {
        str(answer.status or "ok") if answer.how == ANSWERED else answer.how for answer in answers
    }
    return ", ".join(sorted(ends, key=lambda end: (end in {CLOSED, LEFT, WAITING}, end)))


def _marked(text: str, *, is_met: bool) -> str:
    return text if is_met else f"**{text}**"
