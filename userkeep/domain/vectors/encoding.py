"""Embeddings as bytes: float32 as they were given, and int8 at unit length for searches."""

import binascii
import json
import struct
from array import array
from collections.abc import Sequence
from math import isfinite, sqrt
from operator import mul
from typing import Any

from userkeep.domain.errors import InvalidField

FLOAT_BYTES = 4
SCALE_BYTES = 4
_NUMBERS = frozenset({int, float})
_STEPS = 127
_SHORT, _EXACT = "%.7g", "%.9g"


def encode_embedding(values: Sequence[Any], field: str) -> bytes:
    """Return an embedding as float32, little-endian.

    Raises:
        InvalidField: it has something else than finite numbers, or only zeros: naming `field`.
    """
    if not _NUMBERS.issuperset(map(type, values)):
        raise InvalidField(f"{field} {_describe_fault(values)}", field)
    try:
        encoded = struct.pack(f"<{len(values)}f", *values)
    except (struct.error, OverflowError) as error:
        raise InvalidField(f"{field} {_describe_fault(values)}", field) from error
    floats = decode_embedding(encoded)
    if not isfinite(sum(floats)) and not all(map(isfinite, floats)):
        raise InvalidField(f"{field} {_describe_fault(values)}", field)
    if not any(floats):
        raise InvalidField(f"{field} has only zeros, which have no direction to compare.", field)
    return encoded


def decode_base64_embedding(text: str, field: str) -> Sequence[float]:
    """Return the numbers of an embedding that is float32, little-endian, in base64.

    Raises:
        InvalidField: it is not: naming `field`.
    """
    try:
        encoded = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # not ASCII, or not base64
        raise InvalidField(f"{field} is not base64: {_short(text)}.", field) from error
    if not encoded or len(encoded) % FLOAT_BYTES:
        raise InvalidField(
            f"{field} must have a multiple of {FLOAT_BYTES} bytes in base64: numbers as float32, "
            f"little-endian; got {len(encoded)} bytes.",
            field,
        )
    return decode_embedding(encoded)


def _describe_fault(values: Sequence[Any]) -> str:
    for index, value in enumerate(values):
        if type(value) not in _NUMBERS:
            return f"must have numbers; [{index}] is {_short(value)}."
        if not isfinite(value):
            return f"must have finite numbers; [{index}] is {value}."
    return "has a number that is too large for float32."


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"


def check_dimensions(embedding: bytes, dimensions: int, field: str) -> None:
    """Check that an embedding has as many dimensions as its collection.

    Raises:
        InvalidField: naming `field`.
    """
    given = len(embedding) // FLOAT_BYTES
    if given != dimensions:
        raise InvalidField(
            f"{field} has {given} dimensions; the collection has {dimensions}.", field
        )


def decode_embedding(embedding: bytes) -> Sequence[float]:
    """Return the numbers of an embedding."""
    return struct.unpack(f"<{len(embedding) // FLOAT_BYTES}f", embedding)


def embedding_json(embedding: bytes) -> bytes:
    """Return an embedding as a JSON array, each number in the fewest digits that give it back."""
    floats = decode_embedding(embedding)
    short = [_SHORT % value for value in floats]
    # Two conversions for all of them together, because most numbers need no other.
    back = array("f", map(float, short))
    texts = [
        (text if value == again else _EXACT % value) if value else str(value)
        for text, value, again in zip(short, floats, back, strict=True)
    ]
    return f"[{','.join(texts)}]".encode()


def quantize_embedding(embedding: bytes) -> bytes:
    """Return an embedding at unit length as a scale (float32) and a signed byte per dimension."""
    floats = decode_embedding(embedding)
    length = sqrt(sum(map(mul, floats, floats)))
    greatest = max(map(abs, floats))
    factor = _STEPS / greatest
    scale = struct.pack("<f", greatest / length / _STEPS)
    return scale + array("b", [round(value * factor) for value in floats]).tobytes()
