"""When a call is sent again, and after which pause: decided here, carried out by the callers."""

from random import Random

import msgspec

from userkeep.domain.errors import InvalidField, Unavailable, UserkeepError
from userkeep.sdk.calls import SDKCall
from userkeep.sdk.errors import ConnectionFailed, NotSent, RateLimited

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_LONGEST_RETRY_AFTER_S = 60.0

_random = Random()  # noqa: S311 - for pauses, which need no secrecy


class Retries(msgspec.Struct, frozen=True):
    """How often a call is sent in all, at most."""

    attempts: int = 4

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidField("attempts must be at least 1.", "attempts")

    def pause_s(
        self, call: SDKCall, attempt: int, error: UserkeepError, retry_after_s: float | None
    ) -> float | None:
        """How long to wait before a call is sent again; None: it is not.

        Args:
            attempt: how often it was sent.
            error: what came of it.
            retry_after_s: what the server asks for, if it does.
        """
        asked_s = retry_after_s or 0.0
        if attempt >= self.attempts or asked_s > _LONGEST_RETRY_AFTER_S:
            return None
        if not _may_repeat(call, error):
            return None
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** (attempt - 1), _LONGEST_PAUSE_S)
        return max(_random.uniform(0.5, 1) * pause_s, asked_s)


def _may_repeat(call: SDKCall, error: UserkeepError) -> bool:
    """Whether to send a call again may help, and does no harm.

    Where nothing can have happened, it is. Else it must be the same to do it twice: so it is with
    reads, with a POST under an Idempotency-Key, with changes that name no revision. A change that
    names one would be refused for what it has itself done. And an erasure, once it is finished, is
    not found any more: it is asked for again only if the server has said to.
    """
    if isinstance(error, NotSent | RateLimited):
        return True
    is_unavailable = isinstance(error, Unavailable)
    if not is_unavailable and not isinstance(error, ConnectionFailed):
        return False
    if call.operation.does == "job":
        return is_unavailable
    return call.if_revision is None
