"""Embeddings from a model in a folder, which runs in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.embedding_server import similarity, wait_until
from tests.embeddings.opening import opened_folder
from tests.embeddings.tiny_model import DIMENSIONS, make_model, row
from userkeep.domain.embedding import EmbeddingFailed, TextRejected
from userkeep.embeddings.local import LocalEmbedder

TEXTS = ["red shoes", "an invoice", "blue boots blue boots blue boots", "hello"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[LocalEmbedder]:
    """The embedder of the tiny model, for all tests that do not end it."""
    with opened_folder(folder) as embedder:
        embedder.embed_messages(["hello"])
        yield embedder


def pid_of(embedder: LocalEmbedder) -> int:
    assert embedder.pid is not None
    return embedder.pid


def mean(*words: str) -> list[float]:
    return [sum(numbers) for numbers in zip(*map(row, words), strict=True)]


def test_vectors_are_the_mean_of_the_tokens_in_the_order_of_the_texts(local):
    vectors = local.embed_messages([*TEXTS, "red", "blue"])
    expected = [*map(str.split, TEXTS), ["red"], ["blue"]]
    for words, vector in zip(expected, vectors, strict=True):
        assert similarity(vector, mean(*words)) == pytest.approx(1, abs=1e-5)
        assert sum(number**2 for number in vector) == pytest.approx(1, abs=1e-5)


def test_the_model_is_named_as_its_folder_and_known_by_its_files(local, folder, tmp_path):
    assert local.is_local
    assert local.model.name == "tiny"
    assert local.model.dimensions == DIMENSIONS
    fingerprints = {local.model.fingerprint}
    for other in (
        make_model(tmp_path / "cls", pooling="cls"),
        make_model(tmp_path / "weights", unknown=0.25),
    ):
        with opened_folder(other) as embedder:
            fingerprints.add(embedder.model.fingerprint)
    with opened_folder(folder, message_prefix="passage: ") as embedder:
        fingerprints.add(embedder.model.fingerprint)
    assert len(fingerprints) == 4
    with opened_folder(make_model(tmp_path / "same")) as embedder:
        assert embedder.model.fingerprint in fingerprints


def test_the_first_token_is_pooled_and_the_inputs_are_those_of_the_model(tmp_path):
    inputs = ("input_ids", "attention_mask")
    folder = make_model(tmp_path / "cls", pooling="cls", inputs=inputs, is_int32=True)
    with opened_folder(folder) as embedder:
        [vector] = embedder.embed_messages(["red boots"])
        assert similarity(vector, row("red")) == pytest.approx(1, abs=1e-5)


def test_prefixes_and_the_most_tokens_are_those_of_the_folder_or_the_settings(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "query: ", "document": "passage: "}}'
    )
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 3}')
    with opened_folder(folder, message_prefix="red ") as embedder:
        query = embedder.embed_query("boots", 10)
        [message] = embedder.embed_messages(["boots blue invoice invoice invoice"])
    assert similarity(query, mean("query:", "boots")) == pytest.approx(1, abs=1e-5)
    assert similarity(message, mean("red", "boots", "blue")) == pytest.approx(1, abs=1e-5)


def test_a_text_that_has_no_embedding_is_rejected_and_the_process_goes_on(local):
    pid = local.pid
    with pytest.raises(TextRejected):
        local.embed_messages(["hello", " "])
    assert local.embed_messages(["hello"])
    assert local.pid == pid


def test_a_model_that_cannot_be_loaded_is_an_error_that_names_its_folder(tmp_path, caplog):
    folder = make_model(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"no model")
    with opened_folder(folder) as embedder:
        with pytest.raises(EmbeddingFailed, match="cannot be loaded") as caught:
            embedder.embed_messages(["red boots"])
        assert caught.value.retry_after_s == 300
        with pytest.raises(EmbeddingFailed, match="is not asked"):
            embedder.embed_query("footwear", 1)
    assert str(folder) in str(caught.value)
    assert "boots" not in caplog.text


def test_a_killed_process_fails_what_it_did_and_is_started_again(folder, monkeypatch):
    monkeypatch.setattr("userkeep.embeddings.failures.Backoff.left_s", lambda _: 0.0)
    with opened_folder(folder) as embedder, ThreadPoolExecutor(1) as threads:
        embedder.embed_messages(["hello"])
        for attempt in range(3):
            pid = pid_of(embedder)
            os.kill(pid, signal.SIGSTOP)
            running = threads.submit(embedder.embed_messages, TEXTS)
            with pytest.raises(EmbeddingFailed, match="in time"):
                embedder.embed_query("hello", 0.05)
            os.kill(pid, signal.SIGKILL)
            error = running.exception(5)
            assert isinstance(error, EmbeddingFailed)
            # What ends the process again and again is not tried without end.
            assert isinstance(error, TextRejected) == (attempt == 2)
            assert embedder.embed_query("hello", 10)
            assert embedder.pid != pid


def test_a_process_that_hangs_is_ended(folder):
    with opened_folder(folder, timeout_seconds=1) as embedder:
        embedder.embed_query("hello", 20)
        pid = pid_of(embedder)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EmbeddingFailed, match="in time"):
            embedder.embed_messages(["hello"])
        wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists())


def test_closing_ends_the_process_and_what_waits_for_it(folder):
    with ThreadPoolExecutor(1) as threads:
        with opened_folder(folder) as embedder:
            embedder.embed_messages(["hello"])
            pid = embedder.pid
            running = threads.submit(embedder.embed_messages, TEXTS * 8)
        assert running.exception(5) is None or "closed" in str(running.exception())
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises(EmbeddingFailed, match="closed"):
            embedder.embed_query("hello", 1)


def test_queries_that_are_not_awaited_any_more_do_not_delay_others(local):
    pid = pid_of(local)
    os.kill(pid, signal.SIGSTOP)
    for _ in range(3):
        with pytest.raises(EmbeddingFailed, match="in time"):
            local.embed_query("hello", 0.02)
    os.kill(pid, signal.SIGCONT)
    assert local.embed_query("hello", 5)
    assert pid_of(local) == pid


_PROGRAM = """
import sys, time
from tests.embeddings.opening import opened_folder
with opened_folder(sys.argv[1]) as embedder:
    embedder.embed_query("hello", 20)
    print(embedder.pid, flush=True)
    time.sleep(60)
