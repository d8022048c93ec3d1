"""Carries calls to a server and their answers back, waiting or awaited."""

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
CallOfPage = Callable[[int, int | None], ZepCall[list[T]]]
"""From limit and cursor to the call that asks for this page."""


class Sender:
    """The connections to one server, of any thread and any event loop.

    Every call may raise ConnectionError (the server was not reached, or the connection broke),
    TimeoutError (it did not answer in time), ValueError (it cannot be sent), and what
    ZepCall.value_of raises.
    """

    def __init__(self, base_url: str, api_key: str | None, timeout_s: float) -> None:
        """Connect when there is something to send.

        Raises:
            ValueError: the URL is none, or the key.
        """
        with _named_as_python_does():
            self._server = base_url, default_headers(api_key)
            self._timeout_s = timeout_s
            self._connect()

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._wire = HTTPClient(*self._server, timeout_s=self._timeout_s)
        self._awaited_wire = AsyncHTTPClient(*self._server, timeout_s=self._timeout_s)

    def _stay_in_this_process(self) -> None:
        # Programs make their client when they are loaded, and fork their workers afterwards.
        if self._pid != os.getpid():
            self._connect()

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """The answer to a request, whatever its status."""
        with _named_as_python_does():
            self._stay_in_this_process()
            return self._wire.send(request)

    async def asend(self, request: HTTPRequest) -> HTTPResponse:
        """See send."""
        with _named_as_python_does():
            self._stay_in_this_process()
            return await self._awaited_wire.send(request)

    def call(self, call: ZepCall[T]) -> T:
        """What comes of a call."""
        return call.value_of(self.send(call.request))

    async def acall(self, call: ZepCall[T]) -> T:
        """See call."""
        return call.value_of(await self.asend(call.request))

    def chunks(self, page: CallOfPage[T], chunk_size: int) -> Generator[list[T], None, None]:
        """A list in chunks, each fetched when it is wanted."""
        for cursor in cursors(chunk_size):
            rows = self.call(page(chunk_size, cursor))
            if not rows:
                return
            yield rows

    async def achunks(self, page: CallOfPage[T], chunk_size: int) -> AsyncGenerator[list[T], None]:
        """See chunks."""
        for cursor in cursors(chunk_size):
            rows = await self.acall(page(chunk_size, cursor))
            if not rows:
                return
            yield rows

    def close(self) -> None:
        """Close the connections of threads."""
        self._wire.close()

    async def aclose(self) -> None:
        """Close the connections of the event loop."""
        await self._awaited_wire.close()


@contextmanager
def _named_as_python_does() -> Iterator[None]:
    try:
        yield
    except TimedOut as error:
        raise TimeoutError(error.detail) from error
    except ConnectionFailed as error:
        raise ConnectionError(error.detail) from error
    except UserkeepError as error:  # a URL that is none, an id too long for any
        raise ValueError(error.detail) from error
