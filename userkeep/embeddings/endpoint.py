"""An OpenAI-compatible endpoint for embeddings: `POST …/embeddings`.

It is one request with few fields, so the HTTP library that is here anyway sends it.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from threading import Lock
from typing import Any

import httpx2
import msgspec

from userkeep.domain.embedding import (
    EmbeddingFailed,
    EmbeddingFigures,
    EmbeddingModel,
    TextRejected,
    TokenBudget,
    Vector,
)
from userkeep.domain.values.addresses import is_private_host
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.forward_proxies import find_proxy
from userkeep.embeddings.answers import Answer, nonsense, parse_answer
from userkeep.embeddings.budget import DailyBudget, estimate_tokens
from userkeep.embeddings.counter import MESSAGES, QUERY, EmbeddingCounter
from userkeep.embeddings.failures import Backoff, ModelFailed, Suspects
from userkeep.embeddings.texts import prepare

logger = logging.getLogger(__name__)

_MOST_CHARACTERS = 100_000
"""Of the texts of a request: providers limit its tokens, to 300,000 and less."""

_SHORTEST_TRIED = 400
"""In characters: about the tokens that the smallest models take."""

_LARGEST_BODY_BYTES = 64 * 1024 * 1024
_CONNECTIONS = 16
_KEEPALIVE_S = 30.0
_PAUSE_OF_SETTINGS_S = 300.0
_LONGEST_RETRY_AFTER_S = 3_600.0
_TOLERATED_SLOW_QUERIES = 2
_PROBE = "hello"

_MAYBE_OF_TEXTS = {"status", "invalid", "timeout"}
_OF_TEXTS = {400, 413, 422}
_OF_SETTINGS = {
    401: "rejected the key. Check USERKEEP_EMBEDDINGS_KEY",
    403: "does not permit it. Check USERKEEP_EMBEDDINGS_KEY and USERKEEP_EMBEDDINGS_MODEL",
    404: "does not exist, or does not have the model. Check USERKEEP_EMBEDDINGS_URL and "
    "USERKEEP_EMBEDDINGS_MODEL",
}


class EndpointOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is set about an endpoint.

    Attributes:
        url: without the `/embeddings` at its end.
        key: sent as a bearer token; empty: none.
        dimensions: to request; 0: those of the model.
        daily_budget: in tokens; 0: no limit.
        timeout_s: for a batch of messages.
    """

    url: str
    model: str
    key: str = ""
    dimensions: int = 0
    query_prefix: str = ""
    message_prefix: str = ""
    batch_size: int = 32
    daily_budget: int = 0
    timeout_s: float = 30.0


