"""The clock of the writer: time increases, whatever the system clock does."""

from pathlib import Path

import pytest

from tests.prepared import prepared
from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, run_in_one_group
from userkeep.config import Settings
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import StorageError, Unavailable
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
YEAR = 365 * 24 * HOUR
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
    clock.microseconds = NOON - HOUR // 2
    first, second = now(engine), now(engine)
    assert before < first < second < NOON + 100
    clock.microseconds = NOON + HOUR
    assert now(engine) == NOON + HOUR


@pytest.mark.parametrize("wrong_by", [YEAR * 10, -YEAR * 10, YEAR * 200])
def test_time_follows_a_clock_that_is_corrected(
    clock: SystemClock, engine: SqliteEngine, caplog: pytest.LogCaptureFixture, wrong_by: int
) -> None:
    clock.microseconds = NOON + wrong_by
    assert now(engine) == NOON + wrong_by
    assert ("The system clock was wrong" in caplog.text) == (wrong_by < 0)
    clock.microseconds = NOON + HOUR
    first, second = now(engine), now(engine)
    assert NOON + HOUR <= first < second < NOON + HOUR + 100
    assert "The system clock was wrong" in caplog.text


def test_time_follows_a_clock_that_is_corrected_before_a_restart(
    clock: SystemClock, open_engine: OpenEngine
) -> None:
    clock.microseconds = NOON + 10 * YEAR
    engine = open_engine()
    engine.write(add_jane)
    engine.close()
    clock.microseconds = NOON
    engine = open_engine()
    added = engine.write(add_john)
    assert NOON <= added < NOON + 100
    engine.close()
    clock.microseconds = NOON - HOUR // 2  # time does not go back again by less than an hour
    engine = open_engine()
    assert engine.write(change_john) > added


def test_a_clock_of_a_year_without_times_rejects_writes_until_it_is_corrected(
    clock: SystemClock, engine: SqliteEngine
) -> None:
    for microseconds in (NOON + 9000 * YEAR, -HOUR):
        clock.microseconds = microseconds
        with pytest.raises(Unavailable, match="The system clock of this machine is wrong"):
            engine.write(add_note("too late"))
    clock.microseconds = NOON + HOUR
    engine.write(add_note("in time"))
    assert len(times(engine)) == 1


@pytest.mark.parametrize("microseconds", [NOON + 9000 * YEAR, -1, -100 * YEAR])
def test_an_instance_is_not_opened_with_a_clock_of_a_year_without_times(
    clock: SystemClock, path: Path, microseconds: int
) -> None:
    clock.microseconds = microseconds
    with pytest.raises(StorageError, match="The system clock of this machine is wrong"):
        open_instance(Settings(database_url=f"sqlite:///{path}"))
    assert list(path.parent.iterdir()) == []


def test_a_lease_of_a_wrong_clock_keeps_nobody_from_a_deletion(
    clock: SystemClock, path: Path
) -> None:
    def begin(tx: Transaction) -> str:
        tx = tx.in_scope(SCOPE)
        users.add(tx, NewUser(user_id="jane"))
        erasure = erasures.begin_user(tx, "jane")
        far = {"now_at": tx.now, "latest_at": tx.now, "held_until_at": None}
        tx.fetch_one("acquire_lease", Erasure, uuid=erasure.uuid, expires_at=tx.now + HOUR, **far)
        return erasure.uuid

    userkeep = open_instance(Settings(database_url=f"sqlite:///{path}"))
    clock.microseconds = NOON + 10 * YEAR
    uuid = userkeep.engine.write(begin)
    clock.microseconds = NOON
    [erasure] = userkeep.engine.write(lambda tx: erasures.interrupted(tx.in_scope(SCOPE)))
    assert erasure.uuid == uuid
    advanced = userkeep.engine.write(lambda tx: erasures.advance(tx.in_scope(SCOPE), uuid))
    assert advanced.is_finished
    userkeep.close()


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


def change_john(tx: Transaction) -> Instant:
    change = UserChange(first_name="John")
    return users.update(tx.in_scope(SCOPE), "john", change, merge_patch).updated_at


def say_something(tx: Transaction) -> Instant:
    new = prepared("Hello")
    return messages.append(tx.in_scope(SCOPE), "first", new, may_create=False)[0].created_at


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
    clock.microseconds = newest - HOUR // 2
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
    clock.microseconds = NOON - HOUR // 2
    userkeep = open_instance(settings)
    assert userkeep.engine.write(change_jane) > added
    userkeep.close()
