"""A call of a native operation, whichever way it came in."""

from collections.abc import Callable
from typing import Any

import msgspec

from userkeep.domain.transaction import Transaction


class Call(msgspec.Struct, kw_only=True):
    """What a caller sends.

    Attributes:
        ids: the ids in the path, by name.
        query, body: of the operation's types, or None where it has none.
        if_revision: the revision that a change was made to.
        idempotency_key: makes a POST safe to send again; `request` is what is compared then.
    """

    ids: dict[str, str]
    query: Any = None
    body: Any = None
    if_revision: int | None = None
    idempotency_key: str | None = None
    request: bytes = b""


class ReplayedResponse(msgspec.Struct):
    """The response to an earlier request with the same Idempotency-Key, sent again."""

    value: Any


Handler = Callable[[Transaction, Call], Any]
