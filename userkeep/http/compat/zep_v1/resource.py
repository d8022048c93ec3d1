"""The base of all resources: it runs services, starts deletions and reads ids of paths."""

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.responses import Response

from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import INLINE_BYTES
from userkeep.http.compat.lenient import read_object
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response, text_response
from userkeep.http.routing import Handler
from userkeep.jobs.deletion import Deletion
from userkeep.services import purges, sessions, users
from userkeep.services.projects import read_in, write_in
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

T = TypeVar("T")
Find = Callable[[Transaction, str], Any]


class Resource:
    """The routes of one resource.

    Attributes:
        handlers: by method and path.
    """

    handlers: dict[tuple[str, str], Handler]

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        self._engine = engine
        self._worker = worker
        self._compute = compute

    async def parse(self, request: Request, read: Callable[..., T], *args: object) -> T:
        """Return `read(fields, *args)` of the fields of the body; of a large one, in a thread."""
        return await self.parse_body(request, lambda body: read(read_object(body), *args))

    async def parse_body(self, request: Request, read: Callable[[bytes], T]) -> T:
        """Return `read(body)`; of a large body, in a thread."""
        body = await request.body()

        def parse() -> T:
            return read(body)

        return parse() if len(body) <= INLINE_BYTES else await self._compute.run(parse)

    async def read(
        self,
        request: Request,
        service: Callable[..., T],
        *ids: str,
        is_bounded: bool = True,
        **values: Any,
    ) -> T:
        """Run a service that reads: `service(tx, *ids, **values)`."""
        operation = read_in(request.scope, service, *ids, **values)
        if is_bounded:
            return await self._engine.read_async(operation)
        reading = self._engine.read_async(operation, is_bounded=False)
        return await request.while_connected(reading)

    async def read_json(
        self,
        request: Request,
        service: Callable[..., T],
        *ids: str,
        serialize: Callable[[T], Any],
        is_bounded: bool = True,
        **values: Any,
    ) -> Response:
        """Return what a service reads as JSON, encoded where it is read."""

        def respond(tx: Transaction) -> Response:
            return json_response(serialize(service(tx, *ids, **values)))

        return await self.read(request, respond, is_bounded=is_bounded)

    async def write(
        self,
        request: Request,
        service: Callable[..., T],
        *ids: str,
        is_bounded: bool = True,
        **values: Any,
    ) -> T:
        """Run a service that writes: `service(tx, *ids, **values)`."""
        operation = write_in(request.scope, service, *ids, **values)
        result = await self._engine.write_async(operation, is_bounded=is_bounded)
        self._worker.embedding.wake()
        return result

    async def delete_subject(
        self,
        request: Request,
        begin: Callable[[Transaction, str], Erasure],
        id_: str,
    ) -> Response:
        """Start a deletion and return `OK` once the data is unreachable.

        With `?purge=now`, an extension of Zep's API, return once the data is purged, but after five
        seconds at the latest.
        """
        await request.body()  # nothing is deleted by a request that was cut off
        is_purge_requested = ("purge", "now") in request.query()

        def start(tx: Transaction) -> Erasure:
            erasure = begin(tx, id_)
            return purges.request(tx, erasure) if is_purge_requested else erasure

        await self._worker.run(Deletion(request.scope, await self.write(request, start)))
        return text_response("OK")

    async def user_id(self, request: Request) -> str:
        """Return the user id of the path."""
        if b"%" not in request.segments["user_id"]:
            return request.id("user_id")
        return await self._id(request, "user_id", users.get)

    async def session_id(self, request: Request) -> str:
        """Return the session id of the path."""
        if b"%" not in request.segments["session_id"]:
            return request.id("session_id")
        return await self._id(request, "session_id", sessions.get)

    async def _id(self, request: Request, name: str, find: Find) -> str:
        """Return the decoded segment; or the raw one if only that is the id of something.

        A client that sends `a%2Fb` means either `a/b` or these five characters: some clients
        encode ids, others do not, and Zep never decoded them.
        """
        raw = request.segments[name].decode("latin-1")
        try:
            decoded = request.id(name)
        except BadRequest:
            return raw
        for candidate in (decoded, raw):
            if await self.read(request, _exists, find=find, id_=candidate):
                return candidate
        return decoded


def _exists(tx: Transaction, find: Find, id_: str) -> bool:
    try:
        find(tx, id_)
    except NotFound:
        return False
    except Gone:
        return True
    return True
