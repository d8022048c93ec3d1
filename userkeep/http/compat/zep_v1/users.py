"""Users on `/api/v1`."""

from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import NewUser, UserChange
from userkeep.domain.values.metadata import merge_keeping_nulls
from userkeep.domain.values.paging import PageRequest
from userkeep.http.compat.lenient import Fields
from userkeep.http.compat.zep_v1.batches import (
    BATCH_SIZE,
    MAX_BOUNDED,
    Batch,
    array_response,
    make_batch,
)
from userkeep.http.compat.zep_v1.lists import PagedList
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import serialize_session, serialize_user
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import erasures, sessions, users
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker


class Users(Resource):
    """`/user…`"""

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        super().__init__(engine, worker, compute)
        self._list = PagedList(
            engine, "users", select=users.page, skip=users.skip, serialize=serialize_user
        )
        self.handlers = {
            ("POST", "/user"): self.add,
            ("GET", "/user"): self._list.respond,
            ("GET", "/user/{user_id}"): self.get,
            ("PATCH", "/user/{user_id}"): self.update,
            ("DELETE", "/user/{user_id}"): self.delete,
            ("GET", "/user/{user_id}/sessions"): self.list_sessions,
        }

    async def add(self, request: Request) -> Response:
        """Create a user: 201."""
        new = await self.parse(request, _new_user)
        try:
            user = await self.write(request, users.add, new=new)
        except Gone as error:
            raise BadRequest(error.detail) from error
        return json_response(serialize_user(user, user.number), 201)

    async def get(self, request: Request) -> Response:
        """Return a user."""
        user = await self.read(request, users.get, await self.user_id(request))
        return json_response(serialize_user(user, user.number))

    async def update(self, request: Request) -> Response:
        """Update a user: empty texts are ignored; metadata is merged and keeps nulls."""
        change = await self.parse(request, _change)
        user = await self.write(
            request,
            users.update,
            await self.user_id(request),
            change=change,
            merge=merge_keeping_nulls,
            touches=True,
        )
        return json_response(serialize_user(user, user.number))

    async def delete(self, request: Request) -> Response:
        """Delete a user with all sessions and messages."""
        user_id = await self.user_id(request)
        return await self.delete_subject(request, erasures.begin_user, user_id)

    async def list_sessions(self, request: Request) -> Response:
        """Return all sessions of a user, each with the id 0; empty if the user is unknown."""
        user_id = await self.user_id(request)

        async def read(after: int, count: int) -> Batch:
            # Most users have few sessions, which are read fastest on the event loop.
            size = BATCH_SIZE if count else MAX_BOUNDED
            return await self.read(
                request,
                _session_batch,
                user_id,
                page=PageRequest(limit=size, after=after),
                is_bounded=size <= MAX_BOUNDED,
            )

        return await array_response(b"[", read, 0, lambda _count, _last: b"]")


def _session_batch(tx: Transaction, user_id: str, page: PageRequest) -> Batch:
    rows = sessions.page(tx, page, user_id=user_id)
    items = [serialize_session(row, 0) for row in rows.items]
    last = rows.items[-1].number if items else 0
    return make_batch(items, last, is_last=not rows.has_more)


def _new_user(fields: Fields) -> NewUser:
    return NewUser(
        user_id=fields.text("user_id") or "",
        email=fields.text("email") or None,
        first_name=fields.text("first_name") or None,
        last_name=fields.text("last_name") or None,
        metadata=fields.object("metadata"),
    )


def _change(fields: Fields) -> UserChange:
    fields.uuid("uuid")
    change = UserChange()
    for name in ("email", "first_name", "last_name"):
        if text := fields.text(name):
            setattr(change, name, text)
    if metadata := fields.object("metadata"):
        change.metadata = metadata
    return change
