"""Metadata: a JSON object of the app, and the two ways to merge a change into it."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.text import check_characters

MAX_METADATA_BYTES = 64 * 1024
MAX_DEPTH = 64
_LONGEST_KEY = 100
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
    check_metadata(value, field)
    return encode_json(value).decode()


def check_metadata(value: Metadata, field: str = "metadata") -> None:
    """Check metadata as `encode_metadata` does: its size first, because that is fast.

    Raises:
        InvalidField: naming the field, by its path.
    """
    try:
        size_bytes = len(encode_json(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        size_bytes = 0  # the check below finds what cannot be encoded, and names it
    if size_bytes > MAX_METADATA_BYTES:
        raise InvalidField(f"{field} is larger than 64 KiB.", field)
    check_json(value, field)


def check_json(value: Any, field: str) -> None:
    """Check that JSON and both databases can represent a value, whatever its size.

    Raises:
        InvalidField: naming the field, by its path.
    """
    try:
        _check(value, 1)
    except _FaultError as fault:
        path = fault.path_of(field)
        raise InvalidField(f"{path} {fault}", path) from None


def decode_metadata(stored: str | None) -> Metadata:
    """Return stored metadata as a dict, which is empty if there is none."""
    if stored is None:
        return {}
    value: Metadata = decode_json(stored)
    return value


class _FaultError(Exception):
    """What is wrong with a value, and where it is: from the value outwards."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.path: list[str] = []

    def path_of(self, field: str) -> str:
        return "".join([field, *reversed(self.path)])


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise _FaultError(f"is nested deeper than {MAX_DEPTH} levels.")
        _check_items(value, depth)
    else:
        _check_scalar(value)


def _check_items(value: Metadata | list[Any], depth: int) -> None:
    # The path is made only for a fault: a long key, repeated for each item below it, would take
    # quadratic time.
    place: Any = None
    try:
        if isinstance(value, list):
            for place, item in enumerate(value):  # noqa: B007 - read when an item has a fault
                _check(item, depth + 1)
        else:
            _check_keys(value)
            for place, item in value.items():  # noqa: B007
                _check(item, depth + 1)
    except _FaultError as fault:
        if place is not None:
            fault.path.append(f"[{place}]" if isinstance(value, list) else f".{_short(place)}")
        raise


def _check_keys(value: Metadata) -> None:
    for key in value:
        if not isinstance(key, str):
            raise _FaultError(f"has a key that is not text: {key!r}.")
        _check_text(key)


def _check_text(value: str) -> None:
    try:
        check_characters(value, "")
    except InvalidField as error:
        raise _FaultError(error.detail.lstrip()) from None


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"


def _check_scalar(value: Any) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if not _SMALLEST <= value <= _GREATEST:
            raise _FaultError("is an integer of more than 64 bits.")
    elif isinstance(value, float):
        if not isfinite(value):
            raise _FaultError("is not a finite number.")
    else:
        raise _FaultError(f"is of the type {type(value).__name__}, which JSON cannot hold.")


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
