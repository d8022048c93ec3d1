"""The HTTP client. No other module imports httpx2."""

import os
from importlib.util import find_spec
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import httpx2
import msgspec
from anyio import CancelScope
from anyio.lowlevel import current_token

from userkeep.domain.errors import InvalidField, TooLarge, UserkeepError
from userkeep.domain.values.addresses import is_this_machine
from userkeep.domain.values.forward_proxies import ForwardProxy, find_proxy
from userkeep.sdk.boundary import mistake
from userkeep.sdk.errors import ConnectionFailed, NotSent, TimedOut, UnexpectedAnswer

Headers = dict[str, str]

_LARGEST_BODY_BYTES = 64 * 1024 * 1024
"""Several times what a server sends: a page ends after 8 MiB."""

_TIMEOUTS_OF_A_BODY = 10
"""A body may take longer than its parts, but not without end."""

_KEEPALIVE_S = 4.0
"""Less than the five seconds after which the server closes an idle connection."""


class HTTPRequest(msgspec.Struct, frozen=True):
    """A request.

    Attributes:
        path: percent-encoded; it begins with a slash.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | None


class HTTPResponse(msgspec.Struct, frozen=True):
    """A response.

    Attributes:
        proxy: which forward proxy it came through, in words; empty if through none.
    """

    status: int
    headers: httpx2.Headers
    body: bytes
    proxy: str = ""

    @property
    def retry_after_s(self) -> float | None:
        """The Retry-After header, if it is a number of seconds."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else None


class HTTPClient:
    """A pool of connections to one server, for any number of threads."""

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """Create a client, which connects at its first request.

        Args:
            url: the URL of the server, with the prefix of its paths if it has one; or `unix:`
                with the path of its Unix socket.
            headers: the headers of every request.
            timeout_s: for the connection, and for each part of a response. The body of a response
                may take ten times as long.

        Raises:
            InvalidField: the URL or the time-out is invalid.
        """
        self._server = _Server(url, headers, timeout_s)
        options = self._server.socket_options
        transport = httpx2.HTTPTransport(**options) if options else None
        self._client = httpx2.Client(**self._server.options, transport=transport)

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request and return the response, whatever its status.

        Raises:
            NotSent, ConnectionFailed, TimedOut: the connection failed, or the response has no end.
            UnexpectedAnswer: the response is too large.
            TooLarge: the path is too long for a URL.
            RuntimeError: the client is closed, or was created before a fork.
        """
        self._server.check_is_open()
        try:
            with self._client.stream(**self._server.arguments(request)) as response:
                body = self._server.new_body()
                for part in response.iter_bytes():
                    if not body.add(part):
                        break
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._server.map_error(error) from error
        return self._server.response(response, body)

    def close(self) -> None:
        """Close all connections."""
        if self._server.close():
            self._client.close()


class AsyncHTTPClient:
    """A pool of connections to one server for each event loop.

    A connection belongs to the loop that opened it, and no other loop can use it.
    """

    def __init__(self, url: str, headers: Headers, *, timeout_s: float) -> None:
        """Create a client; the arguments are those of HTTPClient."""
        self._server = _Server(url, headers, timeout_s)
        self._clients: WeakKeyDictionary[object, httpx2.AsyncClient] = WeakKeyDictionary()

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request and return the response, whatever its status."""
        self._server.check_is_open()
        try:
            # A cancellation ends every generator of the HTTP library; leaving the loop does not.
            with CancelScope() as scope:
                async with self._client().stream(**self._server.arguments(request)) as response:
                    body = self._server.new_body()
                    async for part in response.aiter_bytes():
                        if not body.add(part):
                            scope.cancel()
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._server.map_error(error) from error
        return self._server.response(response, body)

    async def close(self) -> None:
        """Close the connections of the running loop. Those of other loops close with their loop."""
        client = self._clients.pop(current_token().native_token, None)
        if self._server.close() and client is not None:
            await client.aclose()

    def _client(self) -> httpx2.AsyncClient:
        loop = current_token().native_token
        client = self._clients.get(loop)
        if client is None:
            options = self._server.socket_options
            transport = httpx2.AsyncHTTPTransport(**options) if options else None
            client = httpx2.AsyncClient(**self._server.options, transport=transport)
            self._clients[loop] = client
        return client


class _Body:
    """The body of a response, with limits of size and time: a server may send one without end."""

    def __init__(self, url: str, limit_s: float) -> None:
        self._url = url
        self._limit_s = limit_s
        self._ends = monotonic() + limit_s
        self._parts: list[bytes] = []
        self._size = 0
        self._is_late = False

    def add(self, part: bytes) -> bool:
        """Add a part; return whether the limits allow another one."""
        self._size += len(part)
        self._is_late = monotonic() > self._ends
        if self._size > _LARGEST_BODY_BYTES or self._is_late:
            self._parts.clear()
            return False
        self._parts.append(part)
        return True

    def content(self) -> bytes:
        """Return the body.

        Raises:
            UnexpectedAnswer: it is too large. TimedOut: it did not end in time.
        """
        if self._size > _LARGEST_BODY_BYTES:
            raise UnexpectedAnswer(
                f"The response of {self._url} is larger than {_LARGEST_BODY_BYTES >> 20} MiB."
            )
        if self._is_late:
            raise TimedOut(f"The response of {self._url} did not end within {self._limit_s:g} s.")
        return b"".join(self._parts)


