"""A model that is being replaced embeds queries until the other is ready."""

from contextlib import closing
from dataclasses import replace

import pytest

from tests.embedding_server import KEY, MODEL, serving_embeddings
from tests.embeddings.tiny_model import make_model
from userkeep.config import Settings, load_settings
from userkeep.embedders import open_embedder, open_former, source_of


@pytest.fixture
def settings(embedding_server) -> Settings:
    environment = {
        **embedding_server.settings,
        "USERKEEP_EMBEDDINGS_KEY": KEY,
        "USERKEEP_EMBEDDINGS_QUERY_PREFIX": "query: ",
        "USERKEEP_EMBEDDINGS_DIMENSIONS": "16",
    }
    return load_settings(environment=environment)


def test_a_former_model_is_opened_as_it_was(settings, embedding_server):
    source = source_of(settings)
    assert source is not None
    assert KEY not in source
    later = replace(settings, embeddings_model="other", embeddings_dimensions=0)
    former, now = open_former(source, later), open_embedder(settings)
    assert former is not None
    assert now is not None
    with closing(former), closing(now):
        assert former.model.fingerprint == now.model.fingerprint
        assert len(former.embed_query("footwear", 5)) == 16
    [sent] = embedding_server.requests
    assert (sent.texts, sent.body["model"]) == (["query: footwear"], MODEL)
    assert sent.headers["Authorization"] == f"Bearer {KEY}"


def test_the_key_of_now_is_not_sent_to_another_endpoint(settings, embedding_server):
    source = source_of(settings)
    assert source is not None
    with serving_embeddings() as other:
        former = open_former(source, replace(settings, embeddings_url=other.url))
        assert former is not None
        with closing(former):
            former.embed_query("footwear", 5)
        assert other.requests == []
    assert "Authorization" not in embedding_server.requests[0].headers


def test_a_model_whose_folder_is_gone_is_none(settings, tmp_path, caplog):
    folder = make_model(tmp_path / "tiny")
    source = source_of(Settings(embeddings_folder=str(folder)))
    assert source is not None
    former = open_former(source, settings)
    assert former is not None
    with closing(former):
        assert former.model.name == "tiny"
    (folder / "model.onnx").unlink()
    assert open_former(source, settings) is None
    assert "cannot be used any more" in caplog.text
    assert open_former("{", settings) is None
    assert source_of(Settings()) is None