def check_url(url: str) -> None:
    """Check the URL of an endpoint.

    Raises:
        ValueError: with what is wrong, without the URL: it may have a password.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError("is not a URL, such as http://127.0.0.1:11434/v1.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("must begin with http:// or https:// and a host.")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(
            "must not have a password, a query or a fragment. Set the key in "
            "USERKEEP_EMBEDDINGS_KEY or USERKEEP_EMBEDDINGS_KEY_FILE."
        )


def exposure_of(url: str) -> str:
    """Return a warning if texts that are sent to a URL can be read on their way; else nothing."""
    parsed = httpx2.URL(url)
    if parsed.scheme == "https" or is_private_host(parsed.host):
        return ""
    return (
        f"Texts are sent to {parsed.host} without encryption, and it does not look like a host of "
        "your own network. Use https in USERKEEP_EMBEDDINGS_URL."
    )


class EndpointEmbedder:
    """Embeddings from an endpoint; see domain.embedding.Embedder.

    After a failure it pauses, and what is asked in a pause fails immediately. A query that is slow
    does not stop the messages: it has less time, and waits behind them at the endpoint.

    Raises:
        ValueError: a proxy in the environment cannot be used.
    """

    is_local = False

    def __init__(self, options: EndpointOptions) -> None:
        self._options = options
        self._url = f"{options.url.rstrip('/').removesuffix('/embeddings')}/embeddings"
        self._client = _open_client(self._url, options.key)
        self._budget = DailyBudget(options.daily_budget)
        self._for_messages = Backoff()
        self._for_queries = Backoff(_TOLERATED_SLOW_QUERIES)
        self._suspects = Suspects()
        self._counter = EmbeddingCounter()
        self._lock = Lock()
        self._dimensions = options.dimensions or None
        self._fingerprint = _fingerprint(options)
        self._takes_base64: bool | None = None
        self._is_well = False
        self._is_closed = False

    @property
    def model(self) -> EmbeddingModel:
        return EmbeddingModel(self._options.model, self._fingerprint, self._dimensions)

    @property
    def batch_size(self) -> int:
        return self._options.batch_size

    @property
    def figures(self) -> EmbeddingFigures:
        return self._counter.figures

    def start(self) -> None:
        """Log if texts will be sent where others can read them; it connects with the first."""
        if warning := exposure_of(self._url):
            logger.warning("%s", warning)

    @property
    def budget(self) -> TokenBudget | None:
        """How many tokens may be sent; None if there is no limit."""
        return self._budget if self._budget.is_limited else None

    def embed_messages(self, texts: Sequence[str]) -> list[Vector]:
        prefix = self._options.message_prefix
        vectors: list[Vector] = []
        with self._counter.request(MESSAGES, len(texts)):
            for part in _parts([prepare(prefix, text) for text in texts]):
                vectors += self._embed_shortened(part)
        return vectors

    def embed_query(self, text: str, timeout_s: float) -> Vector:
        query = prepare(self._options.query_prefix, text)
        with self._counter.request(QUERY, 1):
            return self._embed([query], timeout_s, is_query=True)[0]

    def close(self) -> None:
        self._is_closed = True
        self._client.close()

    def _embed_shortened(self, texts: list[str]) -> list[Vector]:
        """Embed texts; a single one that is rejected may be too long for the model."""
        try:
            return self._embed(texts, self._options.timeout_s, is_query=False)
        except TextRejected:
            shorter = texts[0][: len(texts[0]) // 2]
            if len(texts) > 1 or len(shorter) < _SHORTEST_TRIED:
                raise
        return self._embed_shortened([shorter])

    def _embed(self, texts: list[str], timeout_s: float, *, is_query: bool) -> list[Vector]:
        backoff = self._for_queries if is_query else self._for_messages
        left_s = backoff.left_s()
        if left_s:
            raise ModelFailed("The embedding endpoint failed, and is not asked.", "pause", left_s)
        tokens = self._reserve(texts, is_query=is_query)
        try:
            answer = self._ask(texts, time.monotonic() + timeout_s)
        except EmbeddingFailed as error:
            # What a request cost that timed out is not known: its tokens stay counted.
            if not (isinstance(error, ModelFailed) and error.kind == "timeout"):
                self._budget.settle(tokens, 0)
            raise self._failure(error, texts, is_query=is_query) from error.__cause__
        self._budget.settle(tokens, answer.tokens or tokens)
        self._counter.add_tokens(answer.tokens or tokens)
        backoff.succeed()
        return answer.vectors

    def _reserve(self, texts: list[str], *, is_query: bool) -> int:
        """Reserve the tokens of texts in the budget, and return how many they are."""
        tokens = sum(estimate_tokens(text) for text in texts)
        if len(texts) > 1 and not self._budget.has_room_for(tokens):
            raise TextRejected("These texts together are more than the daily budget of tokens.")
        self._budget.reserve(tokens, is_query=is_query)
        return tokens

    def _failure(
        self, error: EmbeddingFailed, texts: list[str], *, is_query: bool
    ) -> EmbeddingFailed:
        """Return the error for texts that were not embedded: the endpoint's, or that of texts."""
        if self._is_closed:
            return error
        if not isinstance(error, ModelFailed):
            if not (is_query or self._is_well):
                self._check_other_texts()
            self._is_well = False  # an endpoint that rejects twice in a row is checked again
            return error
        if not is_query and error.kind in _MAYBE_OF_TEXTS and self._suspects.add(texts):
            self._check_other_texts()
            return TextRejected("The embedding endpoint fails with these texts.")
        self._pause_after(error, self._for_queries if is_query else self._for_messages)
        return error

    def _pause_after(self, error: ModelFailed, backoff: Backoff) -> None:
        asked_s = error.retry_after_s if error.retry_after_s > 1 else None
        pauses = [backoff.fail(asked_s)]
        if error.kind != "timeout":
            others = self._for_messages if backoff is self._for_queries else self._for_queries
            pauses.append(others.fail(asked_s))
        error.retry_after_s = max(error.retry_after_s, pauses[0])
        if pauses[0]:
            logger.warning("%s Next try in %.0f s at the earliest.", error.detail, pauses[0])
        else:
            logger.warning("%s", error.detail)

    def _check_other_texts(self) -> None:
        """Check that an endpoint that fails with texts accepts another one.

        Raises:
            ModelFailed: it does not, so the texts are not the reason.
        """
        try:
            self._ask([_PROBE], time.monotonic() + self._options.timeout_s)
        except TextRejected:
            error = ModelFailed(
                f"The embedding endpoint {self._url} rejects every text. Check "
                "USERKEEP_EMBEDDINGS_MODEL, USERKEEP_EMBEDDINGS_DIMENSIONS and its own log.",
                "settings",
                _PAUSE_OF_SETTINGS_S,
            )
            self._pause_after(error, self._for_messages)
            raise error from None
        except ModelFailed as error:
            self._pause_after(error, self._for_messages)
            raise

    def _ask(self, texts: list[str], ends: float) -> Answer:
        """Send texts, with base64 for vectors unless the endpoint rejects that."""
        if self._takes_base64 is None:
            try:
                answer = self._request(texts, ends, "base64")
            except TextRejected:
                answer = self._request(texts, ends, "float")
                self._takes_base64 = False
            else:
                self._takes_base64 = True
            return answer
        return self._request(texts, ends, "base64" if self._takes_base64 else "float")

    def _request(self, texts: list[str], ends: float, encoding: str) -> Answer:
        began = time.monotonic()
        body: dict[str, Any] = {
            "model": self._options.model,
            "input": texts,
            "encoding_format": encoding,
        }
        if self._options.dimensions:
            body["dimensions"] = self._options.dimensions
        status, headers, content = self._send(msgspec.json.encode(body), ends)
        logger.debug(
            "embeddings: %s, %d characters, status %d, %.0f ms",
            pluralize(len(texts), "text"),
            sum(map(len, texts)),
            status,
            (time.monotonic() - began) * 1000,
        )
        if status != 200:
            raise self._error_of(status, headers)
        try:
            answer = parse_answer(content, len(texts), self._dimensions)
        except ModelFailed:
            # Perhaps the first answer had the wrong dimensions, and this one has the right ones.
            self._dimensions = self._options.dimensions or None
            raise
        with self._lock:
            self._dimensions = self._dimensions or len(answer.vectors[0])
            self._is_well = True
        return answer

    def _send(self, body: bytes, ends: float) -> tuple[int, httpx2.Headers, bytes]:
        """Return status, headers and body of the response.

        Raises:
            ModelFailed: there is none, it came too late, or is too large.
        """
        if self._is_closed:
            raise ModelFailed("The embedding endpoint is closed.", "closed")
        content = bytearray()
        try:
            request = self._client.build_request(
                "POST", self._url, content=body, extensions={"timeout": _Remaining(ends)}
            )
            response = self._client.send(request, stream=True)
            try:
                for part in response.iter_bytes():
                    content += part
                    if time.monotonic() > ends:
                        raise httpx2.ReadTimeout("the response did not end in time")
                    if len(content) > _LARGEST_BODY_BYTES:
                        raise nonsense(f"more than {_LARGEST_BODY_BYTES >> 20} MiB")
            finally:
                response.close()
        except httpx2.TimeoutException as error:
            raise ModelFailed(
                f"The embedding endpoint {self._url} did not respond in time.", "timeout"
            ) from error
        except (httpx2.RequestError, RuntimeError) as error:
            if self._is_closed:
                raise ModelFailed("The embedding endpoint is closed.", "closed") from error
            raise ModelFailed(
                f"The embedding endpoint {self._url} cannot be reached ({type(error).__name__}).",
                "connection",
            ) from error
        return response.status_code, response.headers, bytes(content)

    def _error_of(self, status: int, headers: httpx2.Headers) -> EmbeddingFailed:
        """Return the error for a status. The body is left out: it may repeat a text."""
        if status in _OF_TEXTS:
            return TextRejected(f"The embedding endpoint rejects the text with {status}.")
        named = f"The embedding endpoint {self._url}"
        if status in _OF_SETTINGS:
            sentence = f"{named} {_OF_SETTINGS[status]} (status {status})."
            return ModelFailed(sentence, "settings", _PAUSE_OF_SETTINGS_S)
        if 300 <= status < 400:
            return ModelFailed(
                f"{named} redirects elsewhere (status {status}), and redirects are not followed. "
                "Set USERKEEP_EMBEDDINGS_URL to where it is.",
                "settings",
                _PAUSE_OF_SETTINGS_S,
            )
        kind = "rate_limit" if status == 429 else "status"
        sentence = f"{named} responded with the status {status}."
        return ModelFailed(sentence, kind, _retry_after_s(headers) or 1.0)


