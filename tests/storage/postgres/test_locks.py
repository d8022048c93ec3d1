"""Rows that another transaction has locked, and connections that are too few."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx2
import psycopg
import pytest

from tests.postgres import as_role, postgres_server
from tests.serving import serving
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    add_note,
    count,
    create_table,
    gate_closed,
    new_role,
    notes_in_database,
    owned_database,
    read_notes,
    search,
    wait_at_gate,
    wait_until_at_gate,
)
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.postgres import PostgresEngine, pool

CROWD = 100
LONG_S = 20


@contextmanager
def locked(url: str, statement: bytes) -> Iterator[None]:
    """Keep the rows locked that a statement locks."""
    with psycopg.connect(url) as connection:
        connection.execute(statement)
        yield


LOCK_NOTE = b"SELECT FROM notes WHERE id = 1 FOR UPDATE"


def change_note(number: int) -> Operation[int]:
    return lambda tx: tx.execute("change_note", id=number, more="+")


@pytest.fixture
def notes(engine: PostgresEngine) -> PostgresEngine:
    """An engine with two notes, of which each can be locked."""
    for text in ("first", "second"):
        engine.write(add_note(text))
    return engine


def test_a_locked_row_does_not_take_all_connections_of_an_event_loop(
    notes: PostgresEngine, url: str
) -> None:
    async def crowd() -> list[Any]:
        with locked(url, LOCK_NOTE):
            crowd = [asyncio.ensure_future(notes.write_async(change_note(1))) for _ in range(CROWD)]
            await asyncio.sleep(0.05)
            for number in range(10):
                assert await notes.write_async(change_note(2)) == 1
                assert await notes.read_async(count) == 2
                assert await notes.read_async(lambda tx: count(tx) + count(tx)) == 4
                assert len([each for each in crowd if each.done()]) < CROWD, number
        return await asyncio.gather(*crowd, return_exceptions=True)

    changed = asyncio.run(crowd()).count(1)
    assert changed > 0
    assert read_notes(notes) == ["first" + "+" * changed, "second" + "+" * 10]


def test_a_locked_row_does_not_take_all_connections_of_threads(
    notes: PostgresEngine, url: str
) -> None:
    with ThreadPoolExecutor(CROWD) as threads:
        with locked(url, LOCK_NOTE):
            crowd = [threads.submit(notes.write, change_note(1)) for _ in range(CROWD)]
            for _ in range(5):
                assert notes.write(change_note(2)) == 1
            assert not all(each.done() for each in crowd)
        errors = [each.exception() for each in crowd]
    changed = errors.count(None)
    assert changed > 0
    assert read_notes(notes) == ["first" + "+" * changed, "second+++++"]


@pytest.mark.parametrize("is_on_loop", [True, False])
def test_an_operation_that_waits_too_long_for_a_lock_fails_and_changes_nothing(
    notes: PostgresEngine, url: str, monkeypatch: pytest.MonkeyPatch, is_on_loop: bool
) -> None:
    monkeypatch.setattr(pool, "LOCK_WAIT_S", 0.4)

    def add_and_change(tx: Transaction) -> None:
        add_note("never")(tx)
        change_note(1)(tx)

    async def ask_on_loop() -> None:
        await notes.write_async(add_and_change)

    def ask_in_a_thread() -> None:
        notes.write(add_and_change)

    with locked(url, LOCK_NOTE):
        began = monotonic()
        ask = (lambda: asyncio.run(ask_on_loop())) if is_on_loop else ask_in_a_thread
        with pytest.raises(Unavailable, match=r"holds a lock .* nothing was changed"):
            ask()
        assert 0.4 <= monotonic() - began < LONG_S
    assert read_notes(notes) == ["first", "second"]
    notes.write(add_and_change)
    assert read_notes(notes) == ["first+", "second", "never"]


@pytest.mark.parametrize("is_on_loop", [True, False])
def test_an_operation_waits_for_a_lock_that_is_released_soon(
    notes: PostgresEngine, url: str, is_on_loop: bool
) -> None:
    is_locked = threading.Event()

    def lock_for_a_while() -> None:
        with locked(url, LOCK_NOTE):
            is_locked.set()
            sleep(0.5)

    async def change_on_loop() -> int:
        return await notes.write_async(change_note(1))

    with ThreadPoolExecutor(1) as threads:
        locking = threads.submit(lock_for_a_while)
        is_locked.wait(10)
        changed = asyncio.run(change_on_loop()) if is_on_loop else notes.write(change_note(1))
        locking.result(10)
    assert changed == 1
    assert read_notes(notes) == ["first+", "second"]


def test_a_locked_table_does_not_stop_reads_of_others(notes: PostgresEngine, url: str) -> None:
    async def crowd() -> None:
        with locked(url, b"LOCK TABLE notes"):
            crowd = [asyncio.ensure_future(notes.read_async(count)) for _ in range(CROWD)]
            await asyncio.sleep(0.3)
            for _ in range(5):
                assert await notes.read_async(search(0)) == 1
                assert await notes.write_async(search(0)) == 1
            assert not any(each.done() for each in crowd)
        assert await asyncio.gather(*crowd) == [2] * CROWD

    asyncio.run(crowd())


def test_one_user_whose_row_is_locked_does_not_stop_others(tmp_path: Path) -> None:
    database = postgres_server().new_database()
    appended = {"messages": [{"role": "user", "content": "Hello"}]}

    async def crowd(url: str) -> None:
        limits = httpx2.Limits(max_connections=2 * CROWD)
        async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            for user in ("jane", "joe"):
                body = {"session_id": f"{user}'s", "user_id": user}
                assert (await client.post("/v1/users", json={"user_id": user})).status_code == 201
                assert (await client.post("/v1/sessions", json=body)).status_code == 201
            lock = b"SELECT FROM sessions WHERE session_id = 'jane''s' FOR UPDATE"
            lock_user = b"SELECT FROM users WHERE user_id = 'jane' FOR UPDATE"
            with locked(database, lock), locked(database, lock_user):
                crowd = [
                    asyncio.ensure_future(request)
                    for n in range(CROWD // 2)
                    for request in (
                        client.post("/v1/sessions/jane's/messages", json=appended),
                        client.post(f"/v1/sessions/{n}/messages", json=appended | JANE),
                    )
                ]
                await asyncio.sleep(0.1)
                for _ in range(3):
                    got = await client.get("/v1/users/joe")
                    added = await client.post("/v1/sessions/joe's/messages", json=appended)
                    assert (got.status_code, added.status_code) == (200, 201)
                assert not all(each.done() for each in crowd)
            for response in await asyncio.gather(*crowd):
                assert response.status_code in {201, 503}
                if response.status_code == 503:
                    assert "nothing was changed" in response.json()["detail"]
                    assert int(response.headers["retry-after"]) >= 1

    with serving(tmp_path, database_url=database) as server:
        asyncio.run(crowd(server.url))


JANE = {"user_id": "jane"}


# The queue.


@pytest.mark.parametrize("is_on_loop", [True, False])
def test_an_operation_that_waits_too_long_for_a_connection_never_runs(
    open_engine: OpenEngine, url: str, monkeypatch: pytest.MonkeyPatch, is_on_loop: bool
) -> None:
    monkeypatch.setattr(pool, "QUEUE_WAIT_S", 0.4)
    engine = open_engine(pool_size=1)
    engine.write(create_table)

    async def ask_on_loop() -> None:
        with gate_closed(url):
            at_gate = asyncio.ensure_future(engine.write_async(wait_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            with pytest.raises(Unavailable, match=r"busy .* nothing was changed"):
                await engine.write_async(add_note("too late"))
        await at_gate
        assert await engine.write_async(add_note("in time")) == "in time"

    def ask_in_threads() -> None:
        with ThreadPoolExecutor(1) as threads:
            with gate_closed(url):
                at_gate = threads.submit(engine.write, wait_at_gate)
                wait_until_at_gate(url, 1)
                with pytest.raises(Unavailable, match=r"busy .* nothing was changed"):
                    engine.write(add_note("too late"))
            at_gate.result(10)
        assert engine.write(add_note("in time")) == "in time"

    if is_on_loop:
        asyncio.run(ask_on_loop())
    else:
        ask_in_threads()
    assert notes_in_database(url) == ["in time"]


def test_a_queued_read_whose_caller_has_left_does_not_run(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    runs: list[None] = []

    def read(tx: Transaction) -> int:
        runs.append(None)
        return count(tx)

    async def leave() -> None:
        with gate_closed(url):
            at_gate = asyncio.ensure_future(engine.write_async(wait_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            left = asyncio.ensure_future(engine.read_async(read))
            await asyncio.sleep(0.05)
            left.cancel()
        await at_gate
        assert await engine.write_async(search(0)) == 1

    asyncio.run(leave())
    assert runs == []


# Connections that cannot be opened.


@pytest.fixture
def limited_url() -> Iterator[str]:
    """A database as a role that may have three connections."""
    with new_role("CONNECTION LIMIT 3") as role, owned_database(role) as url:
        yield as_role(url, role)


def test_connections_that_exist_are_used_while_others_cannot_be_opened_on_an_event_loop(
    open_engine: OpenEngine, limited_url: str
) -> None:
    engine = open_engine(limited_url)

    async def ask() -> None:
        await engine.write_async(create_table)
        for number in range(10):
            asked: list[Any] = [engine.write_async(add_note(f"{number}")) for _ in range(10)]
            asked += [engine.read_async(lambda tx: count(tx) + count(tx)) for _ in range(10)]
            asked += [engine.read_async(count) for _ in range(10)]
            await asyncio.gather(*asked)
        assert await engine.read_async(count) == 100

    try:
        asyncio.run(ask())
    finally:
        engine.close()


def test_connections_that_exist_are_used_while_others_cannot_be_opened_in_threads(
    open_engine: OpenEngine, limited_url: str
) -> None:
    engine = open_engine(limited_url)
    try:
        engine.write(create_table)
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(engine.write, [add_note("there")] * 100)) == ["there"] * 100
        assert engine.read(count) == 100
    finally:
        engine.close()


def test_a_single_connection_serves_long_reads_while_no_other_can_be_opened(
    open_engine: OpenEngine, limited_url: str
) -> None:
    engine = open_engine(limited_url)

    async def ask() -> None:
        assert await engine.read_async(search(0), is_bounded=False) == 1
        with psycopg.connect(limited_url), psycopg.connect(limited_url):
            reads = [engine.read_async(search(0.1), is_bounded=False) for _ in range(6)]
            assert await asyncio.gather(*reads) == [1] * 6

    try:
        asyncio.run(ask())
    finally:
        engine.close()
