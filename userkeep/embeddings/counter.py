"""Counts what an embedder does, in several threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from userkeep.domain.embedding import EmbeddingFigures, TextRejected
from userkeep.embeddings.failures import REASONS, ModelFailed

MESSAGES, QUERY = "messages", "query"


class EmbeddingCounter:
    """What an embedder has done since its process started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests = {MESSAGES: 0, QUERY: 0}
        self._texts = {MESSAGES: 0, QUERY: 0}
        self._busy_s = {MESSAGES: 0.0, QUERY: 0.0}
        self._failures = dict.fromkeys(REASONS, 0)
        self._tokens = 0

    @property
    def figures(self) -> EmbeddingFigures:
        """The numbers until now."""
        with self._lock:
            return EmbeddingFigures(
                dict(self._requests),
                dict(self._texts),
                dict(self._busy_s),
                dict(self._failures),
                self._tokens,
            )

    def add_tokens(self, tokens: int) -> None:
        """Count tokens that were sent."""
        with self._lock:
            self._tokens += tokens

    @contextmanager
    def request(self, of: str, texts: int) -> Iterator[None]:
        """Count a request, with how long it takes and whether it fails."""
        began = monotonic()
        made, failure = 0, ""
        try:
            yield
            made = texts
        except TextRejected:
            failure = "rejected"
            raise
        except ModelFailed as error:
            failure = error.kind
            raise
        finally:
            with self._lock:
                self._requests[of] += 1
                self._texts[of] += made
                self._busy_s[of] += monotonic() - began
                if failure:
                    self._failures[failure] += 1
