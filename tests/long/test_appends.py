"""Many connections append to one session: its messages are 1 to n, and readers never see a gap.

On PostgreSQL the connections are those of two servers.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import database_url
from tests.long.client import Answer, Client
from tests.long.counts import count
from tests.long.looking import Database, gaps, rows
from tests.serving import Server, serving

APPENDS = count(20_000)
CONNECTIONS = 32
SESSION = "everybody's"


def append(server: Server, numbers: "itertools.count[int]") -> list[tuple[list[int], list[str]]]:
    """Append until all is appended: natively, or as Zep 0.x does; the numbers that were given."""
    told = []
    with closing(Client(server.port)) as client:
        while (number := next(numbers)) < APPENDS:
            contents = [f"{number} {n}" for n in range(1 + number % 3)]
            body = {"messages": [{"role": "user", "content": content} for content in contents]}
            is_native = number % 4
            route = "/v1/sessions/{}/messages" if is_native else "/api/v1/sessions/{}/memory"
            answer = client.request("POST", route, SESSION, json_=body)
            assert answer.status == (201 if is_native else 200), answer
            seqs = [message["seq"] for message in answer.json["messages"]] if is_native else []
            told.append((seqs, contents))
    return told


def ask(server: Server, *request: str, json_: object = None) -> Answer:
    """One request on a connection of its own."""
    with closing(Client(server.port)) as client:
        return client.request(*request, json_=json_)


def read(server: Server, is_over: threading.Event) -> int:
    """Read the newest messages, and every page from the first on, while they grow."""
    seen = pages = 0
    cursor = ""
    with closing(Client(server.port)) as client:
        while not is_over.is_set():
            last = 1 + pages % 100
            answer = client.request("GET", f"/v1/sessions/{{}}/memory?last={last}", SESSION)
            newest = [message["seq"] for message in answer.json["messages"]]
            assert not newest or newest == list(range(newest[0], newest[-1] + 1))
            answer = client.request("GET", f"/v1/sessions/{{}}/messages?limit=100{cursor}", SESSION)
            page = [message["seq"] for message in answer.json["items"]]
            assert page == list(range(seen + 1, seen + len(page) + 1))
            if answer.json["next"]:
                seen += len(page)
                cursor = f"&cursor={answer.json['next']}"
            pages += 1
    return pages


@pytest.mark.parametrize(("engine", "number"), [("sqlite file", 1), ("postgres", 2)])
def test_appends_from_many_connections_are_numbered_from_one_without_gaps(
    tmp_path: Path, say: Callable[[str], None], engine: str, number: int
) -> None:
    numbers = itertools.count()
    is_over = threading.Event()
    url = database_url(engine, tmp_path)
    database: Database = url if engine == "postgres" else tmp_path / "userkeep.db"
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path, database_url=url)) for _ in range(number)]
        pool = stack.enter_context(ThreadPoolExecutor(CONNECTIONS + 2))
        new = {"session_id": SESSION}
        assert ask(servers[0], "POST", "/v1/sessions", json_=new).status == 201
        readers = [pool.submit(read, servers[n % number], is_over) for n in range(2)]
        writers = [pool.submit(append, servers[n % number], numbers) for n in range(CONNECTIONS)]
        try:
            told = [each for writer in writers for each in writer.result(600)]
        finally:
            is_over.set()
        pages = sum(reader.result(60) for reader in readers)
        message_count = ask(servers[-1], "GET", "/v1/sessions/{}", SESSION).json["message_count"]
    there: dict[str, int] = dict(rows(database, "SELECT content, seq FROM messages"))
    written = sum(len(contents) for _, contents in told)
    assert len(told) == APPENDS
    assert message_count == written == len(there)
    assert sorted(there.values()) == list(range(1, written + 1))
    assert gaps(database) == []
    for seqs, contents in told:
        stored = [there[content] for content in contents]
        assert stored == list(range(stored[0], stored[0] + len(stored)))
        assert seqs in ([], stored)
    say(
        f"{APPENDS} appends of {written} messages over {CONNECTIONS} connections to {number} "
        f"server(s), {pages} pages"
    )
