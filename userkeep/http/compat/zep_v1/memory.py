"""Memory and messages on `/api/v1`."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import AlreadyExists, BadRequest, Gone, NotFound
from userkeep.domain.message import (
    CheckedMessageChange,
    MessageChange,
    NewMessage,
    role_of_zep_role,
)
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_keeping_nulls
from userkeep.domain.values.text import check_name
from userkeep.handlers.calls import INLINE_BYTES
from userkeep.http.compat.lenient import MAX_INT64, Fields, query_integer
from userkeep.http.compat.zep_v1.batches import (
    BATCH_SIZE,
    MAX_BOUNDED,
    Batch,
    array_response,
    make_batch,
)
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import serialize_memory, serialize_message
from userkeep.http.compat.zep_v1.sessions import metadata_change
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response, text_response
from userkeep.services import erasures, memory, messages, sessions
from userkeep.services.messages import PreparedMessage
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

_LIMIT_IF_INVALID = 100
_UUID_EXISTS = "A message with one of these uuids is already in the session."

# Zep has no limit. Of this many, the writes of others wait a fifth of a second.
_MAX_BATCH = 5_000


class Memory(Resource):
    """`/sessions/{id}/memory` and `/sessions/{id}/messages…`"""

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        super().__init__(engine, worker, compute)
        self.handlers = {
            ("GET", "/sessions/{session_id}/memory"): self.get,
            ("POST", "/sessions/{session_id}/memory"): self.append,
            ("DELETE", "/sessions/{session_id}/memory"): self.delete,
            ("GET", "/sessions/{session_id}/messages"): self.list_messages,
            ("GET", "/sessions/{session_id}/messages/{uuid}"): self.get_message,
            ("PATCH", "/sessions/{session_id}/messages/{uuid}"): self.update_message,
        }

    async def get(self, request: Request) -> Response:
        """Return the newest messages; empty if the session is unknown."""
        last = query_integer(request.query(), "lastn")
        if last < 0:
            raise BadRequest("lastn cannot be negative", "lastn")
        try:
            return await self.read_json(
                request,
                memory.newest,
                await self.session_id(request),
                last=last or None,
                serialize=serialize_memory,
                is_bounded=last <= MAX_BOUNDED,
            )
        except (NotFound, Gone):
            return json_response(serialize_memory([]))

    async def append(self, request: Request) -> Response:
        """Append messages. An unknown session is created, unless it was deleted with its user."""
        new = await self.parse(request, _new_messages, request.scope.rules.analyzer)
        try:
            await self.write(
                request,
                messages.append,
                await self.session_id(request),
                new=new,
                may_create=True,
                is_bounded=len(new) <= MAX_BOUNDED and _length(new) <= INLINE_BYTES,
            )
        except AlreadyExists as error:
            raise AlreadyExists(_UUID_EXISTS, "uuid") from error
        return text_response("OK")

    async def delete(self, request: Request) -> Response:
        """Delete a session and its messages."""
        session_id = await self.session_id(request)
        return await self.delete_subject(request, erasures.begin_session, session_id)

    async def list_messages(self, request: Request) -> Response:
        """Return a page of messages, oldest first; `cursor` is the page number, from 1."""
        limit, page = _message_page(request)
        session_id = await self.session_id(request)
        offset = min((page - 1) * limit, MAX_INT64) or None
        total = 0

        async def read(after: int, count: int) -> Batch:
            nonlocal total
            wanted = min(limit - count, BATCH_SIZE) if limit else BATCH_SIZE
            batch, found = await self.read(
                request,
                _message_batch,
                session_id,
                after=after or None,
                offset=None if count else offset,
                limit=wanted,
                is_last=0 < limit <= count + wanted,
                is_bounded=0 < limit * page <= MAX_BOUNDED,
            )
            total = total if count else found
            return batch

        def finish(count: int, _last: int) -> bytes:
            return b'],"total_count":%d,"row_count":%d}' % (total if count else 0, count)

        return await array_response(b'{"messages":[', read, 0, finish)

    async def get_message(self, request: Request) -> Response:
        """Return a message."""
        message = await self.read(
            request, messages.get, await self.session_id(request), id=_uuid(request)
        )
        return json_response(serialize_message(message))

    async def update_message(self, request: Request) -> Response:
        """Merge the metadata of a message; its other fields do not change."""
        change = await self.parse(request, _change)
        message = await self.write(
            request,
            messages.update,
            await self.session_id(request),
            id=_uuid(request),
            change=change,
            merge=merge_keeping_nulls,
        )
        return json_response(serialize_message(message))


def _message_batch(
    tx: Transaction, session_id: str, *, limit: int, is_last: bool, **values: Any
) -> tuple[Batch, int]:
    """Return a batch of messages, and how many the session has.

    Args:
        is_last: whether it is the last one if it has as many messages as the limit.
    """
    rows = messages.select(tx, session_id, limit=limit, **values)
    items = [serialize_message(row) for row in rows.items]
    total = sessions.get(tx, session_id).message_count if items else 0
    last = rows.items[-1].seq if items else 0
    has_more = rows.has_more or (len(items) == limit and not is_last)
    return make_batch(items, last, is_last=not has_more), total


def _message_page(request: Request) -> tuple[int, int]:
    """Return the limit (0: all) and the page (from 1); the defaults if one of them is invalid."""
    parameters = request.query()
    try:
        limit = query_integer(parameters, "limit")
        page = query_integer(parameters, "cursor")
    except BadRequest:
        return _LIMIT_IF_INVALID, 1
    return max(limit, 0), max(page, 1)


def _new_messages(fields: Fields, analyzer: Analyzer) -> list[PreparedMessage]:
    fields.object("metadata")
    if summary := fields.object("summary"):
        _check_ignored(Fields(summary, "summary"))
    new = fields.objects("messages", at_most=_MAX_BATCH)
    return messages.prepare(analyzer, [_new_message(each) for each in new], may_be_empty=True)


def _length(new: list[PreparedMessage]) -> int:
    return sum(len(each.message.content) for each in new)


def _change(fields: Fields) -> CheckedMessageChange:
    _check_ignored(fields)
    return MessageChange(metadata=metadata_change(fields.object("metadata"))).checked()


def _new_message(fields: Fields) -> NewMessage:
    role = check_name(fields.text("role"), fields.path_of("role")) or ""
    _check_ignored(fields)
    return NewMessage(
        role=role_of_zep_role(role),
        name=role,
        content=fields.text("content") or "",
        id=fields.uuid("uuid"),
        token_count=fields.integer("token_count"),
        metadata=fields.object("metadata"),
    )


def _check_ignored(fields: Fields) -> None:
    """Check the types of fields that are otherwise ignored."""
    fields.uuid("uuid")
    fields.integer("token_count")
    fields.check_time("created_at")
    fields.check_time("updated_at")


def _uuid(request: Request) -> str:
    return Fields({"uuid": request.id("uuid")}).uuid("uuid") or ""
