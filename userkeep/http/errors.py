"""The HTTP status of each error. Its sentence is written where the error is raised."""

from userkeep.domain import errors


class MethodNotAllowed(errors.UserkeepError):
    """This path does not support the method. The Allow header lists those it supports."""

    code = "method_not_allowed"


NO_SUCH_PATH = "This path does not exist. See /docs for the paths of the API."

FAULT = "Internal server error. The server has logged the details."
"""What clients see of an unexpected exception."""

STATUS_OF_CODE: dict[str, int] = {
    errors.BadRequest.code: 400,
    errors.Unauthenticated.code: 401,
    errors.Forbidden.code: 403,
    errors.QuotaExceeded.code: 403,
    errors.NotFound.code: 404,
    MethodNotAllowed.code: 405,
    errors.AlreadyExists.code: 409,
    errors.IdempotencyMismatch.code: 409,
    errors.Conflict.code: 409,
    errors.Gone.code: 410,
    errors.RevisionMismatch.code: 412,
    errors.TooLarge.code: 413,
    errors.InvalidField.code: 422,
    errors.RateLimited.code: 429,
    errors.NotImplementedHere.code: 501,
    errors.StorageError.code: 503,
    errors.Unavailable.code: 503,
}


def status_of(error: errors.UserkeepError) -> int:
    """Return the HTTP status of an error; 500 for a code that is not in the table."""
    return STATUS_OF_CODE.get(error.code, 500)


def headers_of(error: errors.UserkeepError) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an error: when to retry, or how to authenticate (RFC 6750)."""
    if isinstance(error, errors.Unavailable | errors.RateLimited):
        return ((b"retry-after", b"%d" % error.retry_after_s),)
    if isinstance(error, errors.Unauthenticated):
        return ((b"www-authenticate", b"Bearer"),)
    return ()
