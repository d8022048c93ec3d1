"""The benchmark's baseline does to a database what the product does for the same requests."""

import asyncio
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bench.baseline.postgres import PostgresBaseline, PostgresReplay
from bench.baseline.recording import SIZE, record_operations
from bench.baseline.replay import Call, Operation, Recording, operation_of
from bench.baseline.sqlite import SqliteBaseline, SqliteReplay
from bench.databases.seeding import MESSAGES_OF_SESSION, record_seeding
from bench.harness.requests import Size, get, pair, parts
from bench.harness.servers import SECRET
from bench.scenarios.rows import NATIVE
from tests.postgres import postgres_server
from userkeep import Userkeep
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.jobs.index import compare_index

TIMES = 30
SEEDED = Size(users=100, sessions=40)


def database(engine: str, folder: Path) -> str:
    """A fresh database."""
    if engine == "postgres":
        return postgres_server().new_database()
    return f"sqlite:///{folder}/bench.db"


@pytest.fixture(params=["sqlite", "postgres"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Operation]]:
    """A database with some users and sessions, and the operations that were recorded on it."""
    url = database(request.param, tmp_path)
    return url, record_operations(url, {row.name: pair(row.requests(SIZE)) for row in NATIVE})


def check_index(url: str) -> None:
    """Fail if the index is not as the product would make it."""
    instance = open_instance(Settings(database_url=url, secret=SECRET))
    report = compare_index(instance.engine, instance.scope.rules)
    instance.close()
    assert report.is_correct


def state_of(url: str) -> tuple[int, int]:
    """How many users and messages there are; all messages have the numbers 1, 2, 3 …"""
    with Userkeep.open(url, secret=SECRET) as client:
        messages = 0
        for session in client.session.list():
            seqs = [message.seq for message in client.message.list(session.session_id)]
            assert seqs == list(range(1, session.message_count + 1))
            messages += len(seqs)
        return sum(1 for _ in client.user.list()), messages


def test_replayed_writes_leave_what_the_product_would(
    recorded: tuple[str, dict[str, Operation]],
) -> None:
    url, operations = recorded
    users, messages = state_of(url)
    replay = (PostgresReplay if url.startswith("postgresql") else SqliteReplay)(url)
    for row in NATIVE:
        # The first two were made by the product.
        for request in islice(row.requests(SIZE), 2, 2 + TIMES):
            replay.run(operations[row.name], parts(request))
    replay.close()
    assert state_of(url) == (users + TIMES, messages + TIMES * (1 + 10))
    check_index(url)


def test_the_baseline_server_leaves_the_same(recorded: tuple[str, dict[str, Operation]]) -> None:
    url, operations = recorded
    users, messages = state_of(url)

    async def run() -> None:
        baseline = (PostgresBaseline if url.startswith("postgresql") else SqliteBaseline)(url)
        for row in NATIVE:
            requests = islice(row.requests(SIZE), 2, 2 + TIMES)
            runs = (baseline.run(operations[row.name], parts(each)) for each in requests)
            await asyncio.gather(*runs)
        baseline.close()

    asyncio.run(run())
    assert state_of(url) == (users + TIMES, messages + TIMES * (1 + 10))
    check_index(url)


def test_a_seeded_database_is_as_the_product_makes_it(tmp_path: Path) -> None:
    url = database("sqlite", tmp_path)
    Userkeep.open(url, secret=SECRET).close()
    replay = SqliteReplay(url, is_durable=False)
    record_seeding().run(replay, SEEDED)
    replay.close()
    assert state_of(url) == (SEEDED.users, SEEDED.sessions * MESSAGES_OF_SESSION)
    check_index(url)


def recording(path: str, value: Any, *returned: Any) -> Recording:
    """A recording of an operation that gets a row, and writes with a value."""
    asked = Call("SELECT …", [{}], "rows"), [returned]
    written = Call("INSERT …", [{"project_id": 1, "value": value}], "changes"), 1
    return Recording(parts(get(path)), 200, {}, [asked, written], True, 1_000, [])


def test_a_value_whose_source_is_unknown_is_reported() -> None:
    with pytest.raises(RuntimeError, match="source of 'a' and 'b' is unknown in INSERT …"):
        operation_of(recording("/v1/c", "a", 7), recording("/v1/d", "b", 8))


def test_a_value_is_taken_from_the_request_or_from_a_returned_row() -> None:
    for first, second, expected in [
        (recording("/v1/a", "a", 7), recording("/v1/b", "b", 8), "e"),
        (recording("/v1/a", 17, 7), recording("/v1/b", 18, 8), 19),
    ]:
        calls = operation_of(first, second).calls(parts(get("/v1/e")), 2_000, str)
        next(calls)
        assert calls.send([(9,)]).rows == [{"project_id": 1, "value": expected}]


def test_a_call_that_returns_fewer_rows_than_the_product_got_is_reported() -> None:
    operation = operation_of(recording("/v1/a", "a", 7), recording("/v1/b", "b", 8))
    calls = operation.calls(parts(get("/v1/c")), 2_000, str)
    next(calls)
    with pytest.raises(RuntimeError, match="expected 1 rows"):
        calls.send([])
