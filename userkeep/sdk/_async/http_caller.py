"""Calls that go to a server."""

from typing import Any

from anyio import sleep

from userkeep.domain.errors import UserkeepError
from userkeep.sdk.calls import SDKCall
from userkeep.sdk.retrying import Retries
from userkeep.sdk.wire_client import AsyncWireClient
from userkeep.sdk.wiring import default_headers, request_of, value_of


class AsyncHttpCaller:
    """Carries calls to a server, and tries again where that is safe."""

    def __init__(self, wire: AsyncWireClient, retries: Retries) -> None:
        self._wire = wire
        self._retries = retries

    async def call(self, call: SDKCall) -> Any:
        """See AsyncCaller."""
        request = request_of(call)
        attempt = 0
        while True:
            attempt += 1
            retry_after_s: float | None = None
            try:
                reply = await self._wire.send(request)
                retry_after_s = reply.retry_after_s
                return value_of(call, reply)
            except UserkeepError as error:
                pause_s = self._retries.pause_s(call, attempt, error, retry_after_s)
                if pause_s is None:
                    raise
            await sleep(pause_s)

    async def close(self) -> None:
        """See AsyncCaller."""
        await self._wire.close()


def connected(url: str, api_key: str | None, timeout_s: float, attempts: int) -> AsyncHttpCaller:
    """A caller of the server at a URL; see client.AsyncUserkeep."""
    wire = AsyncWireClient(url, default_headers(api_key), timeout_s=timeout_s)
    return AsyncHttpCaller(wire, Retries(attempts))