class _Remaining(dict[str, float]):
    """The time limits of a request: each of its parts has what is left of the whole."""

    def __init__(self, ends: float) -> None:
        super().__init__()
        self._ends = ends

    def get(self, *_: Any) -> float:
        return max(self._ends - time.monotonic(), 0.001)


def _parts(texts: list[str]) -> Iterator[list[str]]:
    """Split texts into as few requests as their characters need."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and characters + len(text) > _MOST_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _fingerprint(options: EndpointOptions) -> str:
    """Return a hash of what changes the vectors; the same model may be at another URL."""
    names = [options.model, options.dimensions, options.message_prefix, options.query_prefix]
    return hashlib.sha256(msgspec.json.encode(["endpoint", *names])).hexdigest()


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """Return the seconds of a Retry-After header: a number of them, or a date."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER_S)


def _open_client(url: str, key: str) -> httpx2.Client:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    proxy = find_proxy(url)
    if proxy is not None and proxy.url.startswith("socks") and find_spec("socksio") is None:
        raise ValueError(f"{proxy.variable} names a SOCKS proxy, which needs the package socksio.")
    try:
        return httpx2.Client(
            headers=headers,
            limits=httpx2.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE_S,
            ),
            # Redirects could send texts to another host, and the environment's proxies are read
            # by `find_proxy`, which sends nothing of this machine to one.
            follow_redirects=False,
            trust_env=False,
            proxy=None if proxy is None else proxy.url,
            verify=httpx2.create_ssl_context() if url.startswith("https") else False,
        )
    except (httpx2.InvalidURL, ValueError) as error:
        if proxy is None:
            raise
        # The value can have a password.
        raise ValueError(f"{proxy.variable} is not the URL of a proxy.") from error
