"""What Zep 0.27.2's objects look like: pure functions from what is stored to what it sent."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.domain.message import Message
from userkeep.domain.session import Session
from userkeep.domain.user import User
from userkeep.domain.values.times import rfc3339_text
from userkeep.services.search import Hit

ZERO_TIME = "0001-01-01T00:00:00Z"
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class ZepUser(msgspec.Struct):
    """Fields with nothing in them are left out, down from `email`."""

    uuid: str
    id: int
    created_at: str
    updated_at: str
    deleted_at: None
    user_id: str
    email: str | UnsetType
    first_name: str | UnsetType
    last_name: str | UnsetType
    metadata: Raw | UnsetType


class ZepSession(msgspec.Struct):
    """All fields are always there."""

    uuid: str
    id: int
    created_at: str
    updated_at: str
    deleted_at: None
    session_id: str
    metadata: Raw | None
    user_id: str | None


class ZepMessage(msgspec.Struct):
    """`updated_at` is the zero time, always."""

    uuid: str
    created_at: str
    updated_at: str
    role: str
    content: str
    metadata: Raw | UnsetType
    token_count: int


class ZepHit(msgspec.Struct):
    """Something that was found. There are no embeddings, and no summaries yet."""

    message: ZepMessage
    summary: None
    dist: float
    embedding: None


NO_SUMMARY: dict[str, Any] = {
    "uuid": ZERO_UUID,
    "created_at": ZERO_TIME,
    "content": "",
    "recent_message_uuid": ZERO_UUID,
    "token_count": 0,
}


def user(stored: User, id_: int) -> ZepUser:
    """A user; `id_` is a place in a list, or the user's stable number."""
    created_at = rfc3339_text(stored.created_at)
    is_unchanged = stored.updated_at == stored.created_at
    return ZepUser(
        stored.uuid,
        id_,
        created_at,
        created_at if is_unchanged else rfc3339_text(stored.updated_at),
        None,
        stored.user_id,
        stored.email or UNSET,
        stored.first_name or UNSET,
        stored.last_name or UNSET,
        _metadata(stored.metadata),
    )


def session(stored: Session, id_: int) -> ZepSession:
    """A session; `id_` is a place in a list, or the session's stable number."""
    return ZepSession(
        stored.uuid,
        id_,
        rfc3339_text(stored.created_at),
        rfc3339_text(stored.updated_at),
        None,
        stored.session_id,
        None if stored.metadata is None else Raw(stored.metadata),
        stored.user_id,
    )


def message(stored: Message) -> ZepMessage:
    """A message."""
    return ZepMessage(
        stored.uuid,
        rfc3339_text(stored.created_at),
        ZERO_TIME,
        stored.role,
        stored.content,
        _metadata(stored.metadata),
        stored.token_count or 0,
    )


def hit(found: Hit) -> ZepHit:
    """A message that was found; the larger `dist`, the nearer."""
    return ZepHit(message(found.message), None, found.score or 0, None)


def memory(messages: list[Message]) -> dict[str, Any]:
    """A memory; its summary is always an object, of zeros where there is none."""
    return {"messages": [message(each) for each in messages], "summary": NO_SUMMARY}


def _metadata(stored: str | None) -> Raw | UnsetType:
    return UNSET if stored is None or stored == "{}" else Raw(stored)
