"""Connections to a server: they are shared, kept open, and closed."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.sdk.fake_server import NO_RESPONSE, Response, call, error_response, fake_server
from tests.sdk.subprocesses import run
from tests.serving import Server, serving
from userkeep import (
    AsyncUserkeep,
    InvalidField,
    NewMessage,
    NotFound,
    SettingError,
    TooLarge,
    Userkeep,
)

ASYNC = ("asyncio", "trio")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server for this module."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_sequential_calls_share_a_connection() -> None:
    with fake_server() as server, Userkeep(server.url) as client:
        for _ in range(5):
            client.user.get("jane")
    assert len({each.port for each in server.requests}) == 1


@pytest.mark.parametrize("backend", ASYNC)
def test_sequential_async_calls_share_a_connection(backend: str) -> None:
    async def main(url: str) -> None:
        async with AsyncUserkeep(url) as client:
            for _ in range(5):
                await client.user.get("jane")

    with fake_server() as server:
        anyio.run(main, server.url, backend=backend)
    assert len({each.port for each in server.requests}) == 1


def test_an_error_response_leaves_the_connection_open() -> None:
    with (
        fake_server(error_response(404, "not_found"), Response()) as server,
        Userkeep(server.url) as client,
    ):
        with pytest.raises(NotFound):
            client.user.get("jane")
        client.user.get("jane")
    assert len({each.port for each in server.requests}) == 1


def test_the_url_may_have_a_path_and_a_trailing_slash() -> None:
    with fake_server() as server, Userkeep(f"{server.url}/memory/") as client:
        client.user.get("a/b ?")
    assert server.requests[0].path == "/memory/v1/users/a%2Fb%20%3F"


def test_the_api_key_is_sent_as_a_bearer_token() -> None:
    with fake_server() as server:
        call("sync", server.url, lambda client: client.user.get("jane"), api_key="s3cret")
        call("sync", server.url, lambda client: client.user.get("jane"))
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in server.requests[1].headers
    assert server.requests[0].headers["User-Agent"].startswith("userkeep-python/")


@pytest.mark.parametrize("key", ["s3cret\n", "s3 cret", "sécret", "a\r\nX-Evil: 1"])
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_an_api_key_that_cannot_be_a_header_is_rejected_immediately(kind: Any, key: str) -> None:
    with pytest.raises(InvalidField, match="api_key") as rejected:
        kind(api_key=key)
    assert key not in str(rejected.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory.db",
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://[::1",
        None,
        "postgresql://x/y",
        "unix:",
        "unix:relative.sock",
        "unix://host/path.sock",
    ],
)
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_an_invalid_url_is_rejected_immediately(kind: Any, url: Any) -> None:
    with pytest.raises(InvalidField, match="is not the URL of a server") as rejected:
        kind(url)
    assert rejected.value.fields == ("url",)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "https://me:hunter2@x.example/api/v1/"]
)
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_the_path_of_the_api_in_a_url_is_named(kind: Any, url: str) -> None:
    with pytest.raises(InvalidField, match=r"Leave it out: https?://[a-z0-9.:]+\.$") as rejected:
        kind(url)
    assert rejected.value.fields == ("url",)
    assert "hunter2" not in str(rejected.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "HTTPS://x.example", "unix:/run/u.sock"])
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_open_with_the_url_of_a_server_names_the_constructor(kind: Any, url: str) -> None:
    with pytest.raises(SettingError, match=r"Userkeep\(url\)"):
        kind.open(url)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": -1}, {"attempts": 0}])
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_invalid_options_are_rejected(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as rejected:
        kind(**options)
    assert rejected.value.fields == tuple(options)


def test_many_threads_share_a_client(server: Server) -> None:
    with Userkeep(server.url) as client:
        client.session.add(session_id="threads")

        def append(number: int) -> int:
            return client.message.add("threads", NewMessage(role="user", content=str(number)))[
                0
            ].seq

        with ThreadPoolExecutor(150) as threads:
            seqs = [*threads.map(append, range(600))]
        assert sorted(seqs) == list(range(1, 601))


@pytest.mark.parametrize("backend", ASYNC)
def test_many_tasks_share_a_client(server: Server, backend: str) -> None:
    async def main() -> None:
        async with AsyncUserkeep(server.url) as client:
            await client.session.add(session_id=backend)
            seqs: list[int] = []

            async def append(number: int) -> None:
                added = await client.message.add(
                    backend, NewMessage(role="user", content=str(number))
                )
                seqs.append(added[0].seq)

            async with anyio.create_task_group() as tasks:
                for number in range(300):
                    tasks.start_soon(append, number)
            assert sorted(seqs) == list(range(1, 301))

    anyio.run(main, backend=backend)


def test_an_async_client_works_in_consecutive_loops(server: Server, tmp_path: Path) -> None:
    # As in a script with several asyncio.run(): no warning may appear.
    out = run(
        """
        import asyncio, sys, trio
        from userkeep import AsyncUserkeep

        client = AsyncUserkeep(sys.argv[1])

        async def count():
            return len(await client.user.list())

        async def last():
            await count()
            await client.close()

        print(asyncio.run(last()))
        client = AsyncUserkeep(sys.argv[1])
        print(trio.run(last))
        """,
        server.url,
        folder=tmp_path,
    )
    assert out.split() == ["None", "None"]


def test_an_async_client_works_in_concurrent_loops(server: Server, tmp_path: Path) -> None:
    # A loop that ends without close() leaves its connections to the garbage collector, which warns.
    out = run(
        """
        import sys, warnings, anyio
        from concurrent.futures import ThreadPoolExecutor
        from userkeep import AsyncUserkeep

        warnings.simplefilter("ignore", ResourceWarning)
        client = AsyncUserkeep(sys.argv[1])

        async def count():
            for _ in range(10):
                found = await client.erasure.list()
            return len(found)

        def in_a_loop(backend):
            return anyio.run(count, backend=backend)

        with ThreadPoolExecutor(4) as threads:
            print(*threads.map(in_a_loop, ["asyncio", "trio"] * 2))
        """,
        server.url,
        folder=tmp_path,
    )
    assert out == "0 0 0 0"


def test_the_sync_client_works_inside_a_running_loop(server: Server) -> None:
    async def main() -> str:  # as in a cell of a notebook
        with Userkeep(server.url) as client:
            return client.user.put(user_id="notebook").user_id

    assert asyncio.run(main()) == "notebook"


def test_a_closed_client_raises_an_error(server: Server) -> None:
    client = Userkeep(server.url)
    client.user.list()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.user.list()


@pytest.mark.parametrize("backend", ASYNC)
def test_a_closed_async_client_raises_an_error(server: Server, backend: str) -> None:
    async def main() -> None:
        client = AsyncUserkeep(server.url)
        await client.user.list()
        await client.close()
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.user.list()

    anyio.run(main, backend=backend)


def test_an_unused_client_can_be_closed() -> None:
    Userkeep().close()
    asyncio.run(AsyncUserkeep().close())


def test_an_error_in_the_block_closes_the_client(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), Userkeep(server.url) as client:
        _ = 1 // 0
    with pytest.raises(RuntimeError, match="closed"):
        client.user.list()


def test_a_forked_process_must_create_its_own_client(server: Server, tmp_path: Path) -> None:
    out = run(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn at every fork
        from userkeep import Userkeep

        client = Userkeep(sys.argv[1])
        client.user.list()
        if (child := os.fork()) == 0:
            try:
                client.user.list()
            except RuntimeError as error:
                print(error, flush=True)
            client.close()
            with Userkeep(sys.argv[1]) as own:
                print(len(own.erasure.list()), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.user.list()
        client.close()
        """,
        server.url,
        folder=tmp_path,
    )
    error, count = out.splitlines()
    assert "forked" in error
    assert "Create a new one" in error
    assert count == "0"


