"""Long JSON arrays, sent in batches: each is read and encoded in one thread, and then sent.

A list without a limit may have any number of rows, so it is never in memory as a whole. The next
batch is read when the client has taken the one before.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from userkeep.http.responses import RawResponse, stream_json

BATCH_SIZE = 1_000
"""How many rows are read at a time."""

MAX_BOUNDED = 100
"""How many rows a read that counts as bounded has at most."""

_encode = msgspec.json.Encoder().encode


class Batch(NamedTuple):
    """A part of an array.

    Attributes:
        json: its items, encoded, separated by commas.
        size: how many items it has.
        last: the number of the last row, after which the next batch begins.
        is_last: whether no batch follows.
    """

    json: bytes
    size: int
    last: int
    is_last: bool


def make_batch(items: Sequence[Any], last: int, *, is_last: bool) -> Batch:
    """Encode a part of an array."""
    return Batch(_encode(items)[1:-1], len(items), last, is_last or not items)


ReadNext = Callable[[int, int], Awaitable[Batch]]
"""Reads the batch after the row `last`, when `count` items were sent."""

Finish = Callable[[int, int], bytes]
"""Makes what follows the array, of the number of its items and the number of the last row."""


async def array_response(opening: bytes, read: ReadNext, after: int, finish: Finish) -> Response:
    """Return a response of one array: in one piece if it has one batch, else as a stream.

    Args:
        opening: what precedes the items.
        read: reads a batch.
        after: the number of the row after which the array begins.
        finish: called when all items are read.
    """
    first = await read(after, 0)
    if first.is_last:
        last = first.last if first.size else after
        return RawResponse(opening + first.json + finish(first.size, last))
    return stream_json(_stream(opening, first, read, finish))


async def _stream(
    opening: bytes, batch: Batch, read: ReadNext, finish: Finish
) -> AsyncIterator[bytes]:
    yield opening + batch.json
    count, last = batch.size, batch.last
    while not batch.is_last:
        batch = await read(last, count)
        if batch.size:
            count, last = count + batch.size, batch.last
            yield b"," + batch.json
    yield finish(count, last)
