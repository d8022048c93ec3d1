"""HTTP/1.1 on one connection, with limits for what a client sends and for how slow it is.

Uvicorn's protocol has no limits: neither for the head of a request, its trailers and the requests
that a client sends ahead of responses, nor for the time that a client takes. This one parses one
request at a time: the next one waits, unparsed, until the response to the one before it is written.
"""

import asyncio
import socket
import struct
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from userkeep.domain.errors import BadRequest, TooLarge, Unavailable, UserkeepError
from userkeep.http.coalescing import CoalescingProtocol
from userkeep.http.connections import Connections
from userkeep.http.limits import (
    LEAST_PROGRESS_BYTES,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
)
from userkeep.http.request_log import REQUEST_ID_HEADER, RequestFields, log_request, request_id_of
from userkeep.http.responses import problem_response

_EMPTY_LINE = b"\r\n\r\n"
"""The end of a head, and of a chunked body with its trailers."""
_SLASH = ord("/")

_CHUNKED_PIECE_BYTES = 1024
_TURN_BYTES = 64 * 1024
_TURN_CHUNKS = 200
_MAX_WAITING_BYTES = 16 * 1024
_MAX_DISCARDED_BYTES = 256 * 1024

_RESET = struct.pack("ii", 1, 0)
_INVALID = "The request is not valid HTTP."
_INTERIM_RESPONSE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServerProtocol(CoalescingProtocol):
    """One connection of a server.

    Args:
        connections: all connections of the server, with their limits.
        given: the arguments of uvicorn's protocol.
    """

    flow: "_Flow"
    cycle: Any  # uvicorn's annotation leaves out that it is None before the first request

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self.active_at = connections.now
        self.url = b""
        self._waiting = b""
        self._tail = b""
        self._head_bytes = 0
        self._is_in_body = False
        self._content_length: int | None = None
        self._body_bytes = 0
        self._framing_bytes = 0
        self._chunks = 0
        self._is_half_closed = False
        self._is_surplus = False
        self._is_rejected = False
        self._discarded_bytes = 0
        self._rejection: tuple[int, UserkeepError] | None = None
        self._receiving: _Progress | None = None
        self._sending: _Progress | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start; a connection too many gets 503 for its first request."""
        super().connection_made(transport)
        self.flow = _Flow(self.transport)
        self._is_surplus = not self._connections.add(self, self.loop)
        self.active_at = self._connections.now

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what waits: its client is gone."""
        self._connections.remove(self)
        self._waiting = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what a client has sent, or keep it until the requests before it have responses."""
        if self._is_rejected:
            self._discard(len(data))
            return
        if self._is_surplus:
            self._reject(503, Unavailable("The server has too many connections; retry."))
        elif self._waiting:
            self._wait(self._waiting + data)
        elif self._is_one_head(data):
            self.active_at = self._connections.now
            self._head_bytes = len(data)
            self._feed(data)
        else:
            self._parse(data)

    def _is_one_head(self, data: bytes) -> bool:
        """Return whether this is a whole head, with nothing before or after it: nearly always."""
        return not (
            self._head_bytes
            or self._is_in_body
            or len(data) >= MAX_HEAD_BYTES
            or data.find(_EMPTY_LINE) != len(data) - len(_EMPTY_LINE)
            or self._is_responding
        )

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for a client that sends no more but waits for its response."""
        self._is_half_closed = True
        self._close_if_complete()
        return True

    def _discard(self, size: int) -> None:
        """Read on after an error, so that the client can read the response."""
        self._discarded_bytes += size
        if self._discarded_bytes > _MAX_DISCARDED_BYTES:
            self.abort()

    # Parsing.

    def _parse(self, data: bytes) -> None:
        at, end = 0, len(data)
        self._chunks = 0
        while at < end:
            if self._is_in_body:
                size = self._size_of_body(data, at)
            elif self.cycle is not None and not self.cycle.response_complete:
                break
            else:
                size = self._size_of_head(data, at)
            if not self._feed(data if size == end else data[at : at + size]):
                return
            at += size
            if at < end and (at >= _TURN_BYTES or self._chunks >= _TURN_CHUNKS):
                # Others have their turn before the rest.
                self.loop.call_soon(self._continue)
                break
        is_complete = not self._head_bytes
        self._tail = b"" if is_complete else (self._tail + data[max(at - 3, 0) : at])[-3:]
        if at < end:
            self._wait(data[at:])

    def _size_of_head(self, data: bytes, at: int) -> int:
        """Return how much to parse as the head of a request: up to its end, if that is there."""
        if not self._head_bytes:
            self.active_at = self._connections.now
        size = min(self._size_to_empty_line(data, at, len(data)), MAX_HEAD_BYTES - self._head_bytes)
        self._head_bytes += size
        return size

    def _size_of_body(self, data: bytes, at: int) -> int:
        available = len(data) - at
        if self._content_length is not None:
            return min(available, self._content_length - self._body_bytes)
        size = self._size_to_empty_line(data, at, min(at + _CHUNKED_PIECE_BYTES, len(data)))
        self._framing_bytes += size
        return size

    def _size_to_empty_line(self, data: bytes, at: int, end: int) -> int:
        """Return how much there is up to an empty line, included, or else up to `end`."""
        if at == 0 and self._tail:
            found = (self._tail + data[:3]).find(_EMPTY_LINE)
            if found >= 0:
                return found + len(_EMPTY_LINE) - len(self._tail)
        found = data.find(_EMPTY_LINE, at, end)
        return end - at if found < 0 else found + len(_EMPTY_LINE) - at

    def _feed(self, piece: bytes) -> bool:
        """Parse a piece; return whether the connection can continue."""
        was_in_body = self._is_in_body
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # The request is performed as it is: the server supports no other protocol.
            if upgrade.args[0] != len(piece):
                self._reject(400, BadRequest(_INVALID))  # the parser has dropped what follows
                return False
        except httptools.HttpParserError:
            self._reject(*(self._rejection or (400, BadRequest(_INVALID))))
            return False
        if self._is_in_body:
            if not was_in_body:
                self._start_body()
            elif self._framing_bytes > MAX_FRAMING_BYTES:
                self._reject(400, BadRequest("The chunked body has too long extensions."))
                return False
        elif self._head_bytes >= MAX_HEAD_BYTES:
            self._reject(*self._too_large_head())
            return False
        return True

    def _start_body(self) -> None:
        self.active_at = self._connections.now
        self._content_length = None
        for name, value in self.headers:
            if name == b"content-length":
                self._content_length = int(value)

    def _too_large_head(self) -> tuple[int, UserkeepError]:
        if len(self.url) > MAX_HEAD_BYTES // 2:
            return 414, TooLarge("The URL is too long.")
        return 431, TooLarge(f"The headers are larger than {MAX_HEAD_BYTES // 1024} KiB.")

    def _wait(self, data: bytes) -> None:
        """Keep what cannot be parsed yet, and read no more if it is much."""
        self._waiting = data
        if len(data) > _MAX_WAITING_BYTES:
            self.flow.hold()

    def _continue(self) -> None:
        """Parse what has waited."""
        if self.transport.is_closing() or self._is_rejected:
            return
        data, self._waiting = self._waiting, b""
        self.flow.release()
        self._parse(data)
        if self._is_half_closed:
            self._close_if_complete()

    @property
    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailers are not headers: they are ignored."""
        if self._is_in_body:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers = self.headers
        if len(headers) >= MAX_HEADERS:
            error = TooLarge(f"The request has more than {MAX_HEADERS} headers.")
            self._rejection = 431, error
            raise error
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request."""
        if self.url[0] != _SLASH:
            self._check_authority()
        if self.parser.should_upgrade():
            self._check_no_body()
        self._is_in_body = True
        self._body_bytes = self._framing_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._body_bytes += len(body)
        self._framing_bytes = 0
        self._chunks += 1
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End the request; what follows is the next one."""
        self._is_in_body = False
        self._head_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.more_body = False
        cycle.message_event.set()

    def _check_authority(self) -> None:
        """Check that the host of an absolute URL is the one of the Host header (RFC 9112, 3.2.2).

        Only the header is checked later: two different hosts must not pass as one.
        """
        url = httptools.parse_url(self.url)
        if not url.host:
            return
        authority = b"[%s]" % url.host if b":" in url.host else url.host
        if url.port is not None:
            authority = b"%s:%d" % (authority, url.port)
        named = {_normalized(value) for name, value in self.headers if name == b"host"}
        if url.userinfo or not named <= {_normalized(authority)}:
            error = BadRequest("The URL of the request and its Host header name different hosts.")
            self._rejection = 400, error
            raise error
        self.headers[:] = [(b"host", authority), *(h for h in self.headers if h[0] != b"host")]

    def _check_no_body(self) -> None:
        """Check that a request to upgrade has no body: the parser would read it as a request."""
        for name, value in self.headers:
            if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
                error = BadRequest(
                    "A request with a body cannot upgrade the connection. Send it without an "
                    "Upgrade header."
                )
                self._rejection = 400, error
                raise error

    # Responses.

    def on_response_complete(self) -> None:
        """Start the next request, or wait for it."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.active_at = self._connections.now
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._waiting:
            self.loop.call_soon(self._continue)
        elif self._is_half_closed:
            self._close_if_complete()

    def _close_if_complete(self) -> None:
        """Close a connection on which no more arrives, unless a response is still to be sent."""
        if self._waiting and not self._is_rejected:
            return
        if self._is_responding and not self._is_rejected:
            if not self._is_in_body:
                return
            self.cycle.disconnected = True  # the body was cut off
            self.cycle.message_event.set()
        self.transport.close()

    def _reject(self, status: int, error: UserkeepError) -> None:
        """Send an error for what was received, and end the connection.

        It is read on for a moment. If it were closed, the system would reset it, and a client that
        is still sending would not get to read why.
        """
        self._is_rejected = True
        self._waiting = b""
        self.active_at = self._connections.now
        if self._is_responding:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.abort()
                return
        sent = dict(self.headers or ())
        request_id = request_id_of(sent.get(REQUEST_ID_HEADER))
        response = problem_response(error, request_id, status)
        response.raw_headers.append((REQUEST_ID_HEADER, request_id.encode()))
        if self._connections.origins is not None:
            response.raw_headers += self._connections.origins.headers(self.headers or ())
        head = [STATUS_LINE[status], b"connection: close\r\n"]
        head += [b"%s: %s\r\n" % pair for pair in response.raw_headers]
        self.transport.write(b"".join((*head, b"\r\n", response.body)))
        self._connections.count_rejected(status)
        log_request(RequestFields("", "", status, 0.0, len(response.body), request_id, None))
        if self._is_half_closed:
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.release()

    def shutdown(self) -> None:
        """Close the connection after the response that it waits for."""
        if self._is_rejected:
            self.transport.close()
        else:
            super().shutdown()

    # What the check of all connections calls.

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read of responses, without what the system buffers."""
        size: int = self.transport.get_write_buffer_size()
        return size

    @property
    def is_idle(self) -> bool:
        """Whether it is open without a request and without an unread response."""
        is_waiting = self._head_bytes or self._is_in_body or self._is_responding
        return not is_waiting and not self._is_rejected and not self.unsent_bytes

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.transport.close()

    def abort(self) -> None:
        """Reset the connection, so that the system drops what the client has not read, too."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def check(self, now: float) -> None:
        """End the connection if its client is too slow."""
        unsent = self.unsent_bytes
        if unsent:
            self._check_sending(unsent, now)
            return
        self._sending = None
        if self._is_responding and not self._is_rejected:
            self._check_request(now)
        elif now - self.active_at > self._limit_s:
            self._end()

    @property
    def _limit_s(self) -> float:
        """How long the connection may stay as it is, without a request that is performed."""
        limits = self._connections.limits
        if self._is_rejected or self._is_in_body:  # the client has its response, and sends on
            return limits.linger_s
        return limits.head_s if self._head_bytes or self._is_surplus else limits.keep_alive_s

    def _end(self) -> None:
        if self._is_rejected or self._is_in_body:
            self.abort()
        elif self._head_bytes:
            limits = self._connections.limits
            self._reject(408, BadRequest(_too_late("The request", limits.head_s)))
        else:
            self.transport.close()

    def _check_request(self, now: float) -> None:
        if self._is_in_body:
            self._check_receiving(now)
        elif self._is_half_closed and self._can_send_interim_response:
            # A client that is gone and one that waits for its response look alike until something
            # is sent. An interim response is ignored by the one, and rejected for the other.
            self.transport.write(_INTERIM_RESPONSE)

    @property
    def _can_send_interim_response(self) -> bool:
        is_started = self.cycle.response_started or self.pipeline
        return not is_started and self.scope["http_version"] != "1.0"

    def _check_receiving(self, now: float) -> None:
        if self.flow.read_paused:
            self._receiving = None  # the server does not read at the moment
            return
        if self._receiving is None or self._receiving.of is not self.cycle:
            self._receiving = _Progress(self.cycle, self._body_bytes, now)
        transfer_s = self._connections.limits.transfer_s
        if self._receiving.seconds_without(self._body_bytes, now) > transfer_s:
            self._reject(408, BadRequest(_too_late("The body", transfer_s)))

    def _check_sending(self, unsent: int, now: float) -> None:
        if self._sending is None or self._sending.of is not self.cycle:
            self._sending = _Progress(self.cycle, -unsent, now)
        if self._sending.seconds_without(-unsent, now) > self._connections.limits.transfer_s:
            self.abort()


class _Flow(FlowControl):
    """Flow control that does not read while too much waits to be parsed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_held = False

    def resume_reading(self) -> None:
        if not self._is_held:
            super().resume_reading()

    def hold(self) -> None:
        self._is_held = True
        self.pause_reading()

    def release(self) -> None:
        self._is_held = False
        self.resume_reading()


class _Progress:
    """How long ago a client sent or read enough to count as progress."""

    def __init__(self, of: object, amount: int, now: float) -> None:
        self.of = of
        self._amount = amount
        self._at = now

    def seconds_without(self, amount: int, now: float) -> float:
        if amount - self._amount >= LEAST_PROGRESS_BYTES:
            self._amount, self._at = amount, now
        return now - self._at


def _normalized(host: bytes) -> bytes:
    return host.lower().removesuffix(b":80")


def _too_late(what: str, seconds: float) -> str:
    return f"{what} did not arrive within {seconds:g} s."
