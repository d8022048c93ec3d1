"""Idempotency: a POST with a key is performed once, and answered every time."""

from collections.abc import Callable
from typing import TypeVar

from userkeep.domain.errors import Gone, NotFound, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import Call, Replayed
from userkeep.services import idempotency
from userkeep.services.idempotency import Made

T = TypeVar("T")


def once(
    tx: Transaction,
    call: Call,
    *,
    perform: Callable[[], T],
    made: Callable[[T], Made],
    again: Callable[[Made], T],
) -> T | Replayed:
    """Perform a call, or answer it again where its key has come before.

    Args:
        perform: does it.
        made: what to remember of the result.
        again: renders the result from what was remembered.

    Raises:
        IdempotencyMismatch: the key was used with another request.
        Gone: what was made is not there any more.
    """
    key = call.idempotency_key
    if key is None:
        return perform()
    request_hash = tx.scope.rules.request_hash(call.request)
    known = idempotency.find(tx, key, request_hash)
    if known is not None:
        return Replayed(_still_there(known, again))
    try:
        result = perform()
    except UserkeepError:
        # Refused, perhaps, for what a twin of this request has just made on another connection. Its
        # key is there by now: to write it too fails, and the engine runs all of this again.
        idempotency.remember(tx, key, Made(request_hash=request_hash))
        idempotency.find(tx, key, request_hash)
        raise
    remembered = made(result)
    remembered.request_hash = request_hash
    idempotency.remember(tx, key, remembered)
    return result


def gone() -> Gone:
    """What an earlier request made has been deleted since."""
    return Gone("What the first request with this Idempotency-Key made has been deleted since.")


def _still_there(known: Made, again: Callable[[Made], T]) -> T:
    try:
        return again(known)
    except NotFound as error:
        raise gone() from error
