"""Calls of operations, and what handlers return: values, replayed responses and started jobs."""

from collections.abc import Callable
from typing import Any

import msgspec

from userkeep.api.operation import APIOperation
from userkeep.api.users import ListUsers
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction
from userkeep.jobs.job import Job

INLINE_BYTES = 16 * 1024
"""A body up to this size is parsed and prepared on an event loop: that takes a few milliseconds at
most, and for most of it less than to wake a thread."""


class Call(msgspec.Struct, kw_only=True):
    """A parsed call of an operation.

    Attributes:
        scope: the scope in which it runs.
        ids: the ids in the path, by name.
        query, body: values of the operation's types, or None if it has none.
        if_revision: the revision that an update expects.
        idempotency_key: the Idempotency-Key of a POST.
        request_hash: the keyed hash of the request, to compare with others with the same key.
        prepared: what the operation's `Prepare` made of the body.
    """

    scope: Scope
    ids: dict[str, str]
    query: Any = None
    body: Any = None
    if_revision: int | None = None
    idempotency_key: str | None = None
    request_hash: str = ""
    prepared: Any = None

    @property
    def needs_user_words(self) -> bool:
        """Whether it is faster if the instance keeps the words of users.

        Raises:
            InvalidField: the words to find are invalid.
        """
        return isinstance(self.query, ListUsers) and self.query.needs_user_words

    def is_bounded(self, operation: APIOperation) -> bool:
        """Return whether an index and a small page limit the work of this call."""
        return operation.is_bounded and (self.query is None or self.query.is_bounded)


class ReplayedResponse(msgspec.Struct):
    """The response to an earlier request with the same Idempotency-Key, sent again."""

    value: Any


class StartedJob(msgspec.Struct):
    """A job that a handler has started.

    Attributes:
        job: the job.
        location: the address of the resource that shows it; None if none does.
        resource: gives that resource for the job as it is later.
    """

    job: Job
    location: str | None
    resource: Callable[[Any], Any]


Handler = Callable[[Transaction, Call], Any]

Prepare = Callable[[Rules, Call], Any]
"""Computes, before the transaction, whatever takes longer the larger the body is: it would delay
others in the writer's transaction. What it returns is `Call.prepared`."""
