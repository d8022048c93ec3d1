"""What the parts of the door have in common: where operations run, and how ids are found."""

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.responses import Response

from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.transaction import Transaction, scoped
from userkeep.http.requests import Request
from userkeep.http.responses import text_response
from userkeep.jobs.deletion import Deletion
from userkeep.services import purges, sessions, users
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

T = TypeVar("T")
Find = Callable[[Transaction, str], Any]


class Part:
    """The routes of one noun."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(
        self,
        request: Request,
        service: Callable[..., T],
        *ids: str,
        is_bounded: bool = True,
        **values: Any,
    ) -> T:
        """Run a service that reads: `service(tx, *ids, **values)`."""
        operation = scoped(request.scope, service, *ids, **values)
        return await self._engine.read_async(operation, is_bounded=is_bounded)

    async def write(
        self, request: Request, service: Callable[..., T], *ids: str, **values: Any
    ) -> T:
        """Run a service that writes: `service(tx, *ids, **values)`."""
        return await self._engine.write_async(scoped(request.scope, service, *ids, **values))

    async def delete_subject(
        self,
        request: Request,
        worker: Worker,
        begin: Callable[[Transaction, str], Erasure],
        id_: str,
    ) -> Response:
        """Begin an erasure and carry it out: `OK` once nothing of it can be read.

        With `?purge=now`, which is not Zep's, once it is purged, or after five seconds.
        """
        is_asked = ("purge", "now") in request.query()

        def begun(tx: Transaction) -> Erasure:
            erasure = begin(tx, id_)
            return purges.request(tx, erasure.uuid) if is_asked else erasure

        await worker.run(Deletion(request.scope, await self.write(request, begun)))
        return text_response("OK")

    async def user_id(self, request: Request) -> str:
        """The user that a path names."""
        if b"%" not in request.segments["user_id"]:
            return request.id("user_id")
        return await self._id(request, "user_id", users.get)

    async def session_id(self, request: Request) -> str:
        """The session that a path names."""
        if b"%" not in request.segments["session_id"]:
            return request.id("session_id")
        return await self._id(request, "session_id", sessions.get)

    async def _id(self, request: Request, name: str, find: Find) -> str:
        """The decoded segment; or the raw one, where only under that is something found.

        Clients encode what they like: one that sends `a%2Fb` may mean `a/b`, or, as the server
        they were written for never decoded, the five characters themselves.
        """
        raw = request.segments[name].decode("latin-1")
        try:
            decoded = request.id(name)
        except BadRequest:
            return raw
        for candidate in (decoded, raw):
            if await self.read(request, _is_there, find=find, id_=candidate):
                return candidate
        return decoded


def _is_there(tx: Transaction, find: Find, id_: str) -> bool:
    try:
        find(tx, id_)
    except NotFound:
        return False
    except Gone:
        return True
    return True
