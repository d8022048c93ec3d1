"""Sessions on `/api/v1`."""

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.session import NewSession, SessionChange
from userkeep.domain.values.metadata import Metadata, merge_keeping_nulls
from userkeep.http.compat.lenient import Fields
from userkeep.http.compat.zep_v1.lists import PagedList
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import serialize_session
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import sessions
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker


class Sessions(Resource):
    """`/sessions…`, without their messages."""

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        super().__init__(engine, worker, compute)
        self._list = PagedList(
            engine,
            "sessions",
            select=sessions.page,
            skip=sessions.skip,
            serialize=serialize_session,
        )
        self.handlers = {
            ("POST", "/sessions"): self.add,
            ("GET", "/sessions"): self._list.respond,
            ("GET", "/sessions/{session_id}"): self.get,
            ("PATCH", "/sessions/{session_id}"): self.update,
        }

    async def add(self, request: Request) -> Response:
        """Create a session: 201. An unknown user is a bad request: 400."""
        new = await self.parse(request, _new_session)
        try:
            session = await self.write(request, sessions.add, new=new)
        except (Gone, NotFound) as error:
            raise BadRequest(error.detail) from error
        return json_response(serialize_session(session, session.number), 201)

    async def get(self, request: Request) -> Response:
        """Return a session."""
        session = await self.read(request, sessions.get, await self.session_id(request))
        return json_response(serialize_session(session, session.number))

    async def update(self, request: Request) -> Response:
        """Merge metadata and ignore all other fields. Without metadata, only update the time."""
        change = await self.parse(request, _change)
        session = await self.write(
            request,
            sessions.update,
            await self.session_id(request),
            change=change,
            merge=merge_keeping_nulls,
            touches=True,
        )
        return json_response(serialize_session(session, session.number))


def _new_session(fields: Fields) -> NewSession:
    return NewSession(
        session_id=fields.text("session_id") or "",
        user_id=fields.text("user_id"),
        metadata=fields.object("metadata"),
    )


def _change(fields: Fields) -> SessionChange:
    return SessionChange(metadata=metadata_change(fields.object("metadata")))


def metadata_change(metadata: Metadata | None) -> Metadata | UnsetType:
    """Return the metadata to merge: without `system`, which is reserved; UNSET if empty."""
    return {key: value for key, value in (metadata or {}).items() if key != "system"} or UNSET
