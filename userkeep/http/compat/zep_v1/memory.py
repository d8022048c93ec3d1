"""Memory and messages on the `/api/v1` door."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.responses import Response, StreamingResponse

from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.message import Message, MessageChange, NewMessage, role_type_of
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_keeping_nulls
from userkeep.http.compat.lenient import GREATEST, Fields, query_integer, read_object
from userkeep.http.compat.zep_v1 import shapes
from userkeep.http.compat.zep_v1.lists import BATCH, SHORT, encode_json
from userkeep.http.compat.zep_v1.part import Part
from userkeep.http.compat.zep_v1.sessions import mergeable
from userkeep.http.requests import Request
from userkeep.http.responses import json_response, text_response
from userkeep.services import erasures, memory, messages, sessions
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

_LIMIT_WHERE_UNREADABLE = 100


class Memory(Part):
    """`/sessions/{id}/memory` and `/sessions/{id}/messages…`"""

    def __init__(self, engine: Engine, worker: Worker) -> None:
        super().__init__(engine)
        self._worker = worker
        self.handlers = {
            ("GET", "/sessions/{session_id}/memory"): self.get,
            ("POST", "/sessions/{session_id}/memory"): self.append,
            ("DELETE", "/sessions/{session_id}/memory"): self.delete,
            ("GET", "/sessions/{session_id}/messages"): self.list_messages,
            ("GET", "/sessions/{session_id}/messages/{uuid}"): self.get_message,
            ("PATCH", "/sessions/{session_id}/messages/{uuid}"): self.update_message,
        }

    async def get(self, request: Request) -> Response:
        """The newest messages; none where the session is unknown."""
        last = query_integer(request.query(), "lastn")
        if last < 0:
            raise BadRequest("lastn cannot be negative", "lastn")
        try:
            newest = await self.read(
                request,
                memory.get,
                await self.session_id(request),
                last=last or None,
                is_bounded=last <= SHORT,
            )
        except (NotFound, Gone):
            newest = []
        return json_response(shapes.memory(newest))

    async def append(self, request: Request) -> Response:
        """Append messages; an unknown session is opened, unless it was deleted with its user."""
        fields = read_object(await request.body())
        fields.object("metadata")
        if summary := fields.object("summary"):
            _check_ignored(Fields(summary, "summary"))
        new = [_new_message(each) for each in fields.objects("messages")]
        await self.write(
            request, messages.append, await self.session_id(request), new=new, may_open_session=True
        )
        return text_response("OK")

    async def delete(self, request: Request) -> Response:
        """Delete the session with its messages."""
        session_id = await self.session_id(request)
        return await self.delete_subject(request, self._worker, erasures.begin_session, session_id)

    async def list_messages(self, request: Request) -> Response:
        """A page of messages, oldest first: `cursor` is the page's number, from 1."""
        limit, page = _message_page(request)
        session_id = await self.session_id(request)
        rows, total = await self.read(
            request,
            _messages_and_total,
            session_id,
            offset=min((page - 1) * limit, GREATEST) or None,
            limit=min(limit or BATCH, BATCH),
            is_bounded=0 < limit * page <= SHORT,
        )
        is_all = len(rows) < BATCH or 0 < limit <= BATCH
        if is_all:
            shown = [shapes.message(row) for row in rows]
            total = total if shown else 0
            return json_response({"messages": shown, "total_count": total, "row_count": len(shown)})
        return StreamingResponse(
            self._stream(request, session_id, rows, limit, total), media_type="application/json"
        )

    async def get_message(self, request: Request) -> Response:
        """One message; 404 where there is none."""
        found = await self.read(
            request, messages.get, await self.session_id(request), uuid=_uuid(request)
        )
        return json_response(shapes.message(found))

    async def update_message(self, request: Request) -> Response:
        """Merge metadata into a message; nothing else of it changes."""
        fields = read_object(await request.body())
        _check_ignored(fields)
        changed = await self.write(
            request,
            messages.update,
            await self.session_id(request),
            uuid=_uuid(request),
            change=MessageChange(metadata=mergeable(fields.object("metadata"))),
            merge=merge_keeping_nulls,
        )
        return json_response(shapes.message(changed))

    async def _stream(
        self, request: Request, session_id: str, rows: Sequence[Message], limit: int, total: int
    ) -> AsyncIterator[bytes]:
        opening, count = b'{"messages":[', 0
        while rows:
            yield opening + encode_json([shapes.message(row) for row in rows])[1:-1]
            opening = b","
            count += len(rows)
            wanted = min(limit - count, BATCH) if limit else BATCH
            after = rows[-1].seq
            rows = await self.read(
                request, messages.select, session_id, after=after, limit=wanted, is_bounded=False
            )
        yield b'],"total_count":%d,"row_count":%d}' % (total, count)


def _messages_and_total(
    tx: Transaction, session_id: str, **values: Any
) -> tuple[list[Message], int]:
    rows = messages.select(tx, session_id, **values)
    return rows, sessions.get(tx, session_id).message_count if rows else 0


def _message_page(request: Request) -> tuple[int, int]:
    """Limit (0: all) and page (from 1); where one cannot be read, both are as if never given."""
    parameters = request.query()
    try:
        limit = query_integer(parameters, "limit")
        page = query_integer(parameters, "cursor")
    except BadRequest:
        return _LIMIT_WHERE_UNREADABLE, 1
    return max(limit, 0), max(page, 1)


def _new_message(fields: Fields) -> NewMessage:
    role = fields.text("role") or ""
    _check_ignored(fields)
    return NewMessage(
        role=role,
        role_type=role_type_of(role),
        content=fields.text("content") or "",
        uuid=fields.uuid("uuid"),
        token_count=fields.integer("token_count"),
        metadata=fields.object("metadata"),
    )


def _check_ignored(fields: Fields) -> None:
    """Fields that are not used, and refused all the same where they make no sense."""
    fields.uuid("uuid")
    fields.integer("token_count")
    fields.check_time("created_at")
    fields.check_time("updated_at")


def _uuid(request: Request) -> str:
    return Fields({"uuid": request.id("uuid")}).uuid("uuid") or ""
