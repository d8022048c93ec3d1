"""Embedded databases: they are opened, shared and closed."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.postgres import migrated_database, postgres_server
from tests.sdk.subprocesses import run, start
from tests.serving import serving
from userkeep import (
    AsyncUserkeep,
    NewMessage,
    NotFound,
    SettingError,
    StorageError,
    User,
    Userkeep,
)

ASYNC = ("asyncio", "trio")
CONTENT = "I live in Oslo"


@pytest.fixture(params=["file", "memory", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A fresh database of each kind, with the settings that it needs."""
    if request.param == "postgres":
        return migrated_database(), {"secret_file": str(tmp_path / "secret")}
    return (":memory:" if request.param == "memory" else f"{tmp_path}/memory.db"), {}


# The database.


def test_data_is_there_after_the_file_is_reopened(tmp_path: Path) -> None:
    for _ in range(2):
        with Userkeep.open(tmp_path / "memory.db") as client:
            client.message.add("s", NewMessage(role="user", content=CONTENT), user_id="jane")
    with Userkeep.open(f"{tmp_path}/memory.db") as client:
        assert [each.content for each in client.message.list("s")] == [CONTENT] * 2


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("memory.db", "memory.db"),
        ("a/memory.db", "a/memory.db"),
        ("./memory.db", "memory.db"),
        ("sqlite:///memory.db", "memory.db"),
        ("~/memory.db", "home/memory.db"),
        ("sqlite:///~/memory.db", "home/memory.db"),
        ("with space ?#%20é.db", "with space ?#%20é.db"),
        ("no.suffix/memory", "no.suffix/memory"),
    ],
)
def test_a_path_can_be_given_in_many_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    forms: list[str | Path] = [named] if "://" in named else [named, Path(named)]
    for form in forms:
        with Userkeep.open(form) as client:
            client.user.put(user_id="jane")
    assert (tmp_path / file).is_file()
    with Userkeep.open(tmp_path / file) as client:
        assert len(client.user.list()) == 1


def test_the_process_may_change_its_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with Userkeep.open("memory.db") as client:
        client.user.add(user_id="jane")
        monkeypatch.chdir(tmp_path / "other")
        with ThreadPoolExecutor(1) as other_thread:  # which opens its own connection
            assert other_thread.submit(client.user.get, "jane").result().user_id == "jane"
    assert list((tmp_path / "other").iterdir()) == []


def test_the_default_is_the_database_that_a_server_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Userkeep.open().close()
    assert (tmp_path / "userkeep-data" / "userkeep.db").is_file()
    monkeypatch.setenv("USERKEEP_DATABASE_URL", "sqlite:///elsewhere.db")
    Userkeep.open().close()
    assert (tmp_path / "elsewhere.db").is_file()


def test_databases_in_memory_are_separate() -> None:
    with Userkeep.open(":memory:") as one, Userkeep.open(":memory:") as other:
        one.user.add(user_id="jane")
        with pytest.raises(NotFound):
            other.user.get("jane")


def test_postgres_is_opened_by_its_url(tmp_path: Path) -> None:
    url = postgres_server().new_database()
    secret: dict[str, Any] = {"secret_file": str(tmp_path / "secret")}
    with Userkeep.open(url, **secret) as client, Userkeep.open(url, **secret) as other:
        client.user.add(user_id="jane")
        assert other.user.get("jane").user_id == "jane"


@pytest.mark.parametrize(
    "database", ["", "sqlite:///", "mysql://x/y", "http://127.0.0.1:8000", "sqlite://memory.db"]
)
def test_an_invalid_database_url_is_rejected(database: str) -> None:
    with pytest.raises(SettingError):
        Userkeep.open(database)


@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_a_database_of_another_type_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind.open(5)


def test_a_folder_and_a_file_that_is_no_database_are_rejected(tmp_path: Path) -> None:
    threads = own_threads()
    other = tmp_path / "other.txt"
    other.write_text("not a database, but long enough to be one " * 100)
    for path in (tmp_path, other, other / "memory.db"):
        with pytest.raises(StorageError, match=r"other|cannot|folder"):
            Userkeep.open(path)
    assert own_threads() == threads


# Settings.


def test_settings_can_be_passed_by_name() -> None:
    with Userkeep.open(":memory:", memory_window=2) as client:
        client.message.add(
            "s", [NewMessage(role="user", content=each) for each in "abc"], user_id="jane"
        )
        assert [each.content for each in client.memory.get("s").messages] == ["b", "c"]


def test_settings_default_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERKEEP_MEMORY_WINDOW", "1")
    with Userkeep.open(":memory:") as client, Userkeep.open(":memory:", memory_window=2) as other:
        for each, count in ((client, 1), (other, 2)):
            each.message.add(
                "s", [NewMessage(role="user", content=text) for text in "abc"], user_id="jane"
            )
            assert len(each.memory.get("s").messages) == count


