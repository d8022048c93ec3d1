"""Compression of responses with gzip, for clients that accept it.

Level 1 is used: of JSON it leaves a sixth to a third, and higher levels take two to five times as
long for a tenth less. A large body is compressed in a thread.

The ETag stays as it is, because it is the revision, for If-Match. No response with data is cached.
"""

import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from functools import lru_cache

from starlette.responses import Response, StreamingResponse

from userkeep.domain.errors import Unavailable
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import RawHeaders, RawResponse

MIN_BYTES = 1024
"""A shorter body gains less than a packet of the network."""

INLINE_BYTES = 64 * 1024
"""Compressing so much takes 0.3 ms *(measured)*, on the event loop; more is done in a thread."""

_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_COMPRESSIBLE = (b"application/json", b"application/problem+json", b"text/")
_ADDED: RawHeaders = ((b"content-encoding", b"gzip"),)
_VARIES_BY = b"Accept-Encoding"
_LENGTH = b"content-length"
_WEIGHT = re.compile(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


class Compressor:
    """Compresses responses.

    Args:
        compute: the threads in which large bodies are compressed.
    """

    def __init__(self, compute: ComputeThreads) -> None:
        self._compute = compute

    async def compress(self, response: Response, request: Request) -> None:
        """Compress the body of a response in place, if it is long and the client accepts gzip."""
        if isinstance(response, RawResponse):
            if len(response.body) < MIN_BYTES:
                return
        elif not isinstance(response, StreamingResponse):
            return
        headers = response.raw_headers
        if not _is_compressible(headers):
            return
        _add_vary(headers)
        if not accepts_gzip(request.headers.get(b"accept-encoding", b"")):
            return
        if isinstance(response, StreamingResponse):
            response.body_iterator = self._pieces(response.body_iterator)
        else:
            response.body = await self._run(_gzip, bytes(response.body))
            length = (_LENGTH, b"%d" % len(response.body))
            headers[:] = [length if each[0] == _LENGTH else each for each in headers]
        headers.extend(_ADDED)

    async def _pieces(
        self, pieces: AsyncIterable[str | bytes | memoryview]
    ) -> AsyncIterator[bytes]:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        async for piece in pieces:
            body = piece.encode() if isinstance(piece, str) else bytes(piece)
            if compressed := await self._run(compressor.compress, body):
                yield compressed
        yield compressor.flush()

    async def _run(self, function: Callable[[bytes], bytes], body: bytes) -> bytes:
        if len(body) <= INLINE_BYTES:
            return function(body)
        try:
            return await self._compute.run(function, body)
        except Unavailable:  # the request was performed; its response must not be lost
            return function(body)


@lru_cache(256)
def accepts_gzip(accepted: bytes) -> bool:
    """Return whether a client accepts gzip, and does not prefer the body as it is.

    Args:
        accepted: its Accept-Encoding header.
    """
    if not accepted:
        return False
    weights = dict(map(_weight, accepted.decode("latin-1").lower().split(",")))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(part: str) -> tuple[str, float]:
    """Return a coding and its weight; a weight that is invalid counts as 0."""
    coding, *parameters = (each.strip() for each in part.split(";"))
    if not parameters:
        return coding, 1.0
    found = _WEIGHT.fullmatch(parameters[0].replace(" ", ""))
    return coding, float(found[1]) if found else 0.0


def _add_vary(headers: list[tuple[bytes, bytes]]) -> None:
    others = [value for name, value in headers if name == b"vary"]
    headers[:] = [each for each in headers if each[0] != b"vary"]
    headers.append((b"vary", b", ".join((*others, _VARIES_BY))))


def _is_compressible(headers: list[tuple[bytes, bytes]]) -> bool:
    values = dict(headers)
    kind = values.get(b"content-type", b"")
    return kind.startswith(_COMPRESSIBLE) and b"content-encoding" not in values


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()
