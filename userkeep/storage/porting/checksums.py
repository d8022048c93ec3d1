"""A checksum of a table that is the same on every engine where the rows say the same."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from userkeep.storage.porting.tables import Row, Table

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode
_encode_rows = msgspec.json.Encoder().encode_lines

# Where a metadata may hold a number that has several texts: 100.0, 1e2, -0, or one that PostgreSQL
# prints with all its digits. What looks like one inside a text only costs time.
_SEVERAL_TEXTS = re.compile(r"\d[.eE]|-0|\d{19}")

_LARGE = 10**20
"""More than any integer: what is larger is a double, and perhaps printed as an integer."""


class Checksum(NamedTuple):
    """What a table holds: how many rows, and 32 hex digits that stand for all of them."""

    rows: int
    digest: str


class Summing:
    """Takes a table's rows, in the order of its key, and gives their checksum."""

    def __init__(self, table: Table) -> None:
        self._metadata_at = table.metadata_at
        self._hash = blake2b(digest_size=16)
        self._rows = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Take the next rows."""
        self._rows += len(rows)
        self._hash.update(_encode_rows(self._canonical(rows)))

    @property
    def checksum(self) -> Checksum:
        """Of all rows so far."""
        return Checksum(self._rows, self._hash.hexdigest())

    def _canonical(self, rows: Sequence[Row]) -> Sequence[tuple[Any, ...]]:
        at = self._metadata_at
        if at is None:
            return rows
        return [
            row if row[at] is None else (*row[:at], canonical_json(str(row[at])), *row[at + 1 :])
            for row in rows
        ]


def canonical_json(text: str) -> msgspec.Raw:
    """The one text of all that say the same: keys sorted, numbers by their value, no spaces."""
    if _SEVERAL_TEXTS.search(text):
        value = json.loads(text, parse_int=_canonical_number, parse_float=_canonical_number)
    else:
        value = _decode(text)
    return msgspec.Raw(_encode(value))


def _canonical_number(text: str) -> msgspec.Raw:
    # A double is compared by its shortest decimal, which is what was written and what PostgreSQL
    # keeps: as the doubles nearest to them, two different integers could be equal.
    number = Decimal(text)
    if abs(number) < _LARGE and number == int(number):
        return msgspec.Raw(b"%d" % int(number))
    return msgspec.Raw(str(number.normalize()).encode())
