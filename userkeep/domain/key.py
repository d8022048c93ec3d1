"""API keys: what one looks like, what it permits, and how it is stored.

The text of a key is `uk_`, its id, `_`, and its secret: 256 random bits as hex digits. Only the
SHA-256 hash of the whole text is stored. A fast hash is enough: random bits cannot be guessed.
"""

import hashlib
import re
import secrets
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.text import check_name
from userkeep.domain.values.times import LATEST, TIME_SCHEMA, GivenTime, Instant, from_datetime

Permission = Literal["read", "write", "admin"]
"""What a key permits: each includes the ones before it."""

DEFAULT_OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 24 * 30

MIN_KEY_LENGTH = 16
"""Of a key that an operator chooses."""

_RANKS: dict[str, int] = {each: rank for rank, each in enumerate(get_args(Permission))}
_TEXT = re.compile(rb"uk_([0-9a-f]{16})_[0-9a-f]{64}")


class KeyText(NamedTuple):
    """A key that was just generated; its text is shown once.

    Attributes:
        id: 16 hex digits.
        text: what a client sends.
        hash: what is stored.
    """

    id: str
    text: str
    hash: str


class Key(msgspec.Struct):
    """A key as stored.

    Attributes:
        number: the order of creation.
        id: the part of its text that is no secret.
        name: what it is for.
        scope: what it permits.
        user_id: the only user that exists for it; None for a key that sees the whole project.
        created_at: when it was created.
        expires_at: until when it is valid; None for no limit.
        last_used_at: the time of its last request, a minute old at most.
        revoked_at: when it was revoked; None if it was not.
        former_expires_at: until when the text that it had before its rotation is valid.
    """

    number: int
    id: str
    name: str | None
    scope: str
    user_id: str | None
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    revoked_at: Instant | None
    former_expires_at: Instant | None


class StoredKey(msgspec.Struct):
    """What authentication needs of a key, whatever its project."""

    project_id: int
    id: str
    scope: str
    user_id: str | None
    user_uuid: str | None
    hash: str
    former_hash: str | None
    former_expires_at: Instant | None
    expires_at: Instant | None
    revoked_at: Instant | None

    def valid_until(self, text_hash: str, now: Instant) -> Instant | None:
        """Return until when a text with this hash is this key; None if it is not, or not any more.

        Args:
            text_hash: from `hash_of_key`.
        """
        end = self.expires_at or LATEST
        is_current = secrets.compare_digest(text_hash, self.hash)
        is_former = secrets.compare_digest(text_hash, self.former_hash or "")
        if is_former and not is_current:
            end = min(end, self.former_expires_at or Instant(0))
        is_valid = (is_current or is_former) and self.revoked_at is None and now < end
        return end if is_valid else None

    def is_valid(self, now: Instant) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


ExpiryTime = Annotated[
    GivenTime,
    msgspec.Meta(
        description="When the key ends. UTC unless it has an offset.",
        extra_json_schema=TIME_SCHEMA,
    ),
]


class NewKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A key to create."""

    name: str | None = None
    scope: Permission = "write"
    user_id: Annotated[
        str | None,
        msgspec.Meta(
            description="Bind the key to this user: only the user and their sessions exist for it."
        ),
    ] = None
    expires_at: ExpiryTime | None = None

    def check(self, now: Instant) -> None:
        """Check the fields.

        Raises:
            InvalidField: naming the field.
        """
        check_name(self.name, "name")
        if self.user_id is not None:
            check_id(self.user_id, "user_id")
        if self.user_id is not None and self.scope == "admin":
            raise InvalidField("A key for a user cannot have the scope admin.", "scope")
        if self.expires_at is None:
            return
        if not now < from_datetime(self.expires_at) <= LATEST:
            text = self.expires_at.isoformat()
            raise InvalidField(f"expires_at must be in the future, not {text}.", "expires_at")


def permits(scope: Permission, needed: Permission) -> bool:
    """Return whether a key with a scope may do what needs another scope."""
    return _RANKS[scope] >= _RANKS[needed]


def new_key_text(key_id: str | None = None) -> KeyText:
    """Return a new key.

    Args:
        key_id: the id of a key that gets a new text; by default a new id.
    """
    id_ = key_id or secrets.token_hex(8)
    text = f"uk_{id_}_{secrets.token_hex(32)}"
    return KeyText(id_, text, hash_of_key(text.encode()))


def id_of_key(text: bytes) -> str | None:
    """Return the id in the text of a key; None if it is not the text of a key."""
    match = _TEXT.fullmatch(text)
    return match[1].decode() if match else None


def hash_of_key(text: bytes) -> str:
    """Return the 64 hex digits that are stored of a key."""
    return hashlib.sha256(text).hexdigest()
