"""The transport of calls to a server, sync and async."""

import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from userkeep.domain.errors import UserkeepError
from userkeep.sdk.errors import ConnectionFailed, TimedOut
from userkeep.sdk.http_client import AsyncHTTPClient, HTTPClient, HTTPRequest, HTTPResponse
from userkeep.sdk.http_protocol import default_headers
from userkeep.zep.calls import ZepCall, cursors

T = TypeVar("T")
PageCall = Callable[[int, int | None], ZepCall[list[T]]]
"""Returns the call of the page with a limit and a cursor."""


class ZepTransport:
    """The connections to one server, for any thread and any event loop.

    Every call can raise ConnectionError (the server cannot be reached, or the connection broke),
    TimeoutError (it did not respond in time), ValueError (the call cannot be sent), and the errors
    of ZepCall.parse.
    """

    def __init__(self, base_url: str, api_key: str | None, timeout_s: float) -> None:
        """Create a transport, which connects at its first request.

        Raises:
            ValueError: the URL or the API key is invalid.
        """
        with _builtin_errors():
            self._server = base_url, default_headers(api_key)
            self._timeout_s = timeout_s
            self._connect()

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._client = HTTPClient(*self._server, timeout_s=self._timeout_s)
        self._async_client = AsyncHTTPClient(*self._server, timeout_s=self._timeout_s)

    def _reconnect_after_fork(self) -> None:
        # Programs create their client at import time, and fork their workers afterwards.
        if self._pid != os.getpid():
            self._connect()

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request and return the response, whatever its status."""
        with _builtin_errors():
            self._reconnect_after_fork()
            return self._client.send(request)

    async def asend(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request on the event loop."""
        with _builtin_errors():
            self._reconnect_after_fork()
            return await self._async_client.send(request)

    def call(self, call: ZepCall[T]) -> T:
        """Send a call and return its value."""
        return call.parse(self.send(call.request))

    async def acall(self, call: ZepCall[T]) -> T:
        """Send a call on the event loop."""
        return call.parse(await self.asend(call.request))

    def chunks(self, page: PageCall[T], chunk_size: int) -> Generator[list[T], None, None]:
        """Iterate over a list in chunks. Each is requested when it is needed."""
        for cursor in cursors(chunk_size):
            rows = self.call(page(chunk_size, cursor))
            if not rows:
                return
            yield rows

    async def achunks(self, page: PageCall[T], chunk_size: int) -> AsyncGenerator[list[T], None]:
        """Iterate over a list in chunks on the event loop."""
        for cursor in cursors(chunk_size):
            rows = await self.acall(page(chunk_size, cursor))
            if not rows:
                return
            yield rows

    def close(self) -> None:
        """Close the connections of sync calls."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._async_client.close()


@contextmanager
def _builtin_errors() -> Iterator[None]:
    try:
        yield
    except TimedOut as error:
        raise TimeoutError(error.detail) from error
    except ConnectionFailed as error:
        raise ConnectionError(error.detail) from error
    except UserkeepError as error:  # an invalid URL, or an id that is too long for a URL
        raise ValueError(error.detail) from error
