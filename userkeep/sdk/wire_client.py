"""HTTP requests and what comes back: the only module that knows httpx2."""

import os
from typing import Any
from weakref import WeakKeyDictionary

import httpx2
import msgspec
from anyio.lowlevel import current_token

from userkeep.domain.errors import InvalidField, TooLarge, UserkeepError
from userkeep.sdk.errors import ConnectionFailed, NotSent, TimedOut

Headers = dict[str, str]

_LONGEST_S = 24 * 3600.0
"""Nothing takes longer; a server that has vanished is then given up."""

_KEPT_OPEN_FOR_S = 4.0
"""Less than the five seconds after which the server closes a connection that nobody uses."""


class WireRequest(msgspec.Struct, frozen=True):
    """A request: `path` is encoded, and begins with a slash.

    `may_take_long` is for what is answered when it is done, however long that takes.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | None
    may_take_long: bool = False


class WireReply(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """When the server wants to be asked again, if it says so in seconds."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else None


class WireClient:
    """Keeps connections to one server open; any thread may use it."""

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """Connect when there is something to send.

        Args:
            url: the server's, with the prefix of its paths if it has one.
            headers: of every request.
            timeout_s: for a connection, and for each part of an answer.

        Raises:
            InvalidField: the URL is none, or the time-out.
        """
        self._server = _Server(url, headers, timeout_s)
        self._client = httpx2.Client(**self._server.options)

    def send(self, request: WireRequest) -> WireReply:
        """Send a request; the answer, whatever its status.

        Raises:
            NotSent, ConnectionFailed, TimedOut. TooLarge: for an address.
            RuntimeError: it is closed, or of another process.
        """
        self._server.check_is_open()
        try:
            response = self._client.request(**self._server.arguments(request))
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._server.told(error) from error
        return WireReply(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Close the connections."""
        if self._server.close():
            self._client.close()


class AsyncWireClient:
    """Keeps connections to one server open, for the tasks of any event loop.

    A connection belongs to the loop that made it, so each loop has its own.
    """

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """See WireClient."""
        self._server = _Server(url, headers, timeout_s)
        self._clients: WeakKeyDictionary[object, httpx2.AsyncClient] = WeakKeyDictionary()

    async def send(self, request: WireRequest) -> WireReply:
        """See WireClient."""
        self._server.check_is_open()
        try:
            response = await self._client().request(**self._server.arguments(request))
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._server.told(error) from error
        return WireReply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Close the connections of this loop; those of other loops end with them."""
        client = self._clients.pop(current_token().native_token, None)
        if self._server.close() and client is not None:
            await client.aclose()

    def _client(self) -> httpx2.AsyncClient:
        loop = current_token().native_token
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = httpx2.AsyncClient(**self._server.options)
        return client


class _Server:
    """What both clients know of the server, and whether they may still talk to it."""

    def __init__(self, url: str, headers: Headers, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise InvalidField("timeout_s must be more than 0 seconds.", "timeout_s")
        self._url = _checked(url)
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._is_closed = False
        is_secure = url.lower().startswith("https")
        self.options: dict[str, Any] = {
            "headers": headers,
            "timeout": timeout_s,
            "limits": _LIMITS,
            "follow_redirects": False,
            # To read the certificates of the world takes 40 ms, and http has no use for them.
            "verify": httpx2.create_ssl_context() if is_secure else False,
        }

    def arguments(self, request: WireRequest) -> dict[str, Any]:
        return {
            "method": request.method,
            "url": self._url + request.path,
            "headers": request.headers,
            "content": request.body,
            "timeout": self._timeout(request),
        }

    def _timeout(self, request: WireRequest) -> httpx2.Timeout:
        if request.may_take_long:
            return httpx2.Timeout(self._timeout_s, read=_LONGEST_S)
        return httpx2.Timeout(self._timeout_s)

    def check_is_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("This client was closed; make another.")
        if self._pid != os.getpid():
            raise RuntimeError(
                "This client was made before the process forked, and its connections are the other "
                "process's; make another in this one."
            )

    def close(self) -> bool:
        """Whether there is something left to close: not twice, nor what is the parent's."""
        was_open = not self._is_closed and self._pid == os.getpid()
        self._is_closed = True
        return was_open

    def told(self, error: Exception) -> UserkeepError:
        """An error of the HTTP library as one of ours."""
        url = _without_password(self._url)
        why = str(error) or type(error).__name__
        if isinstance(error, httpx2.InvalidURL):
            return TooLarge(f"The address would be too long ({why}).")
        if isinstance(error, httpx2.PoolTimeout):
            return NotSent(
                f"All {MOST_CONNECTIONS} connections to {url} were busy for {self._timeout_s} s."
            )
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return NotSent(f"No server could be reached at {url} ({why}); is one running?")
        if isinstance(error, httpx2.TimeoutException):
            return TimedOut(
                f"{url} did not answer within {self._timeout_s} s. It may have done what was asked,"
                " or not."
            )
        return ConnectionFailed(f"The connection to {url} broke before an answer had come ({why}).")


MOST_CONNECTIONS = 100
_LIMITS = httpx2.Limits(
    max_connections=MOST_CONNECTIONS,
    max_keepalive_connections=MOST_CONNECTIONS,
    keepalive_expiry=_KEPT_OPEN_FOR_S,
)


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
        is_servers = parsed.scheme in {"http", "https"} and parsed.host and not parsed.query
    except (httpx2.InvalidURL, TypeError):
        is_servers = False
    if not is_servers:
        raise InvalidField(
            f"{url!r} is not the URL of a server; write it like http://127.0.0.1:8000.", "url"
        )
    return url.rstrip("/")


def _without_password(url: str) -> str:
    return str(httpx2.URL(url).copy_with(userinfo=b""))
