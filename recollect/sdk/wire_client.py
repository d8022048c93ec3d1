"""HTTP requests and what comes back: the only module that knows httpx2."""

import httpx2
import msgspec

from recollect.sdk.errors import ConnectionFailed, NotSent, TimedOut

Headers = dict[str, str]

_KEPT_OPEN_FOR_S = 4.0
"""Less than the five seconds after which the server closes a connection that nobody uses."""


class WireRequest(msgspec.Struct, frozen=True):
    """A request: `path` is encoded, and begins with a slash."""

    method: str
    path: str
    headers: Headers
    body: bytes | None


class WireReply(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """When the server wants to be asked again, if it says so in seconds."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdigit() else None


class WireClient:
    """Keeps connections to one server open; any thread may use it."""

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """Connect when there is something to send.

        Args:
            url: the server's, with the prefix of its paths if it has one.
            headers: of every request.
            timeout_s: for a connection, and for each part of an answer.
        """
        self._url = url.rstrip("/")
        self._client = httpx2.Client(
            headers=headers, timeout=timeout_s, limits=_LIMITS, follow_redirects=False
        )

    def send(self, request: WireRequest) -> WireReply:
        """Send a request; the answer, whatever its status.

        Raises:
            NotSent, ConnectionFailed, TimedOut.
        """
        try:
            response = self._client.request(
                request.method,
                self._url + request.path,
                headers=request.headers,
                content=request.body,
            )
        except httpx2.TransportError as error:
            raise _told(error, self._url) from error
        return WireReply(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class AsyncWireClient:
    """Keeps connections to one server open, for the tasks of one event loop."""

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """See WireClient."""
        self._url = url.rstrip("/")
        self._client = httpx2.AsyncClient(
            headers=headers, timeout=timeout_s, limits=_LIMITS, follow_redirects=False
        )

    async def send(self, request: WireRequest) -> WireReply:
        """See WireClient."""
        try:
            response = await self._client.request(
                request.method,
                self._url + request.path,
                headers=request.headers,
                content=request.body,
            )
        except httpx2.TransportError as error:
            raise _told(error, self._url) from error
        return WireReply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


_LIMITS = httpx2.Limits(
    max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEPT_OPEN_FOR_S
)

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def _told(error: httpx2.TransportError, url: str) -> ConnectionFailed:
    why = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        return NotSent(f"No server could be reached at {url} ({why}); is one running?")
    if isinstance(error, httpx2.TimeoutException):
        return TimedOut(f"{url} did not answer in time. It may have done what was asked, or not.")
    return ConnectionFailed(f"The connection to {url} broke before an answer had come ({why}).")
