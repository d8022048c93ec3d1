"""From a server's problem to the error it names, and what can go wrong on the way to a server."""

import msgspec

from userkeep.domain import errors
from userkeep.domain.errors import UserkeepError


class RateLimited(UserkeepError):
    """Too many requests; try again in a moment."""

    code = "rate_limited"


class ConnectionFailed(UserkeepError):
    """The server could not be reached, or the connection broke before it had answered."""

    code = "connection_failed"


class NotSent(ConnectionFailed):
    """The server could not be reached: nothing has happened."""


class TimedOut(ConnectionFailed):
    """The server did not answer in time. What was asked for may have happened, or happen yet."""

    code = "timed_out"


class UnexpectedAnswer(UserkeepError):
    """What answered is not a Userkeep server, or one of another version."""

    code = "unexpected_answer"


class ServerError(UserkeepError):
    """The server could not do it, for a reason that this version of the SDK has no class for."""

    def __init__(self, code: str, detail: str, *fields: str) -> None:
        super().__init__(detail, *fields)
        self.code = code  # type: ignore[misc]


class _Problem(msgspec.Struct):
    code: str
    detail: str
    fields: list[str] = []


def error_of(status: int, body: bytes) -> UserkeepError:
    """The error that an answer means.

    Args:
        status: of an answer that is no success.
        body: `application/problem+json`, if it is a Userkeep server's, and not of something that
            stands before it.
    """
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _of_another(status)
    kind = _CLASSES.get(problem.code)
    if kind is None:
        return ServerError(problem.code, problem.detail, *problem.fields)
    return kind(problem.detail, *problem.fields)


def _of_another(status: int) -> UserkeepError:
    said = f"The answer was HTTP {status}, and not one of Userkeep's"
    kind = _CLASSES_OF_STATUS.get(status)
    if kind is None:
        return UnexpectedAnswer(f"{said}; is the URL right?")
    return kind(f"{said}: something before the server has given it.")


_CLASSES: dict[str, type[UserkeepError]] = {
    kind.code: kind
    for kind in (*vars(errors).values(), RateLimited)
    if isinstance(kind, type) and issubclass(kind, UserkeepError)
}

# What proxies and load balancers say for themselves.
_CLASSES_OF_STATUS: dict[int, type[UserkeepError]] = {
    413: errors.TooLarge,
    429: RateLimited,
    502: ConnectionFailed,
    503: errors.Unavailable,
    504: ConnectionFailed,
}
