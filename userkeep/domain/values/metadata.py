"""Metadata: a JSON object of the app, and the two ways to merge a change into it."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.text import check_characters

MAX_METADATA_BYTES = 64 * 1024
MAX_DEPTH = 64
_SMALLEST, _GREATEST = -(2**63), 2**63 - 1

Metadata = dict[str, Any]
Merge = Callable[[Metadata, Metadata], Metadata]
"""Merge a change (second) into metadata (first): `merge_patch` or `merge_keeping_nulls`."""

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


def encode_metadata(value: Metadata | None, field: str = "metadata") -> str | None:
    """Check metadata, and return it as JSON text.

    Numbers must be finite doubles or 64-bit integers, texts must not have NUL characters or half
    surrogate pairs. It can be nested 64 levels deep and 64 KiB large.

    Raises:
        InvalidField: naming the field, by its path (`metadata.a.b`).
    """
    if value is None:
        return None
    check_json(value, field)
    text = encode_json(value)
    if len(text) > MAX_METADATA_BYTES:
        raise InvalidField(f"{field} is larger than 64 KiB.", field)
    return text.decode()


def check_json(value: Any, field: str) -> None:
    """Check that JSON and both databases can represent a value, whatever its size.

    Raises:
        InvalidField: naming the field, by its path.
    """
    _check(value, field, 1)


def decode_metadata(stored: str | None) -> Metadata:
    """Return stored metadata as a dict, which is empty if there is none."""
    if stored is None:
        return {}
    value: Metadata = decode_json(stored)
    return value


def _check(value: Any, field: str, depth: int) -> None:
    if isinstance(value, str):
        check_characters(value, field)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
        _check_items(value, field, depth)
    else:
        _check_scalar(value, field)


def _check_items(value: Metadata | list[Any], field: str, depth: int) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, f"{field}[{index}]", depth + 1)
        return
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidField(f"{field} has a key that is not text: {key!r}.", field)
        check_characters(key, field)
        _check(item, f"{field}.{key}", depth + 1)


def _check_scalar(value: Any, field: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if not _SMALLEST <= value <= _GREATEST:
            raise InvalidField(f"{field} is an integer of more than 64 bits.", field)
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidField(f"{field} is not a finite number.", field)
    else:
        raise InvalidField(f"{field} is a {type(value).__name__}, which JSON cannot hold.", field)


def merge_patch(target: Metadata, change: Metadata) -> Metadata:
    """Merge as RFC 7396 does: objects recursively; `null` removes a key."""
    merged = dict(target)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            former = merged.get(key)
            merged[key] = merge_patch(former if isinstance(former, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def merge_keeping_nulls(target: Metadata, change: Metadata) -> Metadata:
    """Merge as Zep does: objects recursively; `null` is stored like any other value."""
    merged = dict(target)
    for key, value in change.items():
        former = merged.get(key)
        if isinstance(value, dict) and isinstance(former, dict):
            merged[key] = merge_keeping_nulls(former, value)
        else:
            merged[key] = value
    return merged
