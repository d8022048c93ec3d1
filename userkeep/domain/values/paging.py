"""Pages of a list, and the cursors between them."""

import base64
import binascii
import hashlib
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from userkeep.domain.errors import BadRequest
from userkeep.domain.values.times import EARLIEST, LATEST, Instant

Order = Literal["created", "-created"]
SessionOrder = Literal["created", "-created", "active", "-active"]
DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page ends after the row with which its texts have this many bytes."""

_CURSOR_VERSION = 2
_GREATEST_NUMBER = 2**63 - 1
_INVALID = "cursor is not valid: use the value of `next` of a page."


T = TypeVar("T")


class HasSize(Protocol):
    """A row that knows how many bytes its texts have.

    A type whose rows cannot have many says how many at most: `max_size_bytes`.
    """

    @property
    def size_bytes(self) -> int:
        """The bytes of its long texts in UTF-8."""
        ...


class Rows(NamedTuple, Generic[T]):
    """Rows that were read, and whether there are more."""

    items: list[T]
    has_more: bool


class PageRequest(msgspec.Struct):
    """Which rows of a list to read: at most `limit`, in `order`, after a row.

    Attributes:
        after: the number of that row.
        position_at: its `active_at`, in the order of activity.
    """

    limit: int = DEFAULT_LIMIT
    order: SessionOrder = "created"
    after: int | None = None
    position_at: Instant | None = None

    @property
    def is_descending(self) -> bool:
        """Whether the newest rows come first."""
        return self.order.startswith("-")

    @property
    def is_by_activity(self) -> bool:
        """Whether the order is that of `active_at`."""
        return self.order.endswith("active")

    @property
    def values(self) -> dict[str, Any]:
        """The values of a list query: one row more than the limit shows that there are more."""
        values: dict[str, Any] = {"limit": self.limit + 1}
        if self.is_by_activity:
            values["position_at"] = self.position_at
        if self.is_descending:
            return values | {"before": self.after, "descending": True}
        return values | {"after": self.after}

    def cut(self, rows: Rows[T]) -> Rows[T]:
        """Return the rows of the page, of those that were read with `values`."""
        return Rows(rows.items[: self.limit], rows.has_more or len(rows.items) > self.limit)


class Position(NamedTuple):
    """The row after which a page starts.

    Attributes:
        number: its number, or the `seq` of a message.
        at: its `active_at`, in the order of activity; else 0.
    """

    number: int
    at: Instant = Instant(0)


def encode_cursor(order: SessionOrder, filters: Any, position: Position) -> str:
    """Return an opaque text with a version, the order, a fingerprint of the filters and a position.

    Args:
        order, filters: of the list.
        position: of the last row of the page.
    """
    parts = (_CURSOR_VERSION, order, _fingerprint(filters), *position)
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def decode_cursor(cursor: str, order: SessionOrder, filters: Any) -> Position:
    """Return the position after which the page starts.

    Raises:
        BadRequest: the cursor is invalid, or of a list with other filters or another order.
    """
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        version, cursor_order, fingerprint, number, at = msgspec.json.decode(
            base64.b64decode(padded, b"-_", validate=True), type=tuple[int, str, str, int, int]
        )
    except (binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
        raise BadRequest(_INVALID, "cursor") from error
    is_in_range = 0 <= number <= _GREATEST_NUMBER and EARLIEST <= at <= LATEST
    if version != _CURSOR_VERSION or not is_in_range:
        raise BadRequest(_INVALID, "cursor")
    if (cursor_order, fingerprint) != (order, _fingerprint(filters)):
        raise BadRequest(
            "cursor belongs to a list with other filters or another order. Start without a cursor.",
            "cursor",
        )
    return Position(number, Instant(at))


def _fingerprint(filters: Any) -> str:
    encoded = msgspec.json.encode(filters, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=6).hexdigest()
