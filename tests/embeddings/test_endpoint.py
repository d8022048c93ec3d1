"""Embeddings from an OpenAI-compatible endpoint: what is sent, and what it may do wrong."""

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from tests.embedding_server import (
    CLOSED,
    HTML,
    INFINITE,
    KEY,
    MALFORMED,
    MODEL,
    NOT_A_NUMBER,
    NOT_AN_OBJECT,
    OTHER_DIMENSIONS,
    SHUFFLED,
    TOO_FEW,
    WELL,
    ZERO,
    Behavior,
    EmbeddingServer,
    encode,
    failing,
    similarity,
    slow,
)
from tests.embeddings.opening import opened
from userkeep.config import SettingError
from userkeep.domain.embedding import EmbeddingFailed, TextRejected
from userkeep.embeddings.budget import DAY_S

TEXTS = ["red boots", "an invoice of May", "the automobile"]


def using(server: EmbeddingServer, **settings):
    return opened(**{"url": server.url, "model": MODEL, **settings})


def test_a_batch_is_one_request_and_its_vectors_have_unit_length(embedding_server):
    with using(embedding_server) as embedder:
        vectors = embedder.embed_messages(["the footwear", "the boots", "an invoice"])
    assert [each.texts for each in embedding_server.requests] == [
        ["the footwear", "the boots", "an invoice"]
    ]
    for vector in vectors:
        assert sum(number**2 for number in vector) == pytest.approx(1, abs=1e-6)
    assert similarity(vectors[0], vectors[1]) > similarity(vectors[0], vectors[2]) + 0.2


@pytest.mark.parametrize("knows_base64", [True, False])
def test_vectors_are_in_the_order_of_the_texts(embedding_server, knows_base64):
    embedding_server.knows_base64 = knows_base64
    embedding_server.behavior = SHUFFLED
    with using(embedding_server) as embedder:
        for _ in range(2):
            for text, vector in zip(TEXTS, embedder.embed_messages(TEXTS), strict=True):
                assert similarity(vector, encode(text)) == pytest.approx(1, abs=1e-6)
    formats = [each.body["encoding_format"] for each in embedding_server.requests]
    assert formats == (["base64"] * 2 if knows_base64 else ["base64", "float", "float"])


def test_what_is_sent_is_the_text_with_the_prefix_of_its_kind_and_no_more(embedding_server):
    settings = {"message_prefix": "passage: ", "query_prefix": "query: ", "dimensions": 16}
    with using(embedding_server, **settings) as embedder:
        assert embedder.model.dimensions == 16
        assert len(embedder.embed_messages(["red boots"])[0]) == 16
        embedder.embed_query("footwear", 5)
    sent = {"model": MODEL, "dimensions": 16, "encoding_format": "base64"}
    assert [each.body for each in embedding_server.requests] == [
        {**sent, "input": ["passage: red boots"]},
        {**sent, "input": ["query: footwear"]},
    ]
    assert "Authorization" not in embedding_server.requests[0].headers
    assert embedding_server.requests[0].path == "/v1/embeddings"


def test_what_utf_8_cannot_have_and_what_is_long_is_not_sent(embedding_server):
    with using(embedding_server) as embedder:
        embedder.embed_messages(["half \ud83d of a pair", "x" * 5_000])
        embedder.embed_query("half \ude00", 5)
    assert embedding_server.texts == ["half ? of a pair", "x" * 2_000, "half ?"]


def test_many_characters_are_several_requests(embedding_server):
    texts = [f"{number} {'word ' * 390}" for number in range(60)]
    with using(embedding_server, batch_size=64) as embedder:
        assert len(embedder.embed_messages(texts)) == 60
    assert embedding_server.texts == texts
    assert len(embedding_server.requests) == 2


def test_the_key_is_sent_from_the_environment_or_a_file(embedding_server, tmp_path):
    embedding_server.key = KEY
    (tmp_path / "key").write_text(f"{KEY}\n")
    for given in ({"key": KEY}, {"key_file": tmp_path / "key"}):
        with using(embedding_server, **given) as embedder:
            embedder.embed_query("footwear", 5)


