"""Calls whose answers are read as another type than the SDK's: what need not be opened stays shut.

So metadata and data pass from an instance to a file, and back, as the bytes they are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from userkeep.api.common import Page
from userkeep.cli.lists import pages_from
from userkeep.client import Userkeep
from userkeep.sdk.calls import make_call


def carry(
    client: Userkeep,
    name: str,
    ids: Mapping[str, str],
    kind: Any,
    *,
    query: Mapping[str, Any] | None = None,
    body: bytes | None = None,
) -> Any:
    """The answer to a call of the operation with this name, read as `kind`.

    Raises:
        UserkeepError: of the class that says what was wrong.
    """
    call = make_call(name, ids, query=query, body=body)
    call.operation = msgspec.structs.replace(call.operation, response=kind)
    return client._caller.call(call)


def carry_list(
    client: Userkeep, name: str, ids: Mapping[str, str], kind: Any, **query: Any
) -> Iterator[Page[Any]]:
    """Every page of a list, whose rows are read as `kind`."""

    def read(cursor: str | None) -> Page[Any]:
        page: Page[Any] = carry(client, name, ids, Page[kind], query={**query, "cursor": cursor})
        return page

    return pages_from(read)
