"""Send the head and the body of a response in one write.

Uvicorn writes them separately. Each write is a system call that wakes the client; for a small
response it costs as much as the query.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_JOINED_BYTES = 64 * 1024


class CoalescingProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, on a transport that joins the writes of one loop iteration."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the transport of a new connection."""
        super().connection_made(transport)
        coalescing = _CoalescingTransport(transport, self.loop)
        self.transport = cast("asyncio.Transport", coalescing)


class _CoalescingTransport:
    """A transport that buffers writes until the end of the loop iteration."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffer: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._buffer:
            self._loop.call_soon(self._flush)
        self._buffer.append(data)

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._buffer.clear()
        self._transport.abort()

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, []
        if not buffer or self._transport.is_closing():
            # What is left when the client resets the connection cannot be sent any more.
            return
        if len(buffer[-1]) > _MAX_JOINED_BYTES:
            self._transport.writelines(buffer)  # without a second copy of a large body
        else:
            self._transport.write(b"".join(buffer))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
