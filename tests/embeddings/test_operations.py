"""What operators see of embeddings: metrics, the doctor and the log, without keys and texts."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import userkeep
from tests.embedding_server import KEY, MODEL, EmbeddingServer, failing
from tests.embeddings.opening import opened
from tests.embeddings.tiny_model import make_model
from tests.http.clients import serve_in_process
from tests.http.scrapes import Scraped, scrape
from userkeep.config import Settings
from userkeep.domain.embedding import EmbeddingFailed

SQLITE = Settings(database_url="sqlite:///:memory:")


def test_metrics_count_requests_texts_tokens_and_failures(embedding_server):
    settings = replace(
        SQLITE,
        embeddings_url=embedding_server.url,
        embeddings_model=MODEL,
        embeddings_daily_budget=1_000,
    )
    with serve_in_process(settings) as client:
        embedder = client.instance.embedder
        assert embedder is not None
        embedder.embed_messages(["red boots", "an invoice"])
        embedder.embed_query("footwear", 5)
        embedding_server.plan(failing(429, Retry_After="9"))
        for _ in range(2):
            with pytest.raises(EmbeddingFailed):
                embedder.embed_messages(["red boots"])
        found = scrape(client)
    value = found.value
    assert value("userkeep_embedding_requests_total", of="messages") == 3
    assert value("userkeep_embedding_requests_total", of="query") == 1
    assert value("userkeep_embedding_texts_total", of="messages") == 2
    assert value("userkeep_embedding_texts_total", of="query") == 1
    assert 0 < value("userkeep_embedding_busy_seconds_total", of="messages") < 60
    assert value("userkeep_embedding_failures_total", reason="rate_limit") == 1
    assert value("userkeep_embedding_failures_total", reason="pause") == 1
    assert value("userkeep_embedding_tokens_total") == 5
    assert value("userkeep_embedding_budget_left_tokens") == 995


def test_without_a_model_there_are_no_metrics_of_it():
    with serve_in_process(SQLITE) as client:
        found: Scraped = scrape(client)
    assert not [name for name in found.families if "embedding" in name]


def doctor(folder: Path, environment: dict[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and what the doctor finds about embeddings."""
    result = userkeep("doctor", "--json", *words, folder=folder, environment=environment)
    assert KEY not in result.stdout + result.stderr
    [found] = [each for each in json.loads(result.stdout) if each["subject"] == "embeddings"]
    return result.returncode, found


def test_the_doctor_names_the_model_and_asks_it_only_if_requested(
    embedding_server: EmbeddingServer, tmp_path: Path
) -> None:
    embedding_server.key = KEY
    environment = {**embedding_server.settings, "USERKEEP_EMBEDDINGS_KEY": KEY}
    code, found = doctor(tmp_path, environment)
    assert (code, found["finding"]) == (0, f"{MODEL} at {embedding_server.url}")
    assert embedding_server.requests == []
    code, found = doctor(tmp_path, environment, "--embeddings")
    assert code == 0
    assert f"{MODEL} at {embedding_server.url}: 64 dimensions, answered in" in found["finding"]
    assert embedding_server.texts == ["hello"]
    embedding_server.key = "another"
    code, found = doctor(tmp_path, environment, "--embeddings")
    assert code == 3
    assert "Check USERKEEP_EMBEDDINGS_KEY" in found["finding"]


def test_the_doctor_runs_the_model_in_a_folder(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    code, found = doctor(tmp_path, {"USERKEEP_EMBEDDINGS_FOLDER": str(folder)}, "--embeddings")
    assert code == 0
    assert f"tiny in {folder}: 8 dimensions" in found["finding"]
    (folder / "model.onnx").unlink()
    code, found = doctor(tmp_path, {"USERKEEP_EMBEDDINGS_FOLDER": str(folder)})
    assert code == 3
    assert "has neither model.onnx" in found["finding"]


@pytest.mark.parametrize(
    ("host", "is_exposed"),
    [
        ("http://api.example.com", True),
        ("http://8.8.8.8", True),
        ("https://api.example.com", False),
        ("http://127.0.0.1:11434", False),
        ("http://10.1.2.3", False),
        ("http://[fd00::1]", False),
        ("http://ollama:11434", False),
        ("http://gpu.internal", False),
    ],
)
def test_texts_that_are_sent_in_the_clear_are_a_warning(host, is_exposed, tmp_path, caplog):
    settings = {"url": f"{host}/v1", "model": MODEL}
    with opened(**settings) as embedder:
        embedder.start()
    assert ("without encryption" in caplog.text) == is_exposed


def test_the_doctor_warns_of_texts_in_the_clear(tmp_path: Path) -> None:
    environment = {
        "USERKEEP_EMBEDDINGS_URL": "http://api.example.com/v1",
        "USERKEEP_EMBEDDINGS_MODEL": MODEL,
    }
    code, found = doctor(tmp_path, environment)
    assert code == 0
    assert "without encryption" in found["advice"]


def test_the_log_has_numbers_of_each_request_and_no_text(embedding_server, caplog):
    caplog.set_level(logging.DEBUG, "userkeep")
    with opened(url=embedding_server.url, model=MODEL, key=KEY) as embedder:
        embedder.embed_messages(["red boots", "an invoice"])
    assert "embeddings: 2 texts, 19 characters, status 200" in caplog.text
    assert "boots" not in caplog.text
    assert KEY not in caplog.text
