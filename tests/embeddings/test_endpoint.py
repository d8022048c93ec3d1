"""Embeddings from an OpenAI-compatible endpoint: what is sent, and what it may do wrong."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.embedding_server import EmbeddingServer, similarity
from userkeep.config import load_settings
from userkeep.domain.embedding import Embedder
from userkeep.embedders import open_embedder


@contextmanager
def opened(server: EmbeddingServer, **settings: Any) -> Iterator[Embedder]:
    """The embedder of an instance that uses the endpoint."""
    named = {f"USERKEEP_EMBEDDINGS_{name.upper()}": str(each) for name, each in settings.items()}
    embedder = open_embedder(load_settings(environment={**server.settings, **named}))
    assert embedder is not None
    with closing(embedder):
        yield embedder


def test_a_batch_is_one_request_and_its_vectors_have_unit_length(embedding_server):
    with opened(embedding_server) as embedder:
        vectors = embedder.embed_messages(["the footwear", "the boots", "an invoice"])
    assert [each.texts for each in embedding_server.requests] == [
        ["the footwear", "the boots", "an invoice"]
    ]
    assert [similarity(each, each) for each in vectors] == [pytest.approx(1)] * 3
    assert sum(number**2 for number in vectors[0]) == pytest.approx(1, abs=1e-6)
    assert similarity(vectors[0], vectors[1]) > similarity(vectors[0], vectors[2]) + 0.2
