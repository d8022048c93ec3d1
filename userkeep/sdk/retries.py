"""Retries: which calls are sent again, and after which delay. The transport does the waiting."""

import logging
from random import Random

import msgspec

from userkeep.domain.errors import InvalidField, RateLimited, Unavailable, UserkeepError
from userkeep.sdk.calls import SDKCall
from userkeep.sdk.errors import ConnectionFailed, NotSent

logger = logging.getLogger("userkeep")

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 5.0
_MAX_RETRY_AFTER_S = 60.0

_random = Random()  # noqa: S311 - for delays, which need no secrecy


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a call is sent at most, and with which delays.

    Attributes:
        attempts: the maximum number of attempts, the first one included.
    """

    attempts: int = 4

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidField("attempts must be at least 1.", "attempts")

    def delay_s(
        self, call: SDKCall, attempt: int, error: UserkeepError, retry_after_s: float | None
    ) -> float | None:
        """Return the delay before the next attempt (exponential backoff); None: do not retry.

        Args:
            attempt: the number of attempts so far.
            error: the error of the last one.
            retry_after_s: the server's Retry-After, if it sent one.
        """
        requested_s = retry_after_s or 0.0
        if attempt >= self.attempts or requested_s > _MAX_RETRY_AFTER_S:
            return None
        if not _is_retryable(call, error):
            return None
        delay_s = min(_FIRST_DELAY_S * 2.0 ** (attempt - 1), _MAX_DELAY_S)
        delay_s = max(_random.uniform(0.5, 1) * delay_s, requested_s)
        # Neither the call's ids and body nor the error's sentence, which may have them.
        logger.info(
            "retrying %s in %.2f s (attempt %d of %d): %s",
            call.operation.name,
            delay_s,
            attempt + 1,
            self.attempts,
            error.code,
        )
        return delay_s


def _is_retryable(call: SDKCall, error: UserkeepError) -> bool:
    """Return whether a retry may help and is safe.

    It is safe if the request was not performed, and if performing it twice has the same effect: for
    reads, for a POST with an Idempotency-Key, and for updates without `if_revision`. With
    `if_revision`, a retry could fail because of its own first attempt. A deletion is retried only
    if the server reports that it is unavailable: after success, the user is not found any more.
    """
    if isinstance(error, NotSent | RateLimited):
        return True
    is_unavailable = isinstance(error, Unavailable)
    if not is_unavailable and not isinstance(error, ConnectionFailed):
        return False
    if call.operation.method == "DELETE":
        return is_unavailable
    return call.if_revision is None
