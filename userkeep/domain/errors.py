"""The errors, as a short tree. The docstring of each class is its default message.

Every error has a stable `code`, which clients may branch on, and may name the invalid `fields`. The
HTTP statuses of errors are in `http.errors`.
"""

from typing import ClassVar

_LONGEST_DETAIL = 2_000
_LONGEST_FIELD = 500


def _short(text: str, limit: int) -> str:
    """Cut a text that repeats what a client has sent, which may be megabytes."""
    return text if len(text) <= limit else f"{text[:limit]}…"


class UserkeepError(Exception):
    """The request could not be performed."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *fields: str) -> None:
        self.detail: str = _short(detail, _LONGEST_DETAIL) or str(type(self).__doc__)
        self.fields = tuple(_short(field, _LONGEST_FIELD) for field in fields)
        super().__init__(self.detail)


class BadRequest(UserkeepError):
    """The request could not be read."""

    code = "bad_request"


class InvalidField(UserkeepError):
    """A field has an invalid value."""

    code = "invalid_field"


class Unauthenticated(UserkeepError):
    """An API key is required."""

    code = "unauthenticated"


class RateLimited(UserkeepError):
    """Too many requests. Retry in a moment."""

    code = "rate_limited"
    retry_after_s: int = 1


class Forbidden(UserkeepError):
    """This is not allowed."""

    code = "forbidden"


class QuotaExceeded(UserkeepError):
    """The user would have more than the project allows. Delete something, or raise the quota."""

    code = "quota_exceeded"


class NotFound(UserkeepError):
    """The resource does not exist."""

    code = "not_found"


class AlreadyExists(UserkeepError):
    """The resource already exists."""

    code = "already_exists"


class IdempotencyMismatch(UserkeepError):
    """This Idempotency-Key was used with another request; use a new key for a new request."""

    code = "idempotency_mismatch"


class Conflict(UserkeepError):
    """The state of the resource does not allow this."""

    code = "conflict"


class Gone(UserkeepError):
    """The resource is being deleted, or was deleted."""

    code = "gone"


class RevisionMismatch(UserkeepError):
    """The resource has changed since you read it. Read it again, then retry."""

    code = "revision_mismatch"


class TooLarge(UserkeepError):
    """The body is too large."""

    code = "too_large"


class Unavailable(UserkeepError):
    """The database cannot perform this request now; retry."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 1


class NotImplementedHere(UserkeepError):
    """This version does not implement this part of the API."""

    code = "not_implemented"


class StorageError(UserkeepError):
    """The database cannot be opened."""

    code = "storage"
