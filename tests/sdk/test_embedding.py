"""Embedding on demand: by embedded clients, and by `userkeep embed`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.running import userkeep
from tests.documents import write
from tests.embedding_server import (
    DIMENSIONS,
    MODEL,
    WELL,
    EmbeddingServer,
    failing,
    serving_embeddings,
)
from userkeep import AsyncUserkeep, Conflict, Unavailable, Userkeep
from userkeep.config import load_settings
from userkeep.domain.collection import NewCollection
from userkeep.domain.document import NewDocument
from userkeep.instance import open_instance
from userkeep.services import collections, documents


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmbeddingServer]:
    with serving_embeddings() as endpoint:
        yield endpoint


@pytest.fixture
def model(endpoint: EmbeddingServer) -> dict[str, Any]:
    """The settings of a model."""
    return {"embeddings_url": endpoint.url, "embeddings_model": MODEL}


@pytest.fixture
def path(tmp_path: Path, model: dict[str, Any]) -> Path:
    """A database with two messages and a document, of which none is embedded."""
    path = tmp_path / "memory.db"
    with Userkeep.open(path, **model) as client:
        client.session.add(session_id="chat")
        for content in ("the price of shoes", "a journey by ship"):
            client.message.add("chat", {"role": "user", "content": content})
    settings = load_settings({"database_url": f"sqlite:///{path}", **model})
    instance = open_instance(settings)
    new = NewCollection(name="papers", embedded_by="model", dimensions=DIMENSIONS)
    write(instance, collections.add, new, instance.embedder and instance.embedder.model)
    write(instance, documents.add, "papers", documents.prepare([NewDocument(content="hats")]))
    instance.close()
    return path


def test_a_client_embeds_what_has_no_embedding(path: Path, model: dict[str, Any]) -> None:
    with Userkeep.open(path, **model) as client:
        assert client.search("footwear", mode="meaning").degraded is not None
        assert client.embed() == 3
        assert client.embed() == 0
        found = client.search("footwear", mode="meaning")
        assert found.degraded is None
        assert found[0].message.content == "the price of shoes"


def test_an_async_client_awaits_it(path: Path, model: dict[str, Any]) -> None:
    async def embed() -> int:
        async with AsyncUserkeep.open(path, **model) as client:
            return await client.embed()

    assert anyio.run(embed) == 3
    assert anyio.run(embed, backend="trio") == 0


def test_a_model_that_fails_ends_it_and_the_next_call_continues(
    path: Path, model: dict[str, Any], endpoint: EmbeddingServer
) -> None:
    with Userkeep.open(path, **model) as client:
        endpoint.behavior = failing(503)
        with pytest.raises(Unavailable, match="embedding model failed"):
            client.embed()
    endpoint.behavior = WELL
    with Userkeep.open(path, **model) as client:  # which does not wait after the failure
        assert client.embed() == 3


def test_without_a_model_or_on_a_server_it_is_an_error(path: Path) -> None:
    with Userkeep.open(path) as client, pytest.raises(Conflict, match="No embedding model"):
        client.embed()
    with Userkeep() as client, pytest.raises(RuntimeError, match="in the background"):
        client.embed()


def test_the_command_embeds_documents_too(path: Path, model: dict[str, Any]) -> None:
    environment = {f"USERKEEP_{name.upper()}": value for name, value in model.items()}
    options = ("--database", path, "--json")
    result = userkeep("embed", *options, folder=path.parent, environment=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"messages": 2, "documents": 1, "rejected": 0}