@pytest.mark.parametrize(
    "settings",
    [
        {"memory_windows": 2},
        {"memory_window": "2"},
        {"memory_window": 0},
        {"secret": "short"},
        {"port": 8000},
        {"host": "127.0.0.1"},
        {"database_url": "sqlite:///other.db"},
    ],
)
def test_errors_name_invalid_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError) as rejected:
        Userkeep.open(":memory:", **settings)
    assert next(iter(settings)).upper() in str(rejected.value).upper()


def test_errors_name_invalid_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERKEEP_MEMORY_WINDOW", "many")
    with pytest.raises(SettingError, match="USERKEEP_MEMORY_WINDOW"):
        Userkeep.open(":memory:")


# The lock of the file.


def test_the_error_names_the_url_of_the_server_that_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with serving(tmp_path, database_url=f"sqlite:///{path}") as server:
        with pytest.raises(StorageError) as rejected:
            Userkeep.open(path)
        assert server.url in rejected.value.detail
        assert str(path) in rejected.value.detail
    Userkeep.open(path).close()


def test_a_file_cannot_be_opened_twice_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with Userkeep.open(path) as client:
        for kind in (Userkeep, AsyncUserkeep):
            with pytest.raises(StorageError) as rejected:
                kind.open(path)
            assert f"process {os.getpid()}, which is this one" in rejected.value.detail
        client.user.add(user_id="jane")
    Userkeep.open(path).close()


def test_the_error_names_the_process_that_has_the_file_open(tmp_path: Path) -> None:
    hold = """
        import sys
        from userkeep import Userkeep
        with Userkeep.open("memory.db"):
            print("open", flush=True)
            sys.stdin.read()
    """
    process = start(hold, folder=tmp_path)
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    try:
        with pytest.raises(StorageError, match=f"locked by process {process.pid}"):
            Userkeep.open(tmp_path / "memory.db")
    finally:
        process.communicate(timeout=30)
    Userkeep.open(tmp_path / "memory.db").close()


# Threads, tasks and loops.


def test_many_threads_share_it(database: tuple[str, dict[str, Any]]) -> None:
    url, settings = database
    with Userkeep.open(url, **settings) as client:
        client.session.add(session_id="s")

        def append(number: int) -> int:
            client.user.put(user_id=str(number % 7))
            return client.message.add("s", NewMessage(role="user", content=str(number)))[0].seq

        with ThreadPoolExecutor(32) as threads:
            assert sorted(threads.map(append, range(200))) == list(range(1, 201))
        assert len(client.user.list()) == 7


@pytest.mark.parametrize("backend", ASYNC)
def test_many_tasks_share_it(database: tuple[str, dict[str, Any]], backend: str) -> None:
    url, settings = database

    async def main() -> None:
        async with AsyncUserkeep.open(url, **settings) as client:
            await client.session.add(session_id="s")
            seqs: list[int] = []

            async def append(number: int) -> None:
                added = await client.message.add("s", NewMessage(role="user", content=str(number)))
                seqs.append(added[0].seq)

            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(append, number)
            assert sorted(seqs) == list(range(1, 101))
            assert len([each async for each in await client.message.list("s")]) == 100
            await client.session.delete("s")

    anyio.run(main, backend=backend)


def test_one_client_works_in_several_loops(database: tuple[str, dict[str, Any]]) -> None:
    url, settings = database
    client = AsyncUserkeep.open(url, **settings)

    async def put(name: str) -> None:
        for _ in range(10):
            await client.user.put(user_id=name)

    def in_a_loop(backend: str) -> None:
        anyio.run(put, backend, backend=backend)

    for backend in ASYNC:
        in_a_loop(backend)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(in_a_loop, [*ASYNC, *ASYNC]))

    async def last() -> list[User]:
        async with client:
            return [each async for each in await client.user.list()]

    assert [each.revision for each in asyncio.run(last())] == [30, 30]


def test_it_works_inside_a_running_loop() -> None:
    async def main() -> str:  # as in a cell of a notebook
        with Userkeep.open(":memory:") as client:
            return client.user.add(user_id="jane").user_id

    assert asyncio.run(main()) == "jane"


# Closing.


def own_threads() -> int:
    """Return the number of threads, without those that Trio keeps for a while."""
    return sum(not thread.name.startswith("Trio") for thread in threading.enumerate())


def test_no_thread_or_open_file_remains(database: tuple[str, dict[str, Any]]) -> None:
    url, settings = database

    async def main() -> None:
        async with AsyncUserkeep.open(url, **settings) as client:
            await client.user.add(user_id="jane")
            await client.user.list(limit=1000)
            await client.user.delete("jane")

    threads, files = own_threads(), len([*Path("/dev/fd").iterdir()])
    for backend in ASYNC:
        anyio.run(main, backend=backend)
    with Userkeep.open(url, **settings) as client:
        client.user.list(limit=1000)
    assert own_threads() == threads
    assert len([*Path("/dev/fd").iterdir()]) == files