def test_the_fingerprint_is_another_where_the_vectors_are_others(embedding_server):
    fingerprints = set()
    for changed in ({}, {"model": "b"}, {"dimensions": 8}, {"message_prefix": "p"}):
        with using(embedding_server, **changed) as embedder:
            fingerprints.add(embedder.model.fingerprint)
    assert len(fingerprints) == 4
    with using(embedding_server, url=embedding_server.url.replace("127.0.0.1", "localhost")) as it:
        assert it.model.fingerprint in fingerprints
        assert it.model.dimensions is None
        it.embed_query("footwear", 5)
        assert it.model.dimensions == 64


def test_requests_go_through_the_proxy_of_the_environment(embedding_server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, embedding_server.url.removesuffix("/v1"))
    monkeypatch.setenv("NO_PROXY", "")
    with using(embedding_server, url="http://embeddings.example/v1") as embedder:
        assert embedder.embed_query("footwear", 5)
    assert embedding_server.requests[0].path == "http://embeddings.example/v1/embeddings"
    monkeypatch.setenv("http_proxy", "ftp://jane:hunter2@proxy.example")
    monkeypatch.setenv("HTTP_PROXY", "ftp://jane:hunter2@proxy.example")
    with (
        pytest.raises(SettingError, match="HTTP_PROXY is not the URL of a proxy") as caught,
        using(embedding_server, url="http://embeddings.example/v1"),
    ):
        pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "behavior",
    [
        MALFORMED,
        NOT_AN_OBJECT,
        TOO_FEW,
        OTHER_DIMENSIONS,
        NOT_A_NUMBER,
        INFINITE,
        ZERO,
        Behavior(change=lambda vectors: [[1e308] * 64 for _ in vectors]),
        Behavior(body=b'{"data": [{"index": 0, "embedding": "x"}]}'),
        Behavior(body=b'{"data": [{"index": 7, "embedding": [1.0]}]}'),
        Behavior(body=b'{"data": [{"index": 0, "embedding": []}]}'),
        Behavior(body=b"\xff\xfe"),
    ],
)
@pytest.mark.parametrize("knows_base64", [True, False])
def test_a_wrong_answer_is_an_error(embedding_server, behavior, knows_base64):
    embedding_server.knows_base64 = knows_base64
    with using(embedding_server) as embedder:
        embedder.embed_messages(["red boots"])
        embedding_server.plan(behavior)
        with pytest.raises(EmbeddingFailed, match="The embedding model returned") as caught:
            embedder.embed_messages(["red boots"])
        assert not isinstance(caught.value, TextRejected)
        assert caught.value.retry_after_s == 60


def test_a_first_answer_with_other_dimensions_does_not_make_all_later_ones_wrong(
    embedding_server, monkeypatch
):
    now = [1000.0]
    monkeypatch.setattr("userkeep.embeddings.failures.monotonic", lambda: now[0])
    embedding_server.plan(OTHER_DIMENSIONS)
    with using(embedding_server) as embedder:
        embedder.embed_messages(["red boots"])
        with pytest.raises(EmbeddingFailed, match="64 dimensions instead of 63"):
            embedder.embed_messages(["red boots"])
        now[0] += 61
        [vector] = embedder.embed_messages(["red boots"])
    assert len(vector) == 64


@pytest.mark.parametrize(
    ("behavior", "sentence", "seconds"),
    [
        (CLOSED, "cannot be reached", 1),
        (HTML, "status 502", 1),
        (failing(500), "status 500", 1),
        (failing(429), "status 429", 1),
        (failing(429, Retry_After="7"), "status 429", 7),
        (failing(503, Retry_After=formatdate(time.time() + 9_999, usegmt=True)), "503", 3600),
        (failing(429, Retry_After="soon"), "status 429", 1),
        (failing(429, Retry_After="99999999"), "status 429", 3600),
        (failing(401), "Check USERKEEP_EMBEDDINGS_KEY", 300),
        (failing(403), "Check USERKEEP_EMBEDDINGS_KEY", 300),
        (failing(404), "Check USERKEEP_EMBEDDINGS_URL and USERKEEP_EMBEDDINGS_MODEL", 300),
        (failing(308, Location="http://127.0.0.1:1/"), "redirects are not followed", 300),
    ],
)
def test_a_failure_says_when_to_ask_again_and_what_to_check(
    embedding_server, caplog, behavior, sentence, seconds
):
    embedding_server.plan(behavior)
    with using(embedding_server, key=KEY) as embedder:
        with pytest.raises(EmbeddingFailed, match=sentence) as caught:
            embedder.embed_messages(["red boots"])
        assert caught.value.retry_after_s == pytest.approx(seconds, abs=2)
        with pytest.raises(EmbeddingFailed, match="is not asked"):
            embedder.embed_messages(["red boots"])
        assert len(embedding_server.requests) == 1
        if seconds > 1:
            with pytest.raises(EmbeddingFailed, match="is not asked"):
                embedder.embed_query("footwear", 5)
        else:  # a search is tried, because the failure may have been one of a moment
            assert embedder.embed_query("footwear", 5)
    assert sentence in caplog.text
    assert KEY not in caplog.text + str(caught.value)
    assert "boots" not in caplog.text


