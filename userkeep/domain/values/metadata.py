"""Metadata: a JSON object of the caller's, and the two ways in which a change merges into it."""

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
"""How a change (second) goes into what is there (first): `merge_patch` or `merge_keeping_nulls`."""

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


def stored_metadata(value: Metadata | None, field: str = "metadata") -> str | None:
    """The JSON text to store: checked, and the same for every engine.

    Numbers are finite doubles or 64-bit integers, texts have no NUL and no half surrogate pair,
    nesting is at most 64 deep, and the whole is at most 64 KiB.

    Raises:
        InvalidField: naming the place, such as `metadata.a.b`.
    """
    if value is None:
        return None
    check_json(value, field)
    text = encode_json(value)
    if len(text) > MAX_METADATA_BYTES:
        raise InvalidField(f"{field} is larger than 64 KiB.", field)
    return text.decode()


def check_json(value: Any, field: str) -> None:
    """Refuse what JSON cannot carry, or a database cannot hold, whatever its size.

    Raises:
        InvalidField: naming the place.
    """
    _check(value, field, 1)


def read_metadata(stored: str | None) -> Metadata:
    """What is stored, as a dict; nothing stored reads as empty."""
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
    """RFC 7396: objects merge deeply, `null` removes a key, all else replaces."""
    merged = dict(target)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            there = merged.get(key)
            merged[key] = merge_patch(there if isinstance(there, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def merge_keeping_nulls(target: Metadata, change: Metadata) -> Metadata:
    """Zep's rule: objects merge deeply, all else replaces, `null` is stored like any value."""
    merged = dict(target)
    for key, value in change.items():
        there = merged.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            merged[key] = merge_keeping_nulls(there, value)
        else:
            merged[key] = value
    return merged