def test_a_closed_client_raises_an_error(database: tuple[str, dict[str, Any]]) -> None:
    url, settings = database
    client = Userkeep.open(url, **settings)
    client.user.list()
    client.close()
    client.close()
    for call in (client.user.list, lambda: client.user.add(user_id="jane")):
        with pytest.raises(RuntimeError, match="closed"):
            call()


@pytest.mark.parametrize("backend", ASYNC)
def test_a_closed_async_client_raises_an_error(backend: str) -> None:
    async def main() -> None:
        client = AsyncUserkeep.open(":memory:")
        await client.close()
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.user.list()

    anyio.run(main, backend=backend)


def test_a_program_that_does_not_close_its_client_still_exits(tmp_path: Path) -> None:
    code = """
        import asyncio, warnings
        from userkeep import AsyncUserkeep, NewMessage, Userkeep

        warnings.simplefilter("ignore", ResourceWarning)  # as Python does without -W
        client = Userkeep.open("memory.db")
        client.user.add(user_id="jane")

        async def main():
            other = AsyncUserkeep.open("other.db")
            await other.message.add("s", NewMessage(role="user", content="x"), user_id="jane")
            await other.user.list(limit=1000)

        asyncio.run(main())
    """
    assert run(code, folder=tmp_path) == ""
    with Userkeep.open(tmp_path / "memory.db") as client:
        assert client.user.get("jane").user_id == "jane"


def test_a_forked_process_must_reopen_the_database(tmp_path: Path) -> None:
    code = """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn at every fork
        from userkeep import Userkeep, StorageError

        client = Userkeep.open("memory.db")
        client.user.add(user_id="jane")
        if (child := os.fork()) == 0:
            for call in (client.user.list, lambda: client.user.add(user_id="joan")):
                try:
                    call()
                except StorageError as error:
                    print(error, flush=True)
            client.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(len(client.user.list()))
        client.close()
    """
    first, second, count = run(code, folder=tmp_path).splitlines()
    assert first == second
    assert "Open it again in the new process" in first
    assert count == "1"


def test_a_closed_file_can_be_reopened_while_a_forked_process_lives(tmp_path: Path) -> None:
    code = """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn at every fork
        from userkeep import Userkeep

        client = Userkeep.open("memory.db")
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        client.close()
        Userkeep.open("memory.db").close()
        os.close(writing)
        os.waitpid(child, 0)
    """
    assert run(code, folder=tmp_path) == ""


# Deletions.

INTERRUPTED = """
    import os, signal, threading
    from userkeep import NewMessage, Userkeep

    client = Userkeep.open("memory.db")
    for number in range(20):
        messages = [NewMessage(role="user", content="I live in Oslo")] * 1000
        client.message.add(f"s{number}", messages, user_id="jane")

    def die_during_the_deletion():
        while not client.erasure.list():
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die_during_the_deletion).start()
    client.user.delete("jane")
    print("deleted", flush=True)
"""


def test_opening_the_database_completes_an_interrupted_deletion(tmp_path: Path) -> None:
    process = start(INTERRUPTED, folder=tmp_path)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGKILL, "")
    assert out == "", "the process was killed too late to prove anything"
    with Userkeep.open(tmp_path / "memory.db") as client:
        [erasure] = client.erasure.list()
        assert (erasure.state, erasure.counts.messages) == ("deleted", 20_000)
        assert client.user.list() == []
        assert client.session.list() == []


@pytest.mark.parametrize("backend", ASYNC)
def test_a_deletion_continues_if_its_task_is_cancelled(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        async with AsyncUserkeep.open(tmp_path / "memory.db") as client:
            for number in range(10):
                messages = [NewMessage(role="user", content=CONTENT)] * 1000
                await client.message.add(f"s{number}", messages, user_id="jane")
            with anyio.move_on_after(0.01):
                await client.user.delete("jane")
            with anyio.fail_after(9):  # less than the lease of a process that has died
                [erasure] = await client.erasure.list()
                while erasure.state != "deleted":
                    await anyio.sleep(0.01)
                    erasure = await client.erasure.get(erasure.id)
            assert erasure.counts.messages == 10_000

    anyio.run(main, backend=backend)


def test_a_cancelled_write_is_atomic(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncUserkeep.open(tmp_path / "memory.db") as client:
            await client.session.add(session_id="s")
            for _ in range(30):
                with anyio.move_on_after(0.002):
                    await client.message.add("s", [NewMessage(role="user", content=CONTENT)] * 100)
            messages = [each async for each in await client.message.list("s")]
            assert len(messages) % 100 == 0
            assert [each.seq for each in messages] == list(range(1, len(messages) + 1))

    asyncio.run(main())
