"""One daily budget for all servers of a database, and across restarts."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.embedding_server import MODEL, EmbeddingServer
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.config import Settings
from userkeep.worker.timers import SERVER_TIMERS

BUDGET = 1_000
IMPATIENT = SERVER_TIMERS._replace(embed_s=0.02)


@pytest.fixture(params=["sqlite file", "postgres"], ids=engine_id)
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, embedding_server: EmbeddingServer
) -> Settings:
    """The settings of a server with a budget."""
    return replace(
        fresh_settings(request.param, tmp_path),
        embeddings_url=embedding_server.url,
        embeddings_model=MODEL,
        embeddings_daily_budget=BUDGET,
        # What is sent for a query that is not answered in time stays an estimate.
        embeddings_query_timeout_ms=30_000,
    )


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def left(client: InProcessClient) -> int:
    """Return how many tokens a server may send today."""
    embedder = client.instance.embedder
    assert embedder is not None
    assert embedder.budget is not None
    return embedder.budget.left


def add(client: InProcessClient, session_id: str, words: int) -> None:
    """Add a message, of which the endpoint counts so many tokens."""
    message = {"role": "user", "content": "shoes " * words}
    path = f"/v1/sessions/{session_id}/messages"
    assert client.send("POST", path, {"user_id": "jane", "messages": [message]}).status == 201


def wait_until_left(client: InProcessClient, tokens: int) -> None:
    ends = monotonic() + 60
    while left(client) != tokens:
        assert monotonic() < ends, left(client)
        client.run(asyncio.sleep(0.02))


def test_a_restart_does_not_renew_the_budget(settings: Settings, servers: ExitStack) -> None:
    client = servers.enter_context(serve_in_process(settings, IMPATIENT))
    add(client, "s1", 30)
    wait_until_left(client, BUDGET - 30)
    client.send("POST", "/v1/search", {"query": "red boots"})
    servers.close()
    client = servers.enter_context(serve_in_process(settings, IMPATIENT))
    wait_until_left(client, BUDGET - 32)
    add(client, "s1", 8)
    wait_until_left(client, BUDGET - 40)


@pytest.mark.parametrize("settings", ["postgres"], indirect=True, ids=engine_id)
def test_servers_share_the_budget(settings: Settings, servers: ExitStack) -> None:
    first = servers.enter_context(serve_in_process(settings, IMPATIENT))
    add(first, "s1", 30)
    wait_until_left(first, BUDGET - 30)
    first.run(asyncio.sleep(0.1))
    second = servers.enter_context(serve_in_process(settings, IMPATIENT))
    wait_until_left(second, BUDGET - 30)
    second.send("POST", "/v1/search", {"query": "red leather boots"})
    second.run(asyncio.sleep(0.1))
    add(first, "s1", 7)
    wait_until_left(first, BUDGET - 40)
