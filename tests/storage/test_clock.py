"""The clock of the writer: time increases, whatever the system clock does."""

from pathlib import Path

import pytest

from tests.prepared import prepared
from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, run_in_one_group
from userkeep.config import Settings
from userkeep.domain.scope import Scope
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.user import NewUser, UserChange
from userkeep.domain.values.metadata import merge_patch
from userkeep.domain.values.times import HOUR, Instant
from userkeep.instance import make_rules, open_instance
from userkeep.services import erasures, messages, sessions, users
from userkeep.storage import clock as clocks
from userkeep.storage.sqlite import SqliteEngine

NOON = 1_900_000_000_000_000
SCOPE = Scope(1, make_rules(Settings(), b"a secret of the tests"))


class SystemClock:
    """The system clock, which may stand still or jump."""

    def __init__(self, microseconds: int) -> None:
        self.microseconds = microseconds

    def __call__(self) -> int:
        return self.microseconds * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SystemClock:
    """The system clock; at first it stands still at noon."""
    clock = SystemClock(NOON)
    monkeypatch.setattr(clocks, "time_ns", clock)
    return clock


def now(engine: SqliteEngine) -> Instant:
    return engine.write(lambda tx: tx.now)


def times(engine: SqliteEngine) -> list[int]:
    return engine.read(lambda tx: tx.fetch_all("times", int))


def test_time_increases_while_the_system_clock_stands_still(
    clock: SystemClock, engine: SqliteEngine
) -> None:
    for n in range(5):
        engine.write(add_note(f"note {n}"))
    seen = times(engine)
    assert seen == sorted(set(seen))
    assert NOON <= seen[0] <= seen[-1] <= NOON + 100


def test_each_operation_of_a_group_has_its_own_time(
    clock: SystemClock, engine: SqliteEngine
) -> None:
    run_in_one_group(engine, *[add_note(f"note {n}") for n in range(20)])
    seen = times(engine)
    assert len(seen) == 20
    assert seen == sorted(set(seen))


def test_time_follows_the_system_clock_forward(clock: SystemClock, engine: SqliteEngine) -> None:
    clock.microseconds = NOON + HOUR
    assert now(engine) == NOON + HOUR


def test_time_does_not_follow_the_system_clock_back(
    clock: SystemClock, engine: SqliteEngine
) -> None:
    before = now(engine)
    clock.microseconds = NOON - 24 * HOUR
    first, second = now(engine), now(engine)
    assert before < first < second < NOON + 100
    clock.microseconds = NOON + HOUR
    assert now(engine) == NOON + HOUR


def test_the_time_does_not_change_during_an_operation(
    clock: SystemClock, engine: SqliteEngine
) -> None:
    def read_clock_twice(tx: Transaction) -> tuple[Instant, Instant]:
        first = tx.now
        clock.microseconds += HOUR
        return first, tx.now

    first, second = engine.write(read_clock_twice)
    assert first == second


def add_jane(tx: Transaction) -> Instant:
    return users.add(tx.in_scope(SCOPE), NewUser(user_id="jane")).updated_at


def add_john(tx: Transaction) -> Instant:
    return users.add(tx.in_scope(SCOPE), NewUser(user_id="john")).updated_at


def open_session(tx: Transaction) -> Instant:
    return sessions.add(tx.in_scope(SCOPE), NewSession(session_id="first")).updated_at


def open_another_session(tx: Transaction) -> Instant:
    return sessions.add(tx.in_scope(SCOPE), NewSession(session_id="second")).updated_at


def delete_jane(tx: Transaction) -> Instant:
    return erasures.begin_user(tx.in_scope(SCOPE), "jane").started_at


def change_jane(tx: Transaction) -> Instant:
    change = UserChange(first_name="Jane")
    return users.update(tx.in_scope(SCOPE), "jane", change, merge_patch).updated_at


def say_something(tx: Transaction) -> Instant:
    new = prepared("Hello")
    return messages.append(tx.in_scope(SCOPE), "first", new, may_create_session=False)[0].created_at


@pytest.mark.parametrize(
    "history",
    [
        [add_jane],
        [open_session],
        [add_jane, delete_jane],
        [open_session, say_something],
        [add_jane, add_john, change_jane],
        [open_session, open_another_session, say_something],
    ],
    ids=lambda history: ", ".join(each.__name__ for each in history),
)
def test_time_continues_from_the_newest_row_after_a_restart(
    clock: SystemClock, open_engine: OpenEngine, history: list[Operation[Instant]]
) -> None:
    engine = open_engine()
    for step in history:
        clock.microseconds += HOUR
        newest = engine.write(step)
    engine.close()
    clock.microseconds = NOON - 24 * HOUR
    assert now(open_engine()) > newest


def test_time_does_not_jump_ahead_at_a_restart(clock: SystemClock, open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(add_jane)
    engine.close()
    clock.microseconds += HOUR
    assert now(open_engine()) == NOON + HOUR


def test_an_instance_continues_from_its_newest_time_after_a_restart(
    clock: SystemClock, path: Path
) -> None:
    settings = Settings(database_url=f"sqlite:///{path}")
    userkeep = open_instance(settings)
    added = userkeep.engine.write(add_jane)
    userkeep.close()
    clock.microseconds = NOON - 24 * HOUR
    userkeep = open_instance(settings)
    assert userkeep.engine.write(change_jane) > added
    userkeep.close()