def test_a_body_that_is_too_large_raises_too_large(server: Server) -> None:
    messages = [NewMessage(role="user", content="x" * 1024 * 1024) for _ in range(7)]
    with Userkeep(server.url) as client:
        client.session.add(session_id="large")
        with pytest.raises(TooLarge):
            client.message.add("large", messages)
        assert client.message.list("large") == []
        assert client.message.add_bulk("large", messages) == 7


def test_a_url_that_is_too_long_raises_too_large() -> None:
    with Userkeep() as client, pytest.raises(TooLarge):
        client.user.list(email="x" * 100_000)


@pytest.mark.parametrize("backend", ASYNC)
def test_a_call_can_be_cancelled(backend: str) -> None:
    async def main(url: str) -> None:
        async with AsyncUserkeep(url) as client:
            with anyio.move_on_after(0.2) as scope:
                await client.user.get("jane")
            assert scope.cancelled_caught
            with anyio.fail_after(5):
                assert (await client.user.get("jane")).user_id == "jane"

    with fake_server(NO_RESPONSE, Response()) as server:
        anyio.run(main, server.url, backend=backend)


def test_no_thread_or_open_file_remains(server: Server) -> None:
    threads, files = threading.active_count(), len([*Path("/dev/fd").iterdir()])
    for _ in range(3):
        with Userkeep(server.url) as client:
            client.user.list()
        asyncio.run(use_once(server.url))
    assert threading.active_count() == threads
    assert len([*Path("/dev/fd").iterdir()]) == files


async def use_once(url: str) -> None:
    async with AsyncUserkeep(url) as client:
        await client.user.list()
