"""Problems with the database that an operator must solve, in the log."""

import logging
import threading
from math import inf
from time import monotonic

logger = logging.getLogger(__name__)

_REPORT_EVERY_S = 3600.0
_MOST_REPORTS = 100
_NEWLINE = "\n"


class Reports:
    """Logs problems that an operator must solve: each once an hour, not for each request."""

    def __init__(self) -> None:
        self._reported_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def report(self, problem: str, reason: str) -> None:
        """Log a problem with the first line of its reason."""
        line = f"{problem}: {reason.strip().partition(_NEWLINE)[0]}"
        with self._lock:
            now = monotonic()
            if now - self._reported_at.get(line, -inf) < _REPORT_EVERY_S:
                return
            if len(self._reported_at) >= _MOST_REPORTS:
                self._reported_at.clear()
            self._reported_at[line] = now
        logger.warning("%s", line)
