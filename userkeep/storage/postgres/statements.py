"""Statements as PostgreSQL takes them: numbered parameters going out, typed columns coming back.

Values travel as text and PostgreSQL finds their types from where they stand; only times, whose
names end in `_at`, travel as they are kept there: microseconds since 2000, in binary. All results
come in binary.
"""

import re
from collections.abc import Mapping, Sequence
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
_EPOCH_2000 = from_datetime(datetime(2000, 1, 1, tzinfo=UTC))


class Statement(NamedTuple):
    """A text with `$1`, `$2` …, and what each of them is.

    Attributes:
        sql: the text.
        names: of the parameters, in order.
        types: their OIDs; 0 where PostgreSQL finds the type by itself.
        formats: binary for times, text for all else.
        is_kept: prepared once on a connection, and kept there for as long as that lasts.
    """

    sql: bytes
    names: tuple[str, ...]
    types: tuple[int, ...]
    formats: tuple[Format, ...]
    is_kept: bool = True


@lru_cache(maxsize=1024)
def statement(text: str) -> Statement:
    """A query's text with its `:named` parameters numbered."""
    return _numbered(text, is_kept=True)


def passing_statement(text: str) -> Statement:
    """As `statement`, for a text that may never come again: nothing is kept of it anywhere.

    There is no end of filters, and PostgreSQL keeps what is prepared for as long as a connection.
    """
    return _numbered(text, is_kept=False)


def _numbered(text: str, *, is_kept: bool) -> Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: number for number, name in enumerate(names, 1)}
    sql = _PARAMETER.sub(lambda match: f"${numbers[match[1]]}", text)
    is_time = [name.endswith("_at") for name in names]
    return Statement(
        sql.encode(),
        names,
        tuple(_TIMESTAMPTZ_OID if each else _ANY_TYPE_OID for each in is_time),
        tuple(Format.BINARY if each else Format.TEXT for each in is_time),
        is_kept,
    )


NO_PARAMETERS: tuple[bytes | None, ...] = ()


def parameters(of: Statement, values: Mapping[str, Any]) -> list[bytes | None]:
    """The values of a statement's parameters, as they travel."""
    encoded: list[bytes | None] = []
    for name, format_ in zip(of.names, of.formats, strict=True):
        value = values[name]
        if value is None:
            encoded.append(None)
        elif format_:
            encoded.append((value - _EPOCH_2000).to_bytes(8, "big", signed=True))
        elif isinstance(value, str):
            encoded.append(value.encode())
        else:
            encoded.append(b"%d" % value)
    return encoded


class Reader:
    """Turns the results of one connection into rows: integers, texts and None."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        for type_name, loader in _LOADERS.items():
            connection.adapters.register_loader(type_name, loader)
        self._transformer = Transformer(connection)

    def rows(self, result: PGresult) -> Sequence[tuple[Any, ...]]:
        """All rows of a result."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)


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
        text = str(data[1:], "utf-8")  # the first byte is the version of the format
        return _with_doubles(text) if _LONG_NUMBER.search(text) else text


def _with_doubles(text: str) -> str:
    """The text with its doubles as they came.

    PostgreSQL keeps a number's value and not its text: it gives the double 1e300 back as an integer
    of 301 digits, which is another number to whoever reads integers as such.
    """
    return msgspec.json.encode(_doubles_in(msgspec.json.decode(text))).decode()


def _doubles_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _doubles_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubles_in(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


_LOADERS: dict[str, type[Loader]] = {
    "timestamptz": _InstantLoader,
    "uuid": _UuidLoader,
    "jsonb": _JsonbLoader,
}
