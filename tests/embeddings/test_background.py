"""A server embeds messages in the background, and reports how far it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cli.running import userkeep
from tests.embedding_server import MODEL, EmbeddingServer, failing, wait_until
from tests.http.scrapes import Scraped
from tests.postgres import migrated_database
from tests.serving import Server, serving
from userkeep import Userkeep


@pytest.fixture(params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, embedding_server: EmbeddingServer
) -> Iterator[Server]:
    """A server that uses the made-up endpoint."""
    url = migrated_database() if request.param == "postgres" else None
    with serving(tmp_path, database_url=url, settings=embedding_server.settings) as server:
        yield server


def ready(server: Server) -> Any:
    response = httpx2.get(f"{server.url}/readyz")
    return response.status_code, response.json()["checks"]["embeddings"]


def test_new_messages_are_embedded_before_the_next_look_for_others(
    server: Server, embedding_server: EmbeddingServer
) -> None:
    assert f"  model     {MODEL} at {embedding_server.url}\n" in server.log.read_text()
    with Userkeep(server.url) as client:
        client.message.add("s", {"role": "user", "content": "first"}, user_id="jane")
        wait_until(lambda: embedding_server.texts == ["first"], 3.0)
        client.message.add("s", {"role": "user", "content": "second"})
        wait_until(lambda: "second" in embedding_server.texts, 3.0)
        [first, _] = client.message.list("s")
        client.message.update("s", first.id, content="FIRST")
        wait_until(lambda: "FIRST" in embedding_server.texts, 3.0)
    assert ready(server) == (200, {"status": "ok"})


def test_a_server_stays_ready_while_the_model_is_away(
    server: Server, embedding_server: EmbeddingServer
) -> None:
    embedding_server.behavior = failing(500)
    with Userkeep(server.url) as client:
        client.message.add("s", {"role": "user", "content": "first"}, user_id="jane")
        wait_until(lambda: ready(server)[1]["status"] == "warning")
        status, check = ready(server)
        assert status == 200
        assert check["detail"].startswith("Messages without an embedding: 1 or more, for up to ")
    metrics = Scraped(httpx2.get(f"{server.url}/metrics").text)
    assert metrics.value("userkeep_embedding_lag_messages") == 1
    assert metrics.value("userkeep_embedding_lag_seconds") > 0
    environment = {**embedding_server.settings, "USERKEEP_DATABASE_URL": server.database_url}
    result = userkeep("doctor", "--json", folder=server.log.parent, environment=environment)
    [finding] = [each for each in json.loads(result.stdout) if each["subject"] == "embeddings"]
    assert finding["is_well"]
    named = f"{MODEL} at {embedding_server.url}; 1 or more messages have no embedding"
    assert finding["finding"].startswith(named)


def test_a_command_embeds_what_was_stored_without_a_model(
    tmp_path: Path, embedding_server: EmbeddingServer
) -> None:
    with Userkeep.open(tmp_path / "userkeep.db") as client:
        client.message.add_bulk(
            "s",
            ({"role": "user", "content": f"text {n}"} for n in range(40)),
            user_id="jane",
        )
    given: dict[str, Any] = {
        "folder": tmp_path,
        "environment": {
            **embedding_server.settings,
            "USERKEEP_DATABASE_URL": f"sqlite:///{tmp_path / 'userkeep.db'}",
        },
    }
    assert userkeep("embed", **given).stdout == "40 messages embedded\n"
    assert len(embedding_server.texts) == 40
    again = userkeep("embed", "--json", **given)
    assert json.loads(again.stdout) == {"messages": 0, "documents": 0, "rejected": 0}


def test_the_command_needs_a_model(tmp_path: Path) -> None:
    Userkeep.open(tmp_path / "userkeep.db").close()
    result = userkeep("embed", "--database", tmp_path / "userkeep.db", folder=tmp_path)
    assert result.returncode != 0
    assert "No embedding model is configured." in result.stderr
