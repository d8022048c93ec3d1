"""The export of a user, sent while it is read: what `userkeep export USER_ID` writes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import msgspec

from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Scope
from userkeep.http.console.operations import Operations
from userkeep.jobs.export import Export, find_users

T = TypeVar("T")

_PIECE_BYTES = 64 * 1024
_MOST_PIECES = 16
_WAIT_S = 60.0


async def export_user(operations: Operations, scope: Scope, user_id: str) -> AsyncIterator[bytes]:
    """Return the lines of a user's export, in pieces.

    The export is the one of the command line. It runs in a thread, reads page by page, and waits
    while its reader does, so memory does not grow with the user.

    Raises:
        NotFound: there is no such user.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_MOST_PIECES)
    output = _Output(loop, pieces)
    instance = _Instance(operations, scope, loop)
    export = Export(instance, output)
    users = await asyncio.to_thread(find_users, instance, [user_id])

    def run() -> None:
        try:
            export.run(users, has_rest=False)
            output.put(None)
        except BaseException as error:
            output.put(error)

    threading.Thread(target=run, name="userkeep-export", daemon=True).start()
    return _pieces(pieces, export)


async def _pieces(
    pieces: "asyncio.Queue[bytes | BaseException | None]", export: Export
) -> AsyncIterator[bytes]:
    try:
        while (piece := await pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece  # cuts the connection, or a part would pass for the whole
            yield piece
    finally:
        export.stop()
        # The thread may be waiting for room.
        while not pieces.empty():
            pieces.get_nowait()


class _Output:
    """Passes on what is written, in pieces, to the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pieces: "asyncio.Queue[bytes | BaseException | None]",
    ) -> None:
        self._loop = loop
        self._pieces = pieces
        self._written = bytearray()

    def write(self, line: bytes, /) -> int:
        self._written += line
        if len(self._written) >= _PIECE_BYTES:
            self.flush()
        return len(line)

    def flush(self) -> None:
        piece, self._written = bytes(self._written), bytearray()
        self.put(piece)

    def put(self, piece: bytes | BaseException | None) -> None:
        """Pass on a piece, an error, or the end.

        Raises:
            BrokenPipeError: the reader has read nothing for a minute.
        """
        waiting = asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop)
        try:
            waiting.result(_WAIT_S)
        except TimeoutError as error:
            waiting.cancel()
            raise BrokenPipeError("The reader has left.") from error


class _Instance:
    """The instance as an export calls it, from its thread."""

    def __init__(
        self, operations: Operations, scope: Scope, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._operations = operations
        self._scope = scope
        self._loop = loop

    def call(
        self,
        operation: str,
        ids: Mapping[str, str],
        response: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> T:
        if body is not None:
            raise Unavailable("An export sends no body.")
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        performing = self._operations.perform_as_json(
            self._scope, operation, ids=ids, query=given, body=None, if_revision=None
        )
        text = asyncio.run_coroutine_threadsafe(performing, self._loop).result(_WAIT_S)
        return msgspec.json.decode(text, type=response)
