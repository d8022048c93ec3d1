"""Connections to a server: shared, kept open, and let go."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.sdk.elsewhere import run
from tests.sdk.far_end import SILENT, Answer, ask, far_end, refusal
from tests.serving import Server, serving
from userkeep import AsyncUserkeep, InvalidField, NewMessage, NotFound, TooLarge, Userkeep

ASYNC = ("asyncio", "trio")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_calls_one_after_the_other_share_a_connection() -> None:
    with far_end() as server, Userkeep(server.url) as client:
        for _ in range(5):
            client.user.get("jane")
    assert len({each.port for each in server.asked}) == 1


@pytest.mark.parametrize("backend", ASYNC)
def test_awaited_calls_share_a_connection_too(backend: str) -> None:
    async def main(url: str) -> None:
        async with AsyncUserkeep(url) as client:
            for _ in range(5):
                await client.user.get("jane")

    with far_end() as server:
        anyio.run(main, server.url, backend=backend)
    assert len({each.port for each in server.asked}) == 1


def test_a_refusal_leaves_the_connection_open() -> None:
    with far_end(refusal(404, "not_found"), Answer()) as server, Userkeep(server.url) as client:
        with pytest.raises(NotFound):
            client.user.get("jane")
        client.user.get("jane")
    assert len({each.port for each in server.asked}) == 1


def test_the_url_may_have_a_path_and_a_slash_at_the_end() -> None:
    with far_end() as server, Userkeep(f"{server.url}/memory/") as client:
        client.user.get("a/b ?")
    assert server.asked[0].path == "/memory/v1/users/a%2Fb%20%3F"


def test_the_key_is_sent_as_a_bearers() -> None:
    with far_end() as server:
        ask("sync", server.url, lambda client: client.user.get("jane"), api_key="s3cret")
        ask("sync", server.url, lambda client: client.user.get("jane"))
    assert server.asked[0].headers["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in server.asked[1].headers
    assert server.asked[0].headers["User-Agent"].startswith("userkeep-python/")


@pytest.mark.parametrize("key", ["s3cret\n", "s3 cret", "sécret", "a\r\nX-Evil: 1"])
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_a_key_that_no_header_can_carry_is_refused_at_once(kind: Any, key: str) -> None:
    with pytest.raises(InvalidField, match="api_key") as refused:
        kind(api_key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "memory.db", "localhost:8000", "ftp://x", "http://", "http://[::1", None, "postgresql://x/y"]
)  # fmt: skip
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_what_is_no_servers_url_is_refused_at_once(kind: Any, url: Any) -> None:
    with pytest.raises(InvalidField, match="is not the URL of a server") as refused:
        kind(url)
    assert refused.value.fields == ("url",)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": -1}, {"attempts": 0}])
@pytest.mark.parametrize("kind", [Userkeep, AsyncUserkeep])
def test_options_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as refused:
        kind(**options)
    assert refused.value.fields == tuple(options)


def test_many_threads_share_a_client(server: Server) -> None:
    with Userkeep(server.url) as client:
        client.session.add(session_id="threads")

        def append(number: int) -> int:
            return client.message.add("threads", NewMessage(content=str(number)))[0].seq

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
                said = await client.message.add(backend, NewMessage(content=str(number)))
                seqs.append(said[0].seq)

            async with anyio.create_task_group() as tasks:
                for number in range(300):
                    tasks.start_soon(append, number)
            assert sorted(seqs) == list(range(1, 301))

    anyio.run(main, backend=backend)


def test_an_async_client_serves_one_loop_after_the_other(server: Server, tmp_path: Path) -> None:
    # As in a script with several asyncio.run(), whose warnings nobody wants to see.
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


def test_an_async_client_serves_several_loops_at_once(server: Server, tmp_path: Path) -> None:
    # Whoever ends a loop without closing has its connections closed by the collector, which tells.
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


def test_the_sync_client_works_where_a_loop_runs(server: Server) -> None:
    async def main() -> str:  # as a cell of a notebook is
        with Userkeep(server.url) as client:
            return client.user.put(user_id="notebook").user_id

    assert asyncio.run(main()) == "notebook"


def test_a_closed_client_says_so(server: Server) -> None:
    client = Userkeep(server.url)
    client.user.list()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.user.list()


@pytest.mark.parametrize("backend", ASYNC)
def test_a_closed_async_client_says_so(server: Server, backend: str) -> None:
    async def main() -> None:
        client = AsyncUserkeep(server.url)
        await client.user.list()
        await client.close()
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.user.list()

    anyio.run(main, backend=backend)


def test_a_client_that_was_never_used_can_be_closed() -> None:
    Userkeep().close()
    asyncio.run(AsyncUserkeep().close())


def test_an_error_leaves_the_block_and_closes_the_client(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), Userkeep(server.url) as client:
        _ = 1 // 0
    with pytest.raises(RuntimeError, match="closed"):
        client.user.list()


def test_a_forked_process_is_told_to_make_a_client_of_its_own(
    server: Server, tmp_path: Path
) -> None:
    out = run(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of every fork
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
    told, count = out.splitlines()
    assert "forked" in told
    assert "Create a new one" in told
    assert count == "0"


def test_a_body_that_is_too_large_is_refused_by_its_name(server: Server) -> None:
    messages = [NewMessage(content="x" * 1024 * 1024) for _ in range(7)]
    with Userkeep(server.url) as client:
        client.session.add(session_id="large")
        with pytest.raises(TooLarge):
            client.message.add("large", messages)
        assert client.message.list("large") == []
        assert client.message.add_bulk("large", messages) == 7


def test_an_address_that_is_too_long_is_refused() -> None:
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

    with far_end(SILENT, Answer()) as server:
        anyio.run(main, server.url, backend=backend)


def test_no_thread_and_no_file_remain(server: Server) -> None:
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
