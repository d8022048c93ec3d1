"""What takes long with stored data is computed outside of the transaction that needs it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.conftest import fresh_settings
from userkeep import NewMessage, Userkeep
from userkeep.config import sqlite_path
from userkeep.domain.search.stored_entries import INLINE_CHARACTERS
from userkeep.domain.transaction import Transaction
from userkeep.instance import Instance, open_instance

ENGINES = pytest.mark.parametrize("engine", ["sqlite file", "postgres"], ids=["sqlite", "postgres"])
LONG = "seventy different words " * (INLINE_CHARACTERS // 10)


class Recorder:
    """Functions for operations, which record in which threads they run."""

    def __init__(self) -> None:
        self.runs = 0
        self.threads: list[str] = []

    def double(self, number: int) -> int:
        """The function that takes long."""
        self.threads.append(threading.current_thread().name)
        if number < 0:
            raise ValueError("a negative number")
        return 2 * number

    def operation(self, tx: Transaction) -> int:
        """Compute with what is stored."""
        self.runs += 1
        stored = tx.fetch_one("get_secret_fingerprint", str) or ""
        return tx.compute_outside(self.double, len(stored))


@pytest.fixture
def instance(engine: str, tmp_path: Path) -> Iterator[Instance]:
    """A fresh instance."""
    opened = open_instance(fresh_settings(engine, tmp_path))
    yield opened
    opened.close()


@ENGINES
def test_an_operation_runs_again_with_what_was_computed(instance: Instance) -> None:
    recorder = Recorder()
    assert instance.engine.write(recorder.operation) == 128
    assert recorder.runs == 2
    assert recorder.threads == [threading.current_thread().name]


@ENGINES
def test_an_operation_of_a_loop_is_computed_for_in_a_thread(instance: Instance) -> None:
    recorder = Recorder()
    assert asyncio.run(instance.engine.write_async(recorder.operation)) == 128
    assert recorder.runs == 2
    [thread] = recorder.threads
    assert thread not in {threading.current_thread().name, "userkeep-writer"}


@ENGINES
def test_a_read_is_computed_for_outside_of_its_transaction_too(instance: Instance) -> None:
    recorder = Recorder()
    assert instance.engine.read(recorder.operation) == 128
    assert asyncio.run(instance.engine.read_async(recorder.operation, is_bounded=False)) == 128
    assert recorder.runs == 4
    here, thread = recorder.threads
    assert here == threading.current_thread().name
    assert not thread.startswith("userkeep-reader")


@ENGINES
def test_what_waits_for_others_is_computed_in_threads_of_its_own(instance: Instance) -> None:
    recorder = Recorder()
    with ThreadPoolExecutor(1, thread_name_prefix="own") as threads:

        def operation(tx: Transaction) -> int:
            return tx.compute_outside(recorder.double, 4, threads=threads)

        assert asyncio.run(instance.engine.read_async(operation, is_bounded=False)) == 8
        assert asyncio.run(instance.engine.write_async(operation)) == 8
    assert all(thread.startswith("own") for thread in recorder.threads)


@ENGINES
def test_what_is_computed_for_changed_data_is_computed_again(instance: Instance) -> None:
    recorder = Recorder()
    arguments = [3, 4, 4]

    def operation(tx: Transaction) -> int:
        return tx.compute_outside(recorder.double, arguments.pop(0))

    assert instance.engine.write(operation) == 8
    assert len(recorder.threads) == 2


@ENGINES
def test_an_operation_whose_data_always_changes_comes_to_an_end(instance: Instance) -> None:
    recorder = Recorder()
    numbers = iter(range(1000))

    def operation(tx: Transaction) -> int:
        return tx.compute_outside(recorder.double, next(numbers))

    assert instance.engine.write(operation) > 0
    assert asyncio.run(instance.engine.write_async(operation)) > 0


@ENGINES
def test_an_operation_can_compute_several_things(instance: Instance) -> None:
    recorder = Recorder()

    def operation(tx: Transaction) -> int:
        return sum(tx.compute_outside(recorder.double, number) for number in (1, 2, 3))

    assert asyncio.run(instance.engine.write_async(operation)) == 12
    assert len(recorder.threads) == 3


@ENGINES
def test_an_error_of_the_computation_is_the_error_of_the_operation(instance: Instance) -> None:
    recorder = Recorder()

    def operation(tx: Transaction) -> int:
        return tx.compute_outside(recorder.double, -1)

    with pytest.raises(ValueError, match="negative"):
        instance.engine.write(operation)
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(instance.engine.write_async(operation))


@ENGINES
def test_what_an_operation_changed_before_it_computed_is_rolled_back(instance: Instance) -> None:
    recorder = Recorder()

    def operation(tx: Transaction) -> int:
        tx.execute("set_index_build", value="changed")
        return tx.compute_outside(recorder.double, 1)

    def fail(tx: Transaction) -> int:
        tx.execute("set_index_build", value="wrong")
        return tx.compute_outside(recorder.double, -1)

    assert instance.engine.write(operation) == 2
    with pytest.raises(ValueError, match="negative"):
        instance.engine.write(fail)
    assert instance.engine.read(lambda tx: tx.fetch_one("get_index_build", str)) == "changed"


@pytest.fixture
def tokenized_by_the_writer() -> Iterator[list[int]]:
    """The lengths of the long texts that the writer's thread has made words of."""
    lengths: list[int] = []

    def record(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or frame.f_code.co_name != "make_entry":
            return
        length = len(frame.f_locals["content"])
        if length > INLINE_CHARACTERS and threading.current_thread().name == "userkeep-writer":
            lengths.append(length)

    threading.setprofile(record)
    yield lengths
    threading.setprofile(None)


@pytest.mark.parametrize(
    "change",
    [
        lambda client, _: client.user.delete("jane"),
        lambda client, _: client.session.delete("s1"),
        lambda client, message: client.message.delete("s1", message.id),
        lambda client, message: client.message.update("s1", message.id, content=f"{LONG}!"),
        lambda client, message: client.message.update("s1", message.id, content="short"),
        lambda client, message: client.message.update("s1", message.id, name="Ann"),
        lambda client, _: client.session.update(session_id="unowned", user_id="jane"),
        lambda client, _: client.message.add(
            "unowned", NewMessage(role="user", content="x"), user_id="jane"
        ),
    ],
    ids=["user", "session", "message", "content", "shorter", "name", "owner", "append"],
)
def test_the_writer_makes_no_words_of_long_texts(
    tokenized_by_the_writer: list[int], tmp_path: Path, change: Any
) -> None:
    settings = fresh_settings("sqlite file", tmp_path)
    with Userkeep.open(
        sqlite_path(settings.database_url), secret_file=settings.secret_file
    ) as client:
        message = client.message.add("s1", NewMessage(role="user", content=LONG), user_id="jane")[0]
        client.session.add(session_id="unowned")
        client.message.add("unowned", NewMessage(role="user", content=LONG))
        change(client, message)
    assert tokenized_by_the_writer == []


def test_a_deletion_does_not_notice_the_order_of_its_batches(tmp_path: Path) -> None:
    settings = fresh_settings("sqlite file", tmp_path)
    path = sqlite_path(settings.database_url)
    with Userkeep.open(path, secret_file=settings.secret_file) as client:
        for number, content in enumerate(["short", LONG, "x", LONG * 3, "", LONG]):
            messages = [
                NewMessage(role="user", content=f"{content} {n}") for n in range(1 + 30 * number)
            ]
            client.message.add(f"s{number}", messages, user_id="jane")
        erasure = client.user.delete("jane")
        assert (erasure.counts.sessions, erasure.counts.messages) == (6, 6 + 30 * 15)
        assert client.search("seventy") == []
