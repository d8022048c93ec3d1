"""Responses: a status, headers and a body, ready to send."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from userkeep.domain.errors import UserkeepError
from userkeep.http.errors import headers_of, status_of

RawHeaders = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

# Responses contain personal data: no cache may keep them, and no browser may guess their type.
_CACHING = (b"cache-control", b"no-store")
_STATIC_CACHING = (b"cache-control", b"max-age=3600")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")

_encode = msgspec.json.Encoder().encode


class RawResponse(Response):
    """A response whose headers are already bytes.

    Starlette's Response encodes each header and looks at the type of the connection. For a small
    response this costs as much as the query.
    """

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: bytes = JSON,
        headers: RawHeaders = (),
    ) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", content_type),
            _CACHING,
            _NO_SNIFFING,
            *headers,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def empty_response(headers: RawHeaders = ()) -> RawResponse:
    """Return a response without content (204), which has neither a length nor a type."""
    response = RawResponse(b"", 204, headers=headers)
    response.raw_headers = response.raw_headers[2:]
    return response


def static_response(body: bytes, content_type: bytes, headers: RawHeaders = ()) -> RawResponse:
    """Return a file of the program, which has no personal data: caches may keep it for an hour."""
    response = RawResponse(body, 200, content_type, headers)
    response.raw_headers[response.raw_headers.index(_CACHING)] = _STATIC_CACHING
    return response


def json_response(value: Any, status: int = 200, headers: RawHeaders = ()) -> RawResponse:
    """Return a response with a value as JSON."""
    return RawResponse(_encode(value), status, JSON, headers)


def stream_json(pieces: AsyncIterator[bytes]) -> StreamingResponse:
    """Return a response with JSON that is sent in pieces."""
    response = StreamingResponse(pieces, media_type=JSON.decode())
    response.raw_headers += [_CACHING, _NO_SNIFFING]
    return response


def text_response(text: str, status: int = 200, headers: RawHeaders = ()) -> RawResponse:
    """Return a response with a text."""
    return RawResponse(text.encode(), status, TEXT, headers)


def problem_response(
    error: UserkeepError, request_id: str, status: int | None = None
) -> RawResponse:
    """Return an error as `application/problem+json` (RFC 9457) with its stable `code`."""
    status = status or status_of(error)
    problem = {
        "status": status,
        "code": error.code,
        "detail": error.detail,
        "fields": list(error.fields),
        "request_id": request_id,
    }
    return RawResponse(_encode(problem), status, b"application/problem+json", headers_of(error))
