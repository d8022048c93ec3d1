"""What can go wrong, as a short tree. The docstring of each class is its sentence.

Every error has a stable `code`, which clients may branch on, and may name the `fields` at fault.
The HTTP status of each error is in `http.errors`.
"""

from typing import ClassVar


class UserkeepError(Exception):
    """The request could not be carried out."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *fields: str) -> None:
        self.detail: str = detail or str(type(self).__doc__)
        self.fields = fields
        super().__init__(self.detail)


class BadRequest(UserkeepError):
    """The request could not be read."""

    code = "bad_request"


class InvalidField(UserkeepError):
    """A field has a value that it cannot have."""

    code = "invalid_field"


class Unauthenticated(UserkeepError):
    """A key is needed."""

    code = "unauthenticated"


class Forbidden(UserkeepError):
    """This is not allowed."""

    code = "forbidden"


class NotFound(UserkeepError):
    """There is nothing under this address."""

    code = "not_found"


class AlreadyExists(UserkeepError):
    """There is one already."""

    code = "already_exists"


class IdempotencyMismatch(UserkeepError):
    """This Idempotency-Key was used with another request; choose a new key for a new request."""

    code = "idempotency_mismatch"


class Conflict(UserkeepError):
    """The state of the resource does not allow this."""

    code = "conflict"


class Gone(UserkeepError):
    """It is being deleted, or was deleted."""

    code = "gone"


class RevisionMismatch(UserkeepError):
    """The resource has changed since you read it: read it again, then decide."""

    code = "revision_mismatch"


class TooLarge(UserkeepError):
    """The body is too large."""

    code = "too_large"


class Unavailable(UserkeepError):
    """The database cannot take this request now; try again in a moment."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 1


class NotImplementedHere(UserkeepError):
    """This part of the interface is not served by this version."""

    code = "not_implemented"


class StorageError(UserkeepError):
    """The database cannot be opened."""

    code = "storage"