def test_an_endpoint_that_is_down_is_an_error():
    with opened(url="http://127.0.0.1:1/v1", model=MODEL) as embedder:
        with pytest.raises(EmbeddingFailed, match="cannot be reached"):
            embedder.embed_messages(["red boots"])
        with pytest.raises(EmbeddingFailed, match="is not asked"):
            embedder.embed_messages(["red boots"])


def test_pauses_become_longer_and_end_with_a_success(embedding_server, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("userkeep.embeddings.failures.monotonic", lambda: now[0])
    with using(embedding_server) as embedder:
        pauses = []
        for number in range(9):
            embedding_server.plan(failing(500))
            with pytest.raises(EmbeddingFailed) as caught:
                embedder.embed_messages([f"red boots {number}"])
            pauses.append(caught.value.retry_after_s)
            now[0] += pauses[-1] + 0.1
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        embedder.embed_messages(["red boots"])
        embedding_server.plan(failing(500))
        with pytest.raises(EmbeddingFailed) as caught:
            embedder.embed_messages(["red boots"])
        assert caught.value.retry_after_s == 1


def test_one_rejected_text_is_not_the_failure_of_all(embedding_server):
    embedding_server.rejected = {"unwanted"}
    with using(embedding_server) as embedder:
        for texts in (["red boots", "the unwanted"], ["the unwanted"]):
            with pytest.raises(TextRejected):
                embedder.embed_messages(texts)
        assert len(embedder.embed_messages(["red boots"])) == 1
        with pytest.raises(TextRejected):
            embedder.embed_query("unwanted", 5)


def test_a_text_that_is_too_long_for_the_model_is_shortened(embedding_server):
    embedding_server.longest = 600
    long = "boots " * 333
    with using(embedding_server) as embedder:
        with pytest.raises(TextRejected):
            embedder.embed_messages([long, "an invoice"])
        assert len(embedder.embed_messages([long])) == 1
        embedding_server.longest = 200
        with pytest.raises(TextRejected):
            embedder.embed_messages([long])


def test_an_endpoint_that_rejects_every_text_is_set_up_wrong(embedding_server):
    embedding_server.behavior = failing(400)
    with (
        using(embedding_server) as embedder,
        pytest.raises(EmbeddingFailed, match="rejects every text") as caught,
    ):
        embedder.embed_messages(["red boots"])
    assert not isinstance(caught.value, TextRejected)
    assert caught.value.retry_after_s == 300


def test_texts_with_which_the_endpoint_always_fails_are_rejected(embedding_server, monkeypatch):
    monkeypatch.setattr("userkeep.embeddings.failures.Backoff.left_s", lambda _: 0.0)
    with using(embedding_server) as embedder:
        for _ in range(2):
            embedding_server.plan(failing(500))
            with pytest.raises(EmbeddingFailed, match="500"):
                embedder.embed_messages(["the poison"])
        embedding_server.plan(failing(500))
        with pytest.raises(TextRejected):
            embedder.embed_messages(["the poison"])
        embedding_server.behavior = failing(500)
        for _ in range(5):
            with pytest.raises(EmbeddingFailed, match="500") as caught:
                embedder.embed_messages(["red boots"])
            assert not isinstance(caught.value, TextRejected)


def test_a_slow_endpoint_ends_at_the_time_limit(embedding_server):
    with using(embedding_server) as embedder:
        embedder.embed_query("footwear", 5)
        embedding_server.plan(slow(3))
        began = time.monotonic()
        with pytest.raises(EmbeddingFailed, match="did not respond in time"):
            embedder.embed_query("footwear", 0.1)
        assert time.monotonic() - began < 1
        # A slow query stops neither the messages nor the next query.
        assert embedder.embed_messages(["red boots"])
        assert embedder.embed_query("footwear", 5)


def test_queries_do_not_wait_behind_messages(embedding_server):
    embedding_server.plan(slow(1))
    with using(embedding_server) as embedder, ThreadPoolExecutor(1) as threads:
        running = threads.submit(embedder.embed_messages, TEXTS)
        while not embedding_server.requests:
            time.sleep(0.01)
        assert embedder.embed_query("footwear", 0.5)
        assert not running.done()
        embedding_server.is_closing.set()
        assert len(running.result()) == 3


def test_searches_pause_after_the_third_failure_in_a_row(embedding_server):
    embedding_server.behavior = failing(500)
    with using(embedding_server) as embedder:
        for _ in range(3):
            with pytest.raises(EmbeddingFailed, match="500"):
                embedder.embed_query("footwear", 5)
        with pytest.raises(EmbeddingFailed, match="is not asked"):
            embedder.embed_query("footwear", 5)


def test_closing_waits_for_no_answer(embedding_server):
    embedding_server.behavior = slow(10)
    with ThreadPoolExecutor(1) as threads:
        with using(embedding_server, timeout_seconds=1) as embedder:
            running = threads.submit(embedder.embed_messages, TEXTS)
            while not embedding_server.requests:
                time.sleep(0.01)
            began = time.monotonic()
        assert time.monotonic() - began < 0.5
        with pytest.raises(EmbeddingFailed, match="closed"):
            embedder.embed_query("footwear", 1)
        embedding_server.is_closing.set()
        assert running.exception(5) is None or isinstance(running.exception(), EmbeddingFailed)


def test_the_daily_budget_keeps_its_last_tenth_for_searches(embedding_server, monkeypatch, caplog):
    now = [DAY_S * 20_000.0 + 3_600]
    monkeypatch.setattr("userkeep.embeddings.budget.time", lambda: now[0])
    with using(embedding_server, daily_budget=100) as embedder:
        assert embedder.budget.left == 100
        for _ in range(8):  # ten words each, which the endpoint counts as ten tokens
            embedder.embed_messages(["a b c d e f g h i j"])
        assert embedder.budget.left == 20
        with pytest.raises(EmbeddingFailed, match="USERKEEP_EMBEDDINGS_DAILY_BUDGET") as caught:
            embedder.embed_messages(["a" * 100])
        assert caught.value.retry_after_s == DAY_S - 3_600
        embedder.embed_query("a " * 15, 5)
        assert embedder.budget.left == 5
        with pytest.raises(EmbeddingFailed, match="BUDGET"):
            embedder.embed_query("footwear " * 3, 5)
        assert len(embedding_server.requests) == 9
        assert caplog.text.count("budget of 100 tokens for embeddings is used up") == 1
        now[0] += DAY_S
        assert embedder.budget.left == 100
        embedder.embed_messages(["a" * 100])
        # More than a day's budget at once: a smaller batch may fit.
        with pytest.raises(TextRejected, match="daily budget"):
            embedder.embed_messages(["a" * 200, "b" * 200])


def test_tokens_are_estimated_where_the_endpoint_does_not_count_them(embedding_server):
    embedding_server.has_usage = False
    with using(embedding_server, daily_budget=1_000) as embedder:
        embedder.embed_messages(["a" * 400])
        assert embedder.budget.left == 1_000 - 101
        embedding_server.plan(failing(500))
        with pytest.raises(EmbeddingFailed):
            embedder.embed_messages(["a" * 400])
        assert embedder.budget.left == 1_000 - 101


def test_without_a_budget_nothing_is_limited(embedding_server):
    with using(embedding_server) as embedder:
        assert embedder.budget is None
    assert WELL.status == 200
