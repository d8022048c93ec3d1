"""Sessions on the `/api/v1` door."""

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.session import NewSession, SessionChange
from userkeep.domain.values.metadata import Metadata, merge_keeping_nulls
from userkeep.http.compat.lenient import read_object
from userkeep.http.compat.zep_v1 import shapes
from userkeep.http.compat.zep_v1.lists import PagedList
from userkeep.http.compat.zep_v1.part import Part
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import sessions
from userkeep.storage.engine import Engine


class Sessions(Part):
    """`/sessions…`, without what is in them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._list = PagedList(
            engine,
            "sessions",
            select=sessions.page,
            skip=sessions.skip,
            shape=shapes.session,
        )
        self.handlers = {
            ("POST", "/sessions"): self.add,
            ("GET", "/sessions"): self._list.answer,
            ("GET", "/sessions/{session_id}"): self.get,
            ("PATCH", "/sessions/{session_id}"): self.update,
        }

    async def add(self, request: Request) -> Response:
        """Open a session: 201. An unknown user is the request's fault: 400."""
        fields = read_object(await request.body())
        new = NewSession(
            session_id=fields.text("session_id") or "",
            user_id=fields.text("user_id"),
            metadata=fields.object("metadata"),
        )
        try:
            session = await self.write(request, sessions.add, new=new)
        except (Gone, NotFound) as error:
            raise BadRequest(error.detail) from error
        return json_response(shapes.session(session, session.number), 201)

    async def get(self, request: Request) -> Response:
        """Read a session."""
        session = await self.read(request, sessions.get, await self.session_id(request))
        return json_response(shapes.session(session, session.number))

    async def update(self, request: Request) -> Response:
        """Merge metadata; all else is ignored, and no metadata is a touch."""
        fields = read_object(await request.body())
        session = await self.write(
            request,
            sessions.update,
            await self.session_id(request),
            change=SessionChange(metadata=mergeable(fields.object("metadata"))),
            merge=merge_keeping_nulls,
        )
        return json_response(shapes.session(session, session.number))


def mergeable(metadata: Metadata | None) -> Metadata | UnsetType:
    """The metadata of a change; without `system`, which is the server's own, and unless empty."""
    return {key: value for key, value in (metadata or {}).items() if key != "system"} or UNSET
