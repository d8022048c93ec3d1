"""Errors of a server's response, errors of the connection to a server, and a warning."""

import msgspec

from userkeep.domain import errors
from userkeep.domain.errors import UserkeepError


class ConnectionFailed(UserkeepError):
    """The server could not be reached, or the connection broke before its response."""

    code = "connection_failed"


class NotSent(ConnectionFailed):
    """The server could not be reached: the request was not sent."""


class TimedOut(ConnectionFailed):
    """The server did not respond in time. It may have performed the request, or may do so later."""

    code = "timed_out"


class UnexpectedAnswer(UserkeepError):
    """The response is not from a Userkeep server, or from one of another version."""

    code = "unexpected_answer"


class ServerError(UserkeepError):
    """The server returned an error for which this version of the SDK has no class."""

    def __init__(self, code: str, detail: str, *fields: str, status: int | None = None) -> None:
        super().__init__(detail, *fields)
        self.code = code  # type: ignore[misc]
        self.status = status


class UnauthenticatedServerWarning(UserWarning):
    """The server has no API keys, and does not check the one that the client sends."""


class _Problem(msgspec.Struct):
    code: str
    detail: str
    fields: list[str] = []


def parse_error(status: int, body: bytes, proxy: str = "") -> UserkeepError:
    """Return the error that a response means.

    Args:
        status: the status, which is not a success.
        body: `application/problem+json` of a Userkeep server, or the body of a proxy before it.
        proxy: which forward proxy the response came through, in words; empty if through none.
    """
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _proxy_error(status, proxy)
    kind = _CLASSES.get(problem.code)
    if kind is None:
        return ServerError(problem.code, problem.detail, *problem.fields, status=status)
    return kind(problem.detail, *problem.fields)


def _proxy_error(status: int, proxy: str) -> UserkeepError:
    received = f"HTTP {status}, not from a Userkeep server"
    kind = _CLASSES_OF_STATUS.get(status, UnexpectedAnswer)
    if proxy:
        error = kind(
            f"The response was {received}, and came through {proxy}. Check the URL and the proxy, "
            "or name the host in NO_PROXY to connect without it."
        )
    elif kind is UnexpectedAnswer:
        error = kind(f"The response was {received}. Check the URL.")
    else:
        error = kind(f"The response was {received}, but from a proxy before it.")
    error.status = status
    return error


_CLASSES: dict[str, type[UserkeepError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, UserkeepError)
}

# Errors of proxies and load balancers.
_CLASSES_OF_STATUS: dict[int, type[UserkeepError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    413: errors.TooLarge,
    429: errors.RateLimited,
    502: ConnectionFailed,
    503: errors.Unavailable,
    504: ConnectionFailed,
}
