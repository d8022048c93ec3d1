"""Pages of a list, and the cursor that leads from one to the next."""

import base64
import binascii
import hashlib
from typing import Any, Literal

import msgspec

from userkeep.domain.errors import BadRequest

Order = Literal["created", "-created"]
DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
_CURSOR_VERSION = 1
_GREATEST_NUMBER = 2**63 - 1


class PageRequest(msgspec.Struct):
    """Which rows of a list to read: at most `limit`, in `order`, after the row `after`."""

    limit: int = DEFAULT_LIMIT
    order: Order = "created"
    after: int | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What a list query needs: one row more than asked for, to know whether any is left."""
        if self.order == "created":
            return {"after": self.after, "limit": self.limit + 1}
        return {"before": self.after, "descending": True, "limit": self.limit + 1}


def write_cursor(order: Order, filters: Any, number: int) -> str:
    """An opaque text: version, order, a fingerprint of the filters, the last row's number."""
    parts = (_CURSOR_VERSION, order, _fingerprint(filters), number)
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def read_cursor(cursor: str, order: Order, filters: Any) -> int:
    """The number after which the page begins.

    Raises:
        BadRequest: the cursor is not one of ours, or belongs to a list with other filters.
    """
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        version, made_for_order, fingerprint, number = msgspec.json.decode(
            base64.b64decode(padded, b"-_", validate=True), type=tuple[int, str, str, int]
        )
    except (binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
        raise BadRequest("cursor is not one that this server gave out.", "cursor") from error
    if version != _CURSOR_VERSION or not 0 <= number <= _GREATEST_NUMBER:
        raise BadRequest("cursor is not one that this server gave out.", "cursor")
    if (made_for_order, fingerprint) != (order, _fingerprint(filters)):
        raise BadRequest(
            "cursor belongs to a list with other filters or another order; start again without it.",
            "cursor",
        )
    return number


def _fingerprint(filters: Any) -> str:
    encoded = msgspec.json.encode(filters, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=6).hexdigest()
