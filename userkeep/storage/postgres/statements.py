"""Statements in PostgreSQL's form: numbered parameters are sent, typed columns come back.

Values are sent as text, and PostgreSQL infers their types. Only times, whose names end in `_at`,
are sent in binary, as PostgreSQL stores them: microseconds since 2000. All results are binary.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.adapt import Loader, Transformer
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from userkeep.domain.values.times import from_datetime

_LONG_NUMBER = re.compile(r"\d{19}")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")
_TIMESTAMPTZ_OID = 1184
_ANY_TYPE_OID = 0
_ROWS_BETWEEN_CHECKS = 32
_EPOCH_2000 = from_datetime(datetime(2000, 1, 1, tzinfo=UTC))


class Statement(NamedTuple):
    """SQL with the parameters `$1`, `$2` …

    Attributes:
        sql: the SQL.
        names: of the parameters, in order.
        types: their OIDs; 0 where PostgreSQL infers the type.
        formats: binary for times, text for everything else.
        is_prepared: whether it is prepared on each connection, and stays prepared there.
    """

    sql: bytes
    names: tuple[str, ...]
    types: tuple[int, ...]
    formats: tuple[Format, ...]
    is_prepared: bool = True


@lru_cache(maxsize=1024)
def statement(text: str) -> Statement:
    """Return the statement of a query's text, with its `:named` parameters numbered."""
    return _numbered(text, is_prepared=True)


def unprepared_statement(text: str) -> Statement:
    """Return a statement that is not prepared, for a text that may never be used again.

    The number of different filters is unbounded, and PostgreSQL keeps a prepared statement for as
    long as the connection lasts.
    """
    return _numbered(text, is_prepared=False)


def _numbered(text: str, *, is_prepared: bool) -> Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: number for number, name in enumerate(names, 1)}
    sql = _PARAMETER.sub(lambda match: f"${numbers[match[1]]}", text)
    is_time = [name.endswith("_at") for name in names]
    return Statement(
        sql.encode(),
        names,
        tuple(_TIMESTAMPTZ_OID if each else _ANY_TYPE_OID for each in is_time),
        tuple(Format.BINARY if each else Format.TEXT for each in is_time),
        is_prepared,
    )


NO_PARAMETERS: tuple[bytes | None, ...] = ()


def parameters(of: Statement, values: Mapping[str, Any]) -> list[bytes | None]:
    """Return the values of a statement's parameters, encoded."""
    encoded: list[bytes | None] = []
    for name, format_ in zip(of.names, of.formats, strict=True):
        value = values[name]
        if value is None:
            encoded.append(None)
        elif format_:
            encoded.append((value - _EPOCH_2000).to_bytes(8, "big", signed=True))
        elif isinstance(value, str):
            encoded.append(value.encode())
        elif isinstance(value, bytes):
            encoded.append(b"\\x" + value.hex().encode())
        elif isinstance(value, float):
            encoded.append(repr(value).encode())
        else:
            encoded.append(b"%d" % value)
    return encoded


class RowLoader:
    """Converts the results of one connection to rows of numbers, strings, bytes and None."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        for type_name, loader in _LOADERS.items():
            connection.adapters.register_loader(type_name, loader)
        self._transformer = Transformer(connection)

    def rows(self, result: PGresult) -> Sequence[tuple[Any, ...]]:
        """Return all rows of a result."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def iterate(self, result: PGresult) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a result. No other result may be converted meanwhile."""
        self._transformer.set_pgresult(result)
        for number in range(result.ntuples):
            row = self._transformer.load_row(number, tuple)
            if row is not None:
                yield row

    def rows_until(self, check: Callable[[], None], result: PGresult) -> Sequence[tuple[Any, ...]]:
        """Return all rows of a result; `check` is called between them, and may raise."""
        self._transformer.set_pgresult(result)
        count, rows = result.ntuples, list[tuple[Any, ...]]()
        for first in range(0, count, _ROWS_BETWEEN_CHECKS):
            check()
            last = min(first + _ROWS_BETWEEN_CHECKS, count)
            rows += self._transformer.load_rows(first, last, tuple)
        return rows


class _BinaryLoader(Loader):
    format = Format.BINARY


class _InstantLoader(_BinaryLoader):
    def load(self, data: Any) -> int:
        return int.from_bytes(data, "big", signed=True) + _EPOCH_2000


class _UuidLoader(_BinaryLoader):
    def load(self, data: Any) -> str:
        text = bytes(data).hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class _JsonbLoader(_BinaryLoader):
    def load(self, data: Any) -> str:
        text = str(data[1:], "utf-8")  # the first byte is the format's version
        return _restore_doubles(text) if _LONG_NUMBER.search(text) else text


def _restore_doubles(text: str) -> str:
    """Return the JSON text with its doubles as they were sent.

    PostgreSQL stores a number's value, not its text: it returns the double 1e300 as an integer of
    301 digits, which a client that reads integers exactly takes for another number.
    """
    return msgspec.json.encode(_to_doubles(msgspec.json.decode(text))).decode()


def _to_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_doubles(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


_LOADERS: dict[str, type[Loader]] = {
    "timestamptz": _InstantLoader,
    "uuid": _UuidLoader,
    "jsonb": _JsonbLoader,
}
