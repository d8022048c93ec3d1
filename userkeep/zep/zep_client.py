"""`ZepClient`, with the API of zep-python 1.x."""

import re
import warnings
from types import TracebackType
from typing import Self

from userkeep.client import LOCAL_SERVER
from userkeep.sdk.http_client import HTTPRequest, HTTPResponse
from userkeep.zep.calls import PREFIX
from userkeep.zep.document.client import DocumentClient
from userkeep.zep.exceptions import APIError
from userkeep.zep.facade import MemoryFacade
from userkeep.zep.memory.client import MemoryClient
from userkeep.zep.message.client import MessageClient
from userkeep.zep.transport import ZepTransport
from userkeep.zep.user.client import UserClient

API_TIMEOUT = 10
"""The time-out in seconds, for connecting and for each part of a response."""

MINIMUM_SERVER_VERSION = "0.21.0"

_HEALTH = HTTPRequest("GET", "/healthz", {"Connection": "close", "Accept": "text/plain"}, None)
"""The connection is closed: a program that only uses async methods does not need it."""

_HEALTHY = b"."
_STACKLEVEL = 3


class ZepClient(MemoryFacade):
    """A client with the API of zep-python 1.x, for Userkeep servers and Zep servers of that time.

    ```python
    from userkeep.zep import ZepClient
    from userkeep.zep.user import CreateUserRequest

    with ZepClient(api_key="…") as client:
        client.user.add(CreateUserRequest(user_id="jane"))
    ```

    A client can be used by any number of threads and event loops, and by forked processes. Every
    call can raise AuthError and APIError for an error response, ConnectionError if the server
    cannot be reached, and TimeoutError if it does not respond in time.

    Attributes:
        base_url: the URL of the API of the server.
        user: users.
        memory: sessions and their memory.
        message: messages.
        document: collections of documents with embeddings.
    """

    base_url: str
    user: UserClient
    memory: MemoryClient
    message: MessageClient
    document: DocumentClient

    def __init__(self, base_url: str = LOCAL_SERVER, api_key: str | None = None) -> None:
        """Check that the server can be reached, and that its version is supported.

        Args:
            base_url: the URL of the server, with the prefix of its paths if it has one.
            api_key: sent as `Authorization: Bearer …`.

        Raises:
            APIError: the server cannot be reached, or is not a Userkeep or Zep server.
            ValueError: the URL or the API key is invalid.
        """
        address = base_url.rstrip("/")
        self.base_url = address + PREFIX
        self._transport = ZepTransport(address, api_key, API_TIMEOUT)
        try:
            _check_health(self._transport, address)
        except BaseException:
            self._transport.close()
            raise
        self.user = UserClient(self._transport)
        self.memory = MemoryClient(self._transport)
        self.message = MessageClient(self._transport)
        self.document = DocumentClient(self._transport)

    def close(self) -> None:
        """Close the connections of sync methods."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close the connections of async methods, in the event loop that used them."""
        await self._transport.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


def _check_health(transport: ZepTransport, address: str) -> None:
    try:
        response = transport.send(_HEALTH)
    except (ConnectionError, TimeoutError) as error:
        raise APIError(message=str(error)) from error
    if response.status != 200 or response.body != _HEALTHY:
        raise APIError(response, f"The server at {address} is not a Userkeep or Zep server")
    if _is_too_old(response):
        warnings.warn(
            f"The server at {address} is older than Zep {MINIMUM_SERVER_VERSION}, "
            "or does not send its version. It may be incompatible with this client.",
            UserWarning,
            stacklevel=_STACKLEVEL,
        )


def _is_too_old(response: HTTPResponse) -> bool:
    version = response.headers.get("x-zep-version", "")
    return "dev" not in version and _parse_version(version) < _parse_version(
        f"{MINIMUM_SERVER_VERSION}-"
    )


def _parse_version(version: str) -> tuple[int, ...]:
    """Return the numbers before the first hyphen; without a hyphen none."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)[^-]*-", version)
    return tuple(map(int, numbers.groups())) if numbers else ()
