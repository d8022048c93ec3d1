"""Cross-origin requests (CORS): which web pages of other origins may call the server.

A page of an allowed origin may call every route and read every response. It sends its credential in
a header itself: cookies are never allowed, and the server has none.
"""

from collections.abc import Iterable

from userkeep.http.requests import Request
from userkeep.http.responses import RawHeaders, RawResponse, empty_response

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = b"Api-Key, Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-Id"
_RESPONSE_HEADERS = (
    b"ETag, Idempotent-Replayed, Location, Retry-After, Userkeep-Authentication, WWW-Authenticate, "
    b"X-Request-Id, X-Zep-Version"
)
_PREFLIGHT_AGE_S = b"600"

_VARY = (b"vary", b"Origin")
_EXPOSED = (b"access-control-expose-headers", _RESPONSE_HEADERS)
_PREFLIGHT = (
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _REQUEST_HEADERS),
    (b"access-control-max-age", _PREFLIGHT_AGE_S),
)


class AllowedOrigins:
    """The origins whose web pages may call the server.

    Args:
        origins: as browsers send them, such as `https://app.example.com`.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(each.encode() for each in origins)

    def __contains__(self, origin: object) -> bool:
        return isinstance(origin, bytes) and origin.lower() in self._origins

    def is_preflight(self, request: Request) -> bool:
        """Return whether a browser asks if a page of an allowed origin may send a request."""
        headers = request.headers
        is_asking = request.method == "OPTIONS" and b"access-control-request-method" in headers
        return is_asking and headers.get(b"origin", b"") in self

    def headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        """Return the headers of every response to a request with these headers."""
        origins = [value for name, value in request_headers if name == b"origin"]
        if len(origins) != 1 or origins[0] not in self:
            return (_VARY,)
        return (_VARY, (b"access-control-allow-origin", origins[0]), _EXPOSED)


def preflight_response() -> RawResponse:
    """Return the response to a preflight: the same for every route."""
    return empty_response(_PREFLIGHT)