class _Server:
    """The server of both clients: its URL and options, and whether it may still be used.

    Attributes:
        options: the options of the HTTP library's client.
        socket_options: those of its transport, if the server listens on a Unix socket.
    """

    def __init__(self, url: str, headers: Headers, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise InvalidField("timeout_s must be more than 0 seconds.", "timeout_s")
        self._url = url if _is_socket(url) else _checked(url)
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._is_closed = False
        is_secure = url.lower().startswith("https")
        self.options: dict[str, Any] = {
            # Compression costs time on both sides, which no network gives back here.
            "headers": {"Accept-Encoding": self._encoding(), **headers},
            "timeout": timeout_s,
            "limits": _LIMITS,
            "follow_redirects": False,
            # The environment is read here, because the library's own rules send loopback requests
            # to a proxy.
            "trust_env": False,
            # Loading the CA certificates takes 40 ms, and plain http does not need them.
            "verify": httpx2.create_ssl_context() if is_secure else False,
        }
        self.socket_options: dict[str, Any] = {}
        self._proxy = ""
        if _is_socket(url):
            path = url.removeprefix(_SOCKET_PREFIX)
            self.socket_options = {"uds": path, "limits": _LIMITS, "verify": False}
        elif proxy := find_proxy(self._url):
            self.options["proxy"] = _checked_proxy(proxy)
            self._proxy = f"the proxy {without_password(proxy.url)} ({proxy.variable})"

    def _encoding(self) -> str:
        is_local = _is_socket(self._url) or is_this_machine(httpx2.URL(self._url).host)
        return "identity" if is_local else "gzip"

    def arguments(self, request: HTTPRequest) -> dict[str, Any]:
        return {
            "method": request.method,
            "url": (_SOCKET_HOST if self.socket_options else self._url) + request.path,
            "headers": request.headers,
            "content": request.body,
            "timeout": httpx2.Timeout(self._timeout_s),
        }

    def response(self, response: httpx2.Response, body: "_Body") -> HTTPResponse:
        return HTTPResponse(response.status_code, response.headers, body.content(), self._proxy)

    def new_body(self) -> "_Body":
        return _Body(without_password(self._url), _TIMEOUTS_OF_A_BODY * self._timeout_s)

    def check_is_open(self) -> None:
        if self._is_closed:
            raise mistake(RuntimeError("This client is closed. Create a new one."))
        if self._pid != os.getpid():
            raise mistake(
                RuntimeError(
                    "This client was created before the process forked, and its connections belong "
                    "to the parent process. Create a new one in this process."
                )
            )

    def close(self) -> bool:
        """Mark as closed; return whether to close connections: not twice, not after a fork."""
        was_open = not self._is_closed and self._pid == os.getpid()
        self._is_closed = True
        return was_open

    def map_error(self, error: Exception) -> UserkeepError:
        """Return the SDK's error for an error of httpx2."""
        url = without_password(self._url)
        if self._proxy:
            url = f"{url} through {self._proxy}"
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx2.InvalidURL):
            return TooLarge(f"The URL is too long ({reason}).")
        if isinstance(error, httpx2.PoolTimeout):
            return NotSent(
                f"All {MOST_CONNECTIONS} connections to {url} were busy for {self._timeout_s} s."
            )
        is_unconnected = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        if self._proxy and (is_unconnected or isinstance(error, httpx2.ProxyError)):
            return NotSent(
                f"Cannot connect to {url} ({reason}). Check the proxy, or name the host in "
                "NO_PROXY to connect without it."
            )
        if is_unconnected:
            return NotSent(f"Cannot connect to {url} ({reason}). Check that the server is running.")
        if isinstance(error, httpx2.TimeoutException):
            return TimedOut(
                f"{url} did not respond within {self._timeout_s} s. It may have performed the "
                "request, or not."
            )
        return ConnectionFailed(f"The connection to {url} broke before the response ({reason}).")


MOST_CONNECTIONS = 100
_LIMITS = httpx2.Limits(
    max_connections=MOST_CONNECTIONS,
    max_keepalive_connections=MOST_CONNECTIONS,
    keepalive_expiry=_KEEPALIVE_S,
)


_SOCKET_PREFIX = "unix:"
_SOCKET_HOST = "http://localhost"


def _is_socket(url: object) -> bool:
    if not isinstance(url, str):
        return False
    return url.startswith(f"{_SOCKET_PREFIX}/") and not url.startswith(f"{_SOCKET_PREFIX}//")


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
        is_valid = parsed.scheme in {"http", "https"} and parsed.host and not parsed.query
    except (httpx2.InvalidURL, TypeError):
        is_valid = False
    if not is_valid:
        raise InvalidField(
            f"{url!r} is not the URL of a server, such as http://127.0.0.1:8000.", "url"
        )
    checked = url.rstrip("/")
    if parsed.path.rstrip("/") in _API_PATHS:
        raise InvalidField(
            f"{without_password(url)} has the path of an API, which the client adds. Leave it out: "
            f"{without_password(checked).removesuffix(parsed.path.rstrip('/'))}.",
            "url",
        )
    return checked


_API_PATHS = {"/v1", "/api/v1"}
"""No prefix of a server can be one of them."""


def _checked_proxy(proxy: ForwardProxy) -> httpx2.Proxy:
    try:
        checked = httpx2.Proxy(proxy.url)
    except (httpx2.InvalidURL, ValueError) as error:
        # The value can have a password.
        raise InvalidField(
            f"{proxy.variable} is not the URL of a proxy, such as http://proxy.example.com:3128.",
            proxy.variable,
        ) from error
    if checked.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise InvalidField(
            f"{proxy.variable} names a SOCKS proxy, which needs the package socksio. Install it, "
            "or name the host in NO_PROXY.",
            proxy.variable,
        )
    return checked


def without_password(url: str) -> str:
    """Return a URL without the password in it, for messages."""
    if _is_socket(url):
        return url
    return str(httpx2.URL(url).copy_with(userinfo=b""))
