"""A checksum of a table that is the same on both engines if the rows are."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from userkeep.jobs.copy.tables import Row, Table

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode
_encode_rows = msgspec.json.Encoder().encode_lines

# Metadata may have a number that can be written in several ways: 100.0, 1e2, -0, or one that
# PostgreSQL writes with all its digits. A match inside a text only costs time.
_AMBIGUOUS_NUMBER = re.compile(r"\d[.eE]|-0|\d{19}")

_LARGE = 10**20
"""More than any integer: a larger number is a double, even if it is written as an integer."""


class Checksum(NamedTuple):
    """The number of rows of a table, and a hash of them in 32 hex digits."""

    rows: int
    digest: str


class Checksummer:
    """Computes the checksum of a table from its rows, in the order of its key."""

    def __init__(self, table: Table) -> None:
        self._metadata_at = table.metadata_at
        self._hash = blake2b(digest_size=16)
        self._rows = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Add the next rows."""
        self._rows += len(rows)
        self._hash.update(_encode_rows(self._canonical(rows)))

    @property
    def checksum(self) -> Checksum:
        """The checksum of all rows so far."""
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
    """Return the canonical form of JSON: keys sorted, numbers by their value, no spaces."""
    if _AMBIGUOUS_NUMBER.search(text):
        value = json.loads(text, parse_int=_canonical_number, parse_float=_canonical_number)
    else:
        value = _decode(text)
    return msgspec.Raw(_encode(value))


def _canonical_number(text: str) -> msgspec.Raw:
    # A double is compared by its shortest decimal, which is what was written and what PostgreSQL
    # stores. Compared as doubles, two different integers could be equal.
    number = Decimal(text)
    if abs(number) < _LARGE and number == int(number):
        return msgspec.Raw(b"%d" % int(number))
    return msgspec.Raw(str(number.normalize()).encode())
