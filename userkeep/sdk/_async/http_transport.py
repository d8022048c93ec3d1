"""The transport to a server."""

from typing import Any

import anyio

from userkeep.domain.errors import UserkeepError
from userkeep.sdk.boundary import mistake
from userkeep.sdk.calls import SDKCall
from userkeep.sdk.http_client import AsyncHTTPClient
from userkeep.sdk.http_protocol import build_request, default_headers, parse_response
from userkeep.sdk.key_check import KeyCheck
from userkeep.sdk.retries import RetryPolicy


class AsyncHTTPTransport:
    """Sends calls to a server, and retries them where that is safe."""

    def __init__(
        self, client: AsyncHTTPClient, retry_policy: RetryPolicy, key_check: KeyCheck
    ) -> None:
        self._client = client
        self._retry_policy = retry_policy
        self._key_check = key_check

    async def send(self, call: SDKCall) -> Any:
        """Send a call and return the result."""
        request = build_request(call)
        attempt = 0
        while True:
            attempt += 1
            retry_after_s: float | None = None
            try:
                response = await self._client.send(request)
                self._key_check.check(response)
                retry_after_s = response.retry_after_s
                return parse_response(call, response)
            except UserkeepError as error:
                delay_s = self._retry_policy.delay_s(call, attempt, error, retry_after_s)
                if delay_s is None:
                    raise
            await self.sleep(delay_s)

    async def embed(self) -> int:
        """Reject the call: a server embeds in the background."""
        raise mistake(
            RuntimeError("`embed` is for embedded clients. A server embeds in the background.")
        )

    async def sleep(self, delay_s: float) -> None:
        """Wait for a number of seconds."""
        await anyio.sleep(delay_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def open_http_transport(
    url: str, api_key: str | None, timeout_s: float, attempts: int
) -> AsyncHTTPTransport:
    """Return a transport to the server at a URL; the arguments are those of AsyncUserkeep."""
    client = AsyncHTTPClient(url, default_headers(api_key), timeout_s=timeout_s)
    return AsyncHTTPTransport(client, RetryPolicy(attempts), KeyCheck(url, api_key))
