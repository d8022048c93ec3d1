"""Errors in responses: the status and the headers. The sentence is written where one is raised."""

from userkeep.domain import errors


class MethodNotAllowed(errors.UserkeepError):
    """This path does not support the method. The Allow header lists those it supports."""

    code = "method_not_allowed"
    status = 405


NO_SUCH_PATH = "This path does not exist. See /docs for the paths of the API."

FAULT = "Internal server error. The server has logged the details."
"""What clients see of an unexpected exception."""

STATUS_OF_CODE: dict[str, int] = {
    kind.code: kind.status
    for kind in (MethodNotAllowed, *vars(errors).values())
    if isinstance(kind, type) and issubclass(kind, errors.UserkeepError) and kind.status
}
"""The status of each code that a server returns, but for unexpected errors."""


def status_of(error: errors.UserkeepError) -> int:
    """Return the HTTP status of an error; 500 for one that has none."""
    return error.status or 500


def headers_of(error: errors.UserkeepError) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an error: when to retry, or how to authenticate (RFC 6750)."""
    if isinstance(error, errors.Unavailable | errors.RateLimited):
        return ((b"retry-after", b"%d" % error.retry_after_s),)
    if isinstance(error, errors.Unauthenticated):
        return ((b"www-authenticate", b"Bearer"),)
    return ()
