"""A made-up OpenAI-compatible endpoint for embeddings, in a thread of the test process.

Its encoder is deterministic: texts with the same words, or with synonyms, are near each other. It
can misbehave, for its next requests or for all of them.
"""

import base64
import hashlib
import json
import math
import re
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest

MODEL = "made-up"
DIMENSIONS = 64
KEY = "sk-embeddings-of-a-test"

_SYNONYMS = (
    ("footwear", "shoe", "sneaker", "boot"),
    ("car", "automobile", "vehicle"),
    ("doctor", "physician"),
    ("buy", "purchase"),
    ("dog", "puppy", "hound"),
    ("film", "movie"),
    ("house", "home"),
    ("trip", "journey", "holiday", "vacation"),
    ("glad", "happy"),
    ("job", "employment", "occupation"),
    ("meal", "dinner", "food"),
    ("child", "kid"),
    ("ill", "sick"),
    ("sea", "ocean"),
)
_MEANINGS = {word: words[0] for words in _SYNONYMS for word in words}

Vector = list[float]
Encoder = Callable[[list[str], int], list[Vector]]


@cache
def direction(word: str, dimensions: int) -> Vector:
    digest = hashlib.shake_128(word.encode()).digest(dimensions)
    return [byte / 127.5 - 1 for byte in digest]


def encode(text: str, dimensions: int = DIMENSIONS) -> Vector:
    """Return the embedding of a text: the sum of its words' directions, not of unit length."""
    vector = [0.001] * dimensions
    for found in re.findall(r"\w+", text.lower()):
        word = found.removesuffix("s")
        added = direction(_MEANINGS.get(word, word), dimensions)
        vector = [a + b for a, b in zip(vector, added, strict=True)]
    return vector


def encode_all(texts: list[str], dimensions: int = DIMENSIONS) -> list[Vector]:
    """Return the embeddings of texts."""
    return [encode(text, dimensions) for text in texts]


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


