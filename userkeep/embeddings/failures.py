"""Why an embedding model did not answer, and the pause that follows."""

from collections.abc import Sequence
from threading import Lock
from time import monotonic

from userkeep.domain.embedding import EmbeddingFailed

_LONGEST_PAUSE_S = 60.0

REASONS = (
    "budget",
    "closed",
    "connection",
    "crash",
    "invalid",
    "pause",
    "rate_limit",
    "rejected",
    "settings",
    "status",
    "timeout",
)
"""Why embeddings are not made, in words for metrics."""


class ModelFailed(EmbeddingFailed):
    """The embedding model did not answer.

    Attributes:
        kind: one of REASONS, or `model`: it failed with a text.
    """

    def __init__(self, detail: str, kind: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.kind = kind
        self.retry_after_s = retry_after_s


class Backoff:
    """Pauses after failures, each twice as long as the one before: 1, 2, 4 … 60 s.

    Args:
        tolerated: how many failures in a row cause no pause.
    """

    def __init__(self, tolerated: int = 0) -> None:
        self._tolerated = tolerated
        self._lock = Lock()
        self._failures = 0
        self._ends_at = 0.0

    def left_s(self) -> float:
        """Return how many seconds of a pause are left; 0 if there is none."""
        return max(self._ends_at - monotonic(), 0.0)

    def fail(self, pause_s: float | None = None) -> float:
        """Count a failure; return how long the pause is that it begins.

        Args:
            pause_s: how long it is, if the model has said so.
        """
        with self._lock:
            self._failures += 1
            beyond = self._failures - self._tolerated
            if pause_s is None:
                doubled = 2.0 ** min(beyond - 1, 10)
                pause_s = min(doubled, _LONGEST_PAUSE_S) if beyond > 0 else 0.0
            self._ends_at = max(self._ends_at, monotonic() + pause_s)
        return pause_s

    def succeed(self) -> None:
        """Forget earlier failures."""
        with self._lock:
            self._failures = 0
            self._ends_at = 0.0


class Suspects:
    """Counts how often in a row the same texts failed: they may be the reason, and block others.

    They are known by a hash, which is kept until other texts fail.
    """

    _MOST_FAILURES = 3

    def __init__(self) -> None:
        self._lock = Lock()
        self._key = 0
        self._failures = 0

    def add(self, texts: Sequence[str]) -> bool:
        """Count a failure of texts; return whether they are probably its reason."""
        key = hash(tuple(texts))
        with self._lock:
            self._failures = self._failures + 1 if key == self._key else 1
            self._key = key
            return self._failures >= self._MOST_FAILURES
