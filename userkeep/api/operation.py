"""What one operation of the native API is."""

from typing import Any, Literal

import msgspec


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        name: noun and verb; the function that performs it has the same name.
        method, path: where it is on HTTP; `{names}` in the path are ids, any text.
        summary, description: for readers: a title, and what else they should know.
        does: `read`s, `write`s, starts a `job` (a resource that may outlive the response),
            or `verify`s (reads all there is, which may take minutes).
        response: the type of what comes back, with `status` where it went well.
        body, query: the types of what is sent.
        status: of success on HTTP.
        is_conditional: whether `If-Match` with a revision is understood.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    description: str = ""
    does: Literal["read", "write", "job", "verify"]
    response: Any
    body: Any = None
    query: Any = None
    status: int = 200
    is_conditional: bool = False

    @property
    def noun(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]

    @property
    def is_idempotent_by_key(self) -> bool:
        """Whether an `Idempotency-Key` makes it safe to send again."""
        return self.method == "POST" and self.does == "write"

    @property
    def is_bounded(self) -> bool:
        """Whether every call is bounded by an index and a small page, if its query says no more."""
        return self.body is None or self.does != "read"
