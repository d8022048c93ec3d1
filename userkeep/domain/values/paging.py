"""Pages of a list, and the cursors between them."""

import base64
import binascii
import hashlib
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from userkeep.domain.errors import BadRequest

Order = Literal["created", "-created"]
DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page ends after the row with which its texts have this many bytes."""

_CURSOR_VERSION = 1
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
    """Which rows of a list to read: at most `limit`, in `order`, after the row `after`."""

    limit: int = DEFAULT_LIMIT
    order: Order = "created"
    after: int | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values of a list query: one row more than the limit shows that there are more."""
        if self.order == "created":
            return {"after": self.after, "limit": self.limit + 1}
        return {"before": self.after, "descending": True, "limit": self.limit + 1}

    def cut(self, rows: Rows[T]) -> Rows[T]:
        """Return the rows of the page, of those that were read with `values`."""
        return Rows(rows.items[: self.limit], rows.has_more or len(rows.items) > self.limit)


def encode_cursor(order: Order, filters: Any, number: int) -> str:
    """Return an opaque text with a version, the order, a fingerprint of the filters and a number.

    Args:
        order, filters: of the list.
        number: of the last row of the page.
    """
    parts = (_CURSOR_VERSION, order, _fingerprint(filters), number)
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def decode_cursor(cursor: str, order: Order, filters: Any) -> int:
    """Return the number after which the page starts.

    Raises:
        BadRequest: the cursor is invalid, or of a list with other filters or another order.
    """
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        version, cursor_order, fingerprint, number = msgspec.json.decode(
            base64.b64decode(padded, b"-_", validate=True), type=tuple[int, str, str, int]
        )
    except (binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
        raise BadRequest(
            "cursor is not valid: use the value of `next` of a page.", "cursor"
        ) from error
    if version != _CURSOR_VERSION or not 0 <= number <= _GREATEST_NUMBER:
        raise BadRequest(_INVALID, "cursor")
    if (cursor_order, fingerprint) != (order, _fingerprint(filters)):
        raise BadRequest(
            "cursor belongs to a list with other filters or another order. Start without a cursor.",
            "cursor",
        )
    return number


def _fingerprint(filters: Any) -> str:
    encoded = msgspec.json.encode(filters, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=6).hexdigest()
