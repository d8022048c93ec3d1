"""Idempotency: perform a request with an Idempotency-Key once, and replay its repetitions."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from userkeep.domain.errors import Gone, NotFound, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import Call, ReplayedResponse
from userkeep.services import idempotency
from userkeep.services.idempotency import IdempotencyRecord

T = TypeVar("T")


class IdempotentHandler(Generic[T]):
    """A handler whose call is performed once for each Idempotency-Key."""

    def __init__(
        self,
        handle: Callable[[Transaction, Call], T],
        *,
        record: Callable[[T], IdempotencyRecord],
        replay: Callable[[Transaction, Call, IdempotencyRecord], T],
    ) -> None:
        """Make a handler idempotent.

        Args:
            handle: performs the call.
            record: returns what to store of the result.
            replay: returns the result again, from what was stored.
        """
        self._handle = handle
        self._record = record
        self._replay = replay

    def __call__(self, tx: Transaction, call: Call) -> Any:
        """Perform a call, or replay it where its key was used before.

        Raises:
            IdempotencyMismatch: the key was used with another request.
            Gone: what the first request created has been deleted.
        """
        key = call.idempotency_key
        if key is None:
            return self._handle(tx, call)
        known = idempotency.find(tx, key, call.request_hash)
        if known is not None:
            return ReplayedResponse(self._replayed(tx, call, known))
        return self._perform(tx, call, key, call.request_hash)

    def _perform(self, tx: Transaction, call: Call, key: str, request_hash: str) -> T:
        try:
            result = self._handle(tx, call)
        except UserkeepError:
            # It may have failed because the same request has just succeeded on another connection.
            # The key is stored by then: storing it again fails, and the engine runs all of this
            # again.
            idempotency.add(tx, key, IdempotencyRecord(request_hash=request_hash))
            idempotency.find(tx, key, request_hash)
            raise
        record = self._record(result)
        record.request_hash = request_hash
        idempotency.add(tx, key, record)
        return result

    def _replayed(self, tx: Transaction, call: Call, record: IdempotencyRecord) -> T:
        if record.is_of_deleted:
            raise gone()
        try:
            return self._replay(tx, call, record)
        except NotFound as error:
            raise gone() from error


def gone() -> Gone:
    """Return the error for a repeated request whose result was deleted in the meantime."""
    return Gone("The result of the first request with this Idempotency-Key was deleted.")