class Behavior(NamedTuple):
    """How the endpoint responds to a request.

    Attributes:
        status: 0: it closes the connection without a response.
        body: sent instead of embeddings.
        delay_s: how long it waits before it responds.
        change: changes the embeddings of the request.
        is_shuffled: whether the embeddings have another order than the texts; `index` is right.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    delay_s: float = 0.0
    change: Callable[[list[Vector]], list[Vector]] | None = None
    is_shuffled: bool = False


def failing(status: int, **headers: str) -> Behavior:
    """Return a response with an error; `Retry_After="2"` is a header of it."""
    problem = {"error": {"message": f"made-up error {status}", "type": "made_up"}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Behavior(status, named, json.dumps(problem).encode())


def slow(seconds: float) -> Behavior:
    """Return a response that is right, but late."""
    return Behavior(delay_s=seconds)


WELL = Behavior()
CLOSED = Behavior(0)
MALFORMED = Behavior(body=b'{"data": [{"index": 0, "embed')
NOT_AN_OBJECT = Behavior(body=b"[]")
HTML = Behavior(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
TOO_FEW = Behavior(change=lambda vectors: vectors[:-1])
SHUFFLED = Behavior(is_shuffled=True)
OTHER_DIMENSIONS = Behavior(change=lambda vectors: [each[:-1] for each in vectors])
NOT_A_NUMBER = Behavior(change=lambda vectors: [[math.nan, *each[1:]] for each in vectors])
INFINITE = Behavior(change=lambda vectors: [[math.inf, *each[1:]] for each in vectors])
ZERO = Behavior(change=lambda vectors: [[0.0] * len(each) for each in vectors])


class EmbeddingRequest(NamedTuple):
    """A request that arrived."""

    path: str
    headers: Mapping[str, str]
    texts: list[str]
    body: dict[str, Any]


class EmbeddingServer:
    """The endpoint.

    Attributes:
        url: for USERKEEP_EMBEDDINGS_URL.
        requests: what arrived.
        rejected: it responds with 400 to a request with a text that contains one of these.
        behavior: how it responds when nothing else is planned.
        longest: it responds with 400 to a text that has more characters.
        key: requests without it get 401, if there is one.
        knows_base64: whether it accepts `encoding_format: base64`.
        has_usage: whether its responses have `usage`.
        encoder: makes the embeddings of texts, with so many dimensions.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.requests: list[EmbeddingRequest] = []
        self.rejected: set[str] = set()
        self.behavior = WELL
        self.longest = 1_000_000
        self.key = ""
        self.knows_base64 = True
        self.has_usage = True
        self.encoder = encoder
        self.is_closing = Event()
        self._planned: list[Behavior] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables of a Userkeep that uses this endpoint."""
        return {"USERKEEP_EMBEDDINGS_URL": self.url, "USERKEEP_EMBEDDINGS_MODEL": MODEL}

    @property
    def texts(self) -> list[str]:
        """The texts of all requests."""
        return [text for each in self.requests for text in each.texts]

    def plan(self, *behaviors: Behavior) -> None:
        """Set how it responds to the next requests, one each."""
        self._planned.extend(behaviors)

    def next_behavior(self) -> Behavior:
        return self._planned.pop(0) if self._planned else self.behavior

    def close(self) -> None:
        """Stop, and leave connections that wait without a response."""
        self.is_closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: EmbeddingServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_POST(self) -> None:
        endpoint = self.server.endpoint
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        headers = dict(self.headers.items())
        endpoint.requests.append(EmbeddingRequest(self.path, headers, texts, body))
        behavior = endpoint.next_behavior()
        if behavior.delay_s:
            endpoint.is_closing.wait(behavior.delay_s)
        if behavior.status == 0:
            self.close_connection = True
        elif behavior.body is not None:
            self._send(behavior.status, behavior.body, behavior.headers)
        elif endpoint.key and headers.get("Authorization") != f"Bearer {endpoint.key}":
            self._fail(401)
        elif not self.path.endswith("/v1/embeddings"):
            self._fail(404)
        elif self._is_rejected(body, texts):
            self._fail(400)
        else:
            self._send(200, self._embeddings(body, texts, behavior), behavior.headers)

    def _is_rejected(self, body: dict[str, Any], texts: list[str]) -> bool:
        endpoint = self.server.endpoint
        if body.get("encoding_format") == "base64" and not endpoint.knows_base64:
            return True
        if any(len(text) > endpoint.longest for text in texts):
            return True
        return any(part in text for part in endpoint.rejected for text in texts)

    def _embeddings(self, body: dict[str, Any], texts: list[str], behavior: Behavior) -> bytes:
        endpoint = self.server.endpoint
        vectors = endpoint.encoder(texts, body.get("dimensions") or DIMENSIONS)
        if behavior.change is not None:
            vectors = behavior.change(vectors)
        is_base64 = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _in_format(vector, is_base64)}
            for index, vector in enumerate(vectors)
        ]
        if behavior.is_shuffled:
            data = [*data[1::2], *data[::2]]
        response = {"object": "list", "data": data, "model": body["model"]}
        if endpoint.has_usage:
            tokens = sum(len(each.split()) for each in texts)
            response["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json.dumps(response).encode()

    def _fail(self, status: int) -> None:
        failed = failing(status)
        assert failed.body is not None
        self._send(status, failed.body, failed.headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _in_format(vector: Vector, is_base64: bool) -> Vector | str:
    return base64.b64encode(array("f", vector).tobytes()).decode() if is_base64 else vector


@contextmanager
def serving_embeddings(encoder: Encoder = encode_all) -> Iterator[EmbeddingServer]:
    """Run the endpoint for the duration of the block."""
    server = EmbeddingServer(encoder)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def embedding_server() -> Iterator[EmbeddingServer]:
    """The endpoint, for one test."""
    with serving_embeddings() as server:
        yield server


def wait_until(is_so: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fail if it does not happen in time."""
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)
