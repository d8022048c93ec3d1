"""Concurrent appends to one session are numbered 1 to n, and readers never see a gap.

On PostgreSQL the connections are divided between two servers.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import database_url
from tests.long.client import Client, Response
from tests.long.counts import IS_FULL
from tests.long.inspection import Database, gaps, rows
from tests.serving import Server, serving

APPENDS = 20_000 if IS_FULL else 600
CONNECTIONS = 32
SESSION = "shared"


def append(server: Server, numbers: "itertools.count[int]") -> list[tuple[list[int], list[str]]]:
    """Append with both APIs until the limit is reached; return the numbers and contents."""
    appended = []
    with closing(Client(server.port)) as client:
        while (number := next(numbers)) < APPENDS:
            contents = [f"{number} {n}" for n in range(1 + number % 3)]
            body = {"messages": [{"role": "user", "content": content} for content in contents]}
            is_native = number % 4
            route = "/v1/sessions/{}/messages" if is_native else "/api/v1/sessions/{}/memory"
            response = client.request("POST", route, SESSION, json_=body)
            assert response.status == (201 if is_native else 200), response
            seqs = [message["seq"] for message in response.json["messages"]] if is_native else []
            appended.append((seqs, contents))
    return appended


def send(server: Server, *request: str, json_: object = None) -> Response:
    """Send a request on a separate connection."""
    with closing(Client(server.port)) as client:
        return client.request(*request, json_=json_)


def read(server: Server, stop: threading.Event) -> int:
    """Read the newest messages and all pages during the appends; return the number of pages."""
    seen = pages = 0
    cursor = ""
    with closing(Client(server.port)) as client:
        while not stop.is_set():
            last = 1 + pages % 100
            response = client.request("GET", f"/v1/sessions/{{}}/memory?last={last}", SESSION)
            newest = [message["seq"] for message in response.json["messages"]]
            assert not newest or newest == list(range(newest[0], newest[-1] + 1))
            response = client.request(
                "GET", f"/v1/sessions/{{}}/messages?limit=100{cursor}", SESSION
            )
            page = [message["seq"] for message in response.json["items"]]
            assert page == list(range(seen + 1, seen + len(page) + 1))
            if response.json["next"]:
                seen += len(page)
                cursor = f"&cursor={response.json['next']}"
            pages += 1
    return pages


@pytest.mark.parametrize(("engine", "number"), [("sqlite file", 1), ("postgres", 2)])
def test_concurrent_appends_are_numbered_without_gaps(
    tmp_path: Path, report: Callable[[str], None], engine: str, number: int
) -> None:
    numbers = itertools.count()
    stop = threading.Event()
    url = database_url(engine, tmp_path)
    database: Database = url if engine == "postgres" else tmp_path / "userkeep.db"
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path, database_url=url)) for _ in range(number)]
        pool = stack.enter_context(ThreadPoolExecutor(CONNECTIONS + 2))
        new = {"session_id": SESSION}
        assert send(servers[0], "POST", "/v1/sessions", json_=new).status == 201
        readers = [pool.submit(read, servers[n % number], stop) for n in range(2)]
        writers = [pool.submit(append, servers[n % number], numbers) for n in range(CONNECTIONS)]
        try:
            appended = [each for writer in writers for each in writer.result(600)]
        finally:
            stop.set()
        pages = sum(reader.result(60) for reader in readers)
        message_count = send(servers[-1], "GET", "/v1/sessions/{}", SESSION).json["message_count"]
    stored_seqs: dict[str, int] = dict(rows(database, "SELECT content, seq FROM messages"))
    written = sum(len(contents) for _, contents in appended)
    assert len(appended) == APPENDS
    assert message_count == written == len(stored_seqs)
    assert sorted(stored_seqs.values()) == list(range(1, written + 1))
    assert gaps(database) == []
    for seqs, contents in appended:
        stored = [stored_seqs[content] for content in contents]
        assert stored == list(range(stored[0], stored[0] + len(stored)))
        assert seqs in ([], stored)
    report(
        f"{APPENDS} appends of {written} messages over {CONNECTIONS} connections to {number} "
        f"server(s), {pages} pages"
    )
