"""How many tokens may be sent to an endpoint in a day."""

import logging
from threading import Lock
from time import time

from userkeep.domain.embedding import SpentTokens
from userkeep.embeddings.failures import ModelFailed

logger = logging.getLogger(__name__)

DAY_S = 86_400
_BYTES_OF_TOKEN = 4
_SHARE_OF_MESSAGES = 0.9


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text, before an endpoint has counted them: one for four bytes."""
    return -(-len(text.encode()) // _BYTES_OF_TOKEN) + 1


class DailyBudget:
    """Counts the tokens of a day (UTC); see domain.embedding.TokenBudget.

    Tokens are what providers bill. They are estimated before a request, so that the budget is not
    exceeded, and corrected by what the response says. The last tenth is for queries: a search needs
    few tokens, and a person waits for it.

    Args:
        tokens: the budget; 0: no limit.
    """

    def __init__(self, tokens: int) -> None:
        self._limit = tokens
        self._lock = Lock()
        self._day = -1
        self._recorded = 0
        self._unrecorded = 0
        self._is_logged = False

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._limit > 0

    @property
    def left(self) -> int:
        """How many tokens are left today; 0 without a limit."""
        with self._lock:
            self._begin_day()
            return max(self._limit - self._used, 0)

    def unrecorded(self) -> SpentTokens:
        """Return what was sent today and is not recorded yet."""
        with self._lock:
            self._begin_day()
            return SpentTokens(self._day, self._unrecorded)

    def share(self, recorded: SpentTokens, sum_of_day: int) -> None:
        """Count what other processes have sent."""
        with self._lock:
            self._begin_day()
            if recorded.day == self._day:
                self._recorded = sum_of_day
                self._unrecorded -= recorded.tokens

    def reserve(self, tokens: int, *, is_query: bool) -> None:
        """Count tokens that are about to be sent.

        Raises:
            ModelFailed: they are more than the budget has left; it says when the next day begins.
        """
        limit = self._limit if is_query else int(self._limit * _SHARE_OF_MESSAGES)
        with self._lock:
            self._begin_day()
            if self._limit and self._used + tokens > limit:
                self._log()
                raise ModelFailed(
                    "The daily budget of tokens for embeddings is used up "
                    "(USERKEEP_EMBEDDINGS_DAILY_BUDGET). It is renewed at 00:00 UTC.",
                    "budget",
                    DAY_S - time() % DAY_S,
                )
            self._unrecorded += tokens

    def has_room_for(self, tokens: int) -> bool:
        """Return whether a day's budget is enough for a request of messages."""
        return not self._limit or tokens <= int(self._limit * _SHARE_OF_MESSAGES)

    def settle(self, reserved: int, counted: int) -> None:
        """Replace a reservation by the tokens that were counted."""
        with self._lock:
            # A reservation of yesterday is not among today's tokens.
            self._unrecorded = max(self._unrecorded + counted - reserved, -self._recorded)

    @property
    def _used(self) -> int:
        return self._recorded + self._unrecorded

    def _begin_day(self) -> None:
        today = int(time() // DAY_S)
        if today != self._day:
            self._day, self._recorded, self._unrecorded, self._is_logged = today, 0, 0, False

    def _log(self) -> None:
        if not self._is_logged:
            logger.warning(
                "the daily budget of %d tokens for embeddings is used up until 00:00 UTC "
                "(USERKEEP_EMBEDDINGS_DAILY_BUDGET)",
                self._limit,
            )
        self._is_logged = True
