"""`ZepClient`, as programs written for zep-python 1.x know it."""

import re
import warnings
from types import TracebackType
from typing import Self

from userkeep.client import LOCAL_SERVER
from userkeep.sdk.http_client import HTTPRequest, HTTPResponse
from userkeep.zep.calls import PREFIX
from userkeep.zep.document import DocumentClient
from userkeep.zep.exceptions import APIError
from userkeep.zep.facade import MemoryFacade
from userkeep.zep.memory.client import MemoryClient
from userkeep.zep.message.client import MessageClient
from userkeep.zep.sender import Sender
from userkeep.zep.user.client import UserClient

API_TIMEOUT = 10
"""Seconds: for connecting, and for each wait for an answer."""

MINIMUM_SERVER_VERSION = "0.21.0"

_HEALTH = HTTPRequest("GET", "/healthz", {"Connection": "close"}, None)
"""A program that goes on to await everything has no use for the connection."""

_HEALTHY = b"."
_IN_THE_CALLER = 3


class ZepClient(MemoryFacade):
    """A client with the names of zep-python 1.x, for a Userkeep server (or Zep's own of that age).

    ```python
    from userkeep.zep import ZepClient
    from userkeep.zep.user import CreateUserRequest

    with ZepClient(api_key="…") as client:
        client.user.add(CreateUserRequest(user_id="jane"))
    ```

    Any number of threads may use one, any event loop, and forked processes too. Every call may
    raise AuthError and APIError for what the server answers, ConnectionError where it is not
    reached and TimeoutError where it does not answer in time.

    Attributes:
        base_url: of the server's API.
        user: users; see UserClient.
        memory: sessions and memory; see MemoryClient.
        message: messages; see MessageClient.
        document: says that there are no collections.
    """

    base_url: str
    user: UserClient
    memory: MemoryClient
    message: MessageClient
    document: DocumentClient

    def __init__(self, base_url: str = LOCAL_SERVER, api_key: str | None = None) -> None:
        """Look whether the server is there, and of a version that this client can talk to.

        Args:
            base_url: the server's, with the prefix of its paths if it has one.
            api_key: sent as `Authorization: Bearer …`.

        Raises:
            APIError: no server is there, or it is none of Userkeep's or Zep's.
            ValueError: the URL is none, or the key.
        """
        address = base_url.rstrip("/")
        self.base_url = address + PREFIX
        self._sender = Sender(address, api_key, API_TIMEOUT)
        try:
            _check_health(self._sender, address)
        except BaseException:
            self._sender.close()
            raise
        self.user = UserClient(self._sender)
        self.memory = MemoryClient(self._sender)
        self.message = MessageClient(self._sender)
        self.document = DocumentClient()

    def close(self) -> None:
        """Close the connections of the methods that wait."""
        self._sender.close()

    async def aclose(self) -> None:
        """Close the connections of the awaited methods, in the event loop that used them."""
        await self._sender.aclose()

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


def _check_health(sender: Sender, address: str) -> None:
    try:
        reply = sender.send(_HEALTH)
    except (ConnectionError, TimeoutError) as error:
        raise APIError(message=str(error)) from error
    if reply.status != 200 or reply.body != _HEALTHY:
        raise APIError(reply, f"What answers at {address} is no server of Userkeep's or Zep's")
    if _is_too_old(reply):
        warnings.warn(
            f"The server at {address} is older than Zep {MINIMUM_SERVER_VERSION}, "
            "or does not say how old it is; this client may not understand it.",
            UserWarning,
            stacklevel=_IN_THE_CALLER,
        )


def _is_too_old(reply: HTTPResponse) -> bool:
    told = reply.headers.get("x-zep-version", "")
    return "dev" not in told and _numbers_of(told) < _numbers_of(f"{MINIMUM_SERVER_VERSION}-")


def _numbers_of(version: str) -> tuple[int, ...]:
    """Those before the first hyphen; without a hyphen there are none."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)[^-]*-", version)
    return tuple(map(int, numbers.groups())) if numbers else ()