"""


def test_the_process_ends_with_a_server_that_is_killed(folder):
    words = [sys.executable, "-c", _PROGRAM, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert Path(f"/proc/{pid}/cmdline").exists()
        server.kill()
    # It is a child of no one then, and may stay a zombie for a moment.
    wait_until(lambda: _state_of(pid) in {None, "Z"})


def _state_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def test_the_process_has_a_low_priority_and_no_connection(local):
    pid = local.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    files = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [each for each in files if "socket:" in each]
    loaded = Path(f"/proc/{pid}/maps").read_text()
    assert "onnxruntime" in loaded
    environment = Path(f"/proc/{pid}/environ").read_text()
    assert "HF_HUB_OFFLINE=1" in environment


_WITHOUT_SOCKETS = """
import sys, runpy
def refuse(event, _):
    if event.startswith(("socket.", "urllib.", "http.")):
        raise RuntimeError(event)
sys.addaudithook(refuse)
runpy.run_module("userkeep.embeddings.worker", run_name="__main__")
"""


def test_the_process_works_where_sockets_cannot_be_opened(folder, monkeypatch, tmp_path):
    program = tmp_path / "python"
    (tmp_path / "program.py").write_text(_WITHOUT_SOCKETS)
    # It is called as `python -m userkeep.embeddings.worker …`.
    program.write_text(
        f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{tmp_path}/program.py" "$@"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with opened_folder(folder) as embedder:
        assert embedder.embed_messages(TEXTS)


def test_a_query_is_served_before_messages_that_wait(local):
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(local.embed_messages, [TEXTS[2] * 20] * 1024)
        time.sleep(0.02)
        local.embed_query("hello", 5)
        assert not running.done()
        assert len(running.result(20)) == 1024
