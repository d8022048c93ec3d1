"""One table turns errors into HTTP: statuses here, sentences where the errors are raised."""

from userkeep.domain import errors


class MethodNotAllowed(errors.UserkeepError):
    """This method is not understood here; see the Allow header."""

    code = "method_not_allowed"


FAULT = "Something went wrong in the server; it is logged."
"""What a client sees of an error that is the server's own."""

STATUS_OF_CODE: dict[str, int] = {
    errors.BadRequest.code: 400,
    errors.Unauthenticated.code: 401,
    errors.Forbidden.code: 403,
    errors.NotFound.code: 404,
    MethodNotAllowed.code: 405,
    errors.AlreadyExists.code: 409,
    errors.IdempotencyMismatch.code: 409,
    errors.Conflict.code: 409,
    errors.Gone.code: 410,
    errors.RevisionMismatch.code: 412,
    errors.TooLarge.code: 413,
    errors.InvalidField.code: 422,
    errors.NotImplementedHere.code: 501,
    errors.StorageError.code: 503,
    errors.Unavailable.code: 503,
}


def status_of(error: errors.UserkeepError) -> int:
    """The HTTP status of an error; what the table does not know is our own fault: 500."""
    return STATUS_OF_CODE.get(error.code, 500)


def retry_after(error: errors.UserkeepError) -> tuple[tuple[bytes, bytes], ...]:
    """The header that tells a client when to come again, where that helps."""
    if isinstance(error, errors.Unavailable):
        return ((b"retry-after", b"%d" % error.retry_after_s),)
    return ()
