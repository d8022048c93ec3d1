"""The description of an operation of the native API."""

from typing import Any, Literal

import msgspec

from userkeep.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    IdempotencyMismatch,
    InvalidField,
    NotFound,
    RateLimited,
    RevisionMismatch,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UserkeepError,
)
from userkeep.domain.key import Permission

ERRORS_OF_ALL: frozenset[type[UserkeepError]] = frozenset(
    (BadRequest, Unauthenticated, Forbidden, Gone, InvalidField, RateLimited, Unavailable)
)
"""Those of every operation. `Gone`: its project is being deleted, or what its path names."""


class APIOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the native API.

    Attributes:
        name: noun and verb. Its handler is found by this name.
        method, path: of the HTTP request. `{names}` in the path are ids: any text.
        summary, description: for the documentation: a title, and what else a reader needs.
        does: `read`, `write`, or `job`: starts work that may outlive the response. A job is a
            resource: 200 if it is finished within 5 s, else 202 with its `Location`.
        scope: the scope that a key must have for it.
        is_for_users: whether a key that is bound to a user may call it.
        is_about_instance: whether it is about more than the caller's project: its handler binds
            the transaction to a project itself.
        returns_secret: whether its response has a secret, which is never stored: so it cannot be
            replayed.
        response: the type of the response body.
        body, query: the types of the request body and of the query parameters, if it has any.
        status: the HTTP status of success.
        is_conditional: whether the request can carry `If-Match` with a revision.
        errors: those of its own, besides what its path, body and headers imply (see `all_errors`).
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    description: str = ""
    does: Literal["read", "write", "job"]
    scope: Permission
    is_for_users: bool = False
    is_about_instance: bool = False
    returns_secret: bool = False
    response: Any
    body: Any = None
    query: Any = None
    status: int = 200
    is_conditional: bool = False
    errors: tuple[type[UserkeepError], ...] = ()

    @property
    def all_errors(self) -> tuple[type[UserkeepError], ...]:
        """The errors with which a correct client must reckon, by their statuses."""
        implied: list[tuple[bool, type[UserkeepError]]] = [
            ("{" in self.path, NotFound),
            (self.is_idempotent_by_key, IdempotencyMismatch),
            (self.is_conditional, RevisionMismatch),
            (self.body is not None, TooLarge),
        ]
        own = {*self.errors, *(error for is_implied, error in implied if is_implied)}
        return tuple(sorted(own | ERRORS_OF_ALL, key=lambda error: (error.status or 0, error.code)))

    @property
    def noun(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]

    @property
    def is_about_owned(self) -> bool:
        """Whether its path names a session or a document; then its `user_id` says whose."""
        return "{session_id}" in self.path or "{document_id}" in self.path

    @property
    def is_idempotent_by_key(self) -> bool:
        """Whether a request with an `Idempotency-Key` can be retried safely."""
        return self.method == "POST" and self.does == "write" and not self.returns_secret

    @property
    def is_bounded(self) -> bool:
        """Whether an index and a small page limit the work of a call, unless by its query."""
        return self.body is None or self.does != "read"
