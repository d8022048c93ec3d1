"""What can go wrong, as a short tree. The docstring of each class is its sentence.

Every error has a stable `code`, which clients may branch on, and may name the `fields` at fault.
Which HTTP status each becomes is not said here: doors have a table for that.
"""

from typing import ClassVar


class RecollectError(Exception):
    """The request could not be carried out."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *fields: str) -> None:
        self.detail: str = detail or str(type(self).__doc__)
        self.fields = fields
        super().__init__(self.detail)


class BadRequest(RecollectError):
    """The request could not be read."""

    code = "bad_request"


class InvalidField(RecollectError):
    """A field has a value that it cannot have."""

    code = "invalid_field"


class Unauthenticated(RecollectError):
    """A key is needed."""

    code = "unauthenticated"


class Forbidden(RecollectError):
    """This is not allowed."""

    code = "forbidden"


class NotFound(RecollectError):
    """There is nothing under this address."""

    code = "not_found"


class AlreadyExists(RecollectError):
    """There is one already."""

    code = "already_exists"


class IdempotencyMismatch(RecollectError):
    """This Idempotency-Key was used with another request; choose a new key for a new request."""

    code = "idempotency_mismatch"


class Conflict(RecollectError):
    """The state of the resource does not allow this."""

    code = "conflict"


class Gone(RecollectError):
    """It is being erased, or was erased."""

    code = "gone"


class RevisionMismatch(RecollectError):
    """The resource has changed since you read it: read it again, then decide."""

    code = "revision_mismatch"


class TooLarge(RecollectError):
    """The body is too large."""

    code = "too_large"


class Unavailable(RecollectError):
    """The database cannot take this request now; try again in a moment."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 1


class NotImplementedHere(RecollectError):
    """This part of the interface is not served by this version."""

    code = "not_implemented"


class StorageError(RecollectError):
    """The database cannot be opened."""

    code = "storage"
