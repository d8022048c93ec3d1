"""A real model: what is meant is near, whatever its words are."""

from tests.embedding_server import similarity
from tests.embeddings.opening import opened
from tests.real_encoder import DIMENSIONS, serving_real_embeddings


def test_a_real_model_finds_what_is_meant():
    with (
        serving_real_embeddings() as server,
        opened(url=server.url, model="use-multilingual", query_prefix="") as embedder,
    ):
        query = embedder.embed_query("Which footwear does she like?", 20)
        shoes, invoice, german = embedder.embed_messages(
            [
                "My favourite sneakers are the red ones.",
                "The invoice of May is not paid.",
                "Meine liebsten Turnschuhe sind rot.",
            ]
        )
    assert embedder.model.dimensions == DIMENSIONS
    assert similarity(query, shoes) > similarity(query, invoice) + 0.1
    assert similarity(query, german) > similarity(query, invoice) + 0.1
