"""The errors, as a short tree. The docstring of each class is its default message.

Every error has a stable `code`, which clients may branch on, the HTTP status of a response with it,
and may name the invalid `fields`.
"""

from typing import ClassVar

_LONGEST_DETAIL = 2_000
_LONGEST_FIELD = 500


def _short(text: str, limit: int) -> str:
    """Cut a text that repeats what a client has sent, which may be megabytes."""
    return text if len(text) <= limit else f"{text[:limit]}…"


class UserkeepError(Exception):
    """The request could not be performed.

    Attributes:
        code: stable; programs can rely on it.
        status: the HTTP status of a response with this error; None if there is no response.
        detail: what is wrong, in a sentence for people.
        fields: the invalid fields, such as messages[3].content.
    """

    code: ClassVar[str] = "internal"
    status: int | None = None

    def __init__(self, detail: str = "", *fields: str) -> None:
        self.detail: str = _short(detail, _LONGEST_DETAIL) or type(self).default_detail()
        self.fields = tuple(_short(field, _LONGEST_FIELD) for field in fields)
        super().__init__(self.detail)

    @classmethod
    def default_detail(cls) -> str:
        """Return the first line of the docstring."""
        return str(cls.__doc__).partition("\n")[0]


class BadRequest(UserkeepError):
    """The request could not be read."""

    code = "bad_request"
    status = 400


class InvalidField(UserkeepError):
    """A field has an invalid value."""

    code = "invalid_field"
    status = 422


class Unauthenticated(UserkeepError):
    """An API key is required."""

    code = "unauthenticated"
    status = 401


class RateLimited(UserkeepError):
    """Too many requests. Retry in a moment."""

    code = "rate_limited"
    status = 429
    retry_after_s: int = 1


class Forbidden(UserkeepError):
    """This is not allowed."""

    code = "forbidden"
    status = 403


class QuotaExceeded(UserkeepError):
    """The user would have more than the project allows. Delete something, or raise the quota."""

    code = "quota_exceeded"
    status = 403


class NotFound(UserkeepError):
    """The resource does not exist."""

    code = "not_found"
    status = 404


class AlreadyExists(UserkeepError):
    """The resource already exists."""

    code = "already_exists"
    status = 409


class IdempotencyMismatch(UserkeepError):
    """This Idempotency-Key was used with another request; use a new key for a new request."""

    code = "idempotency_mismatch"
    status = 409


class Conflict(UserkeepError):
    """The state of the resource does not allow this."""

    code = "conflict"
    status = 409


class Gone(UserkeepError):
    """The resource is being deleted, or was deleted."""

    code = "gone"
    status = 410


class RevisionMismatch(UserkeepError):
    """The resource has changed since you read it. Read it again, then retry."""

    code = "revision_mismatch"
    status = 412


class TooLarge(UserkeepError):
    """The body is too large."""

    code = "too_large"
    status = 413


class Unavailable(UserkeepError):
    """The database cannot perform this request now; retry."""

    code = "unavailable"
    status = 503
    retry_after_s: ClassVar[int] = 1


class StorageError(UserkeepError):
    """The database cannot be opened."""

    code = "storage"
    status = 503
