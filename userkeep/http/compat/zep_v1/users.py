"""Users on the `/api/v1` door."""

from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone
from userkeep.domain.user import NewUser, UserChange
from userkeep.domain.values.metadata import merge_keeping_nulls
from userkeep.domain.values.paging import Page
from userkeep.http.compat.lenient import Fields, read_object
from userkeep.http.compat.zep_v1 import shapes
from userkeep.http.compat.zep_v1.lists import BATCH, PagedList
from userkeep.http.compat.zep_v1.part import Part
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import erasures, sessions, users
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker


class Users(Part):
    """`/user…`"""

    def __init__(self, engine: Engine, worker: Worker) -> None:
        super().__init__(engine)
        self._worker = worker
        self._list = PagedList(
            engine, "users", select=users.page, skip=users.skip, shape=shapes.user
        )
        self.handlers = {
            ("POST", "/user"): self.add,
            ("GET", "/user"): self._list.answer,
            ("GET", "/user/{user_id}"): self.get,
            ("PATCH", "/user/{user_id}"): self.update,
            ("DELETE", "/user/{user_id}"): self.delete,
            ("GET", "/user/{user_id}/sessions"): self.list_sessions,
        }

    async def add(self, request: Request) -> Response:
        """Add a user: 201."""
        fields = read_object(await request.body())
        new = NewUser(
            user_id=fields.text("user_id") or "",
            email=fields.text("email") or None,
            first_name=fields.text("first_name") or None,
            last_name=fields.text("last_name") or None,
            metadata=fields.object("metadata"),
        )
        try:
            user = await self.write(request, users.add, new=new)
        except Gone as error:
            raise BadRequest(error.detail) from error
        return json_response(shapes.user(user, user.number), 201)

    async def get(self, request: Request) -> Response:
        """Read a user."""
        user = await self.read(request, users.get, await self.user_id(request))
        return json_response(shapes.user(user, user.number))

    async def update(self, request: Request) -> Response:
        """Change a user: empty texts are skipped, metadata merges and keeps nulls."""
        fields = read_object(await request.body())
        user = await self.write(
            request,
            users.update,
            await self.user_id(request),
            change=_change(fields),
            merge=merge_keeping_nulls,
        )
        return json_response(shapes.user(user, user.number))

    async def delete(self, request: Request) -> Response:
        """Delete a user, with all that is theirs."""
        user_id = await self.user_id(request)
        return await self.delete_subject(request, self._worker, erasures.begin_user, user_id)

    async def list_sessions(self, request: Request) -> Response:
        """All sessions of a user, each with the id 0; none where the user is unknown."""
        user_id = await self.user_id(request)
        shown: list[shapes.ZepSession] = []
        after = 0
        while True:
            page = Page(limit=BATCH, after=after)
            rows = await self.read(request, sessions.page, page=page, user_id=user_id)
            shown += [shapes.session(row, 0) for row in rows[:BATCH]]
            if len(rows) <= BATCH:
                return json_response(shown)
            after = rows[BATCH - 1].number


def _change(fields: Fields) -> UserChange:
    fields.uuid("uuid")
    change = UserChange()
    for name in ("email", "first_name", "last_name"):
        if text := fields.text(name):
            setattr(change, name, text)
    if metadata := fields.object("metadata"):
        change.metadata = metadata
    return change
