"""The instance that export and import call: the open client of a command."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from userkeep.client import Userkeep
from userkeep.sdk.calls import make_call

T = TypeVar("T")


class ClientInstance:
    """Calls operations by name on an open client, with responses of any type."""

    def __init__(self, client: Userkeep) -> None:
        self._client = client

    def call(
        self,
        operation: str,
        ids: Mapping[str, str],
        response: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Call an operation of the native API."""
        call = make_call(operation, ids, query=query, body=body)
        call.operation = msgspec.structs.replace(call.operation, response=response)
        value: T = self._client._transport.send(call)
        return value
