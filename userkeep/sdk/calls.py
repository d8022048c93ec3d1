"""Calls of operations of the native API, complete before anything is sent."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any

import msgspec

from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.domain.errors import InvalidField
from userkeep.domain.values.filters import MAX_CONDITIONS, as_stored, parse_filter
from userkeep.domain.values.ids import MAX_ID_LENGTH
from userkeep.domain.values.metadata import check_json
from userkeep.domain.values.metadata_paths import parse_path
from userkeep.domain.values.text import check_is_utf8
from userkeep.domain.values.times import check_aware

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}
_GREATEST_REVISION = 10**18 - 1


class SDKCall(msgspec.Struct, kw_only=True):
    """A call for a transport to perform.

    Attributes:
        operation: the operation, of the table in `api`.
        ids: the ids in its path, by name.
        parameters: the query parameters as text, without those that are absent.
        body: the body as JSON, or None.
        if_revision: the revision that an update expects.
        idempotency_key: the Idempotency-Key of a POST, which makes it safe to retry.
    """

    operation: APIOperation
    ids: dict[str, str]
    parameters: list[tuple[str, str]]
    body: bytes | None
    if_revision: int | None
    idempotency_key: str | None


def make_call(
    name: str,
    ids: Mapping[str, str] | None = None,
    *,
    query: Mapping[str, Any] | None = None,
    body: bytes | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
) -> SDKCall:
    """Return a call of the operation with this name.

    Only values that cannot be sent are rejected here. The instance validates everything else.

    Args:
        query: the query parameters by name. None, and a cursor of 0, are omitted.
        body: JSON, as the functions in `requests` encode it.

    Raises:
        InvalidField: a value cannot be sent.
    """
    return SDKCall(
        operation=_OPERATIONS[name],
        ids={field: _id(value, field) for field, value in (ids or {}).items()},
        parameters=_parameters(query or {}),
        body=body,
        if_revision=_revision(if_revision),
        idempotency_key=_key(idempotency_key),
    )


def decode_response(call: SDKCall, text: bytes) -> Any:
    """Return a response body as the response type of the operation.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: it is not of this type.
    """
    kind = call.operation.response
    try:
        return _decoder(kind).decode(text)
    except msgspec.MsgspecError as error:
        # The `data` of a message may contain a number that msgspec cannot decode, but Python can.
        # One such message must not make the others unreadable.
        try:
            return msgspec.convert(json.loads(text, parse_int=_parse_int), kind)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            raise error from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _parse_int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # Python rejects integers of more than 4,300 digits
        return float(digits)


def _id(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidField(f"{field} must be a str, not a {type(value).__name__}.", field)
    if not value:
        raise InvalidField(f"{field} cannot be empty.", field)
    if value in {".", ".."}:
        raise InvalidField(f"{field} cannot be {value!r}: it is not possible in a URL.", field)
    return check_is_utf8(value, field)


def _revision(value: Any) -> int | None:
    if value is None:
        return None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _GREATEST_REVISION:
        raise InvalidField(
            "if_revision must be a revision that you have read: an integer.", "if_revision"
        )
    return int(value)


def _key(value: Any) -> str | None:
    if value is None:
        return None
    # It is sent as a header: visible ASCII, without spaces at the ends.
    is_text = isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH
    if not is_text or not value.isascii() or not value.isprintable() or value.strip() != value:
        raise InvalidField(
            f"idempotency_key must be a str of 1 to {MAX_ID_LENGTH} visible ASCII characters.",
            "idempotency_key",
        )
    return str(value)


def _parameters(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    parameters: list[tuple[str, str]] = []
    conditions = _conditions(query.get("metadata"))
    parameters += [_text_condition(*each) for each in conditions if isinstance(each[1], str)]
    exact = [_exact_condition(*each) for each in conditions if not isinstance(each[1], str)]
    if exact or query.get("filter") is not None:
        parameters.append(("filter", _filter(query.get("filter"), exact)))
    for name, value in query.items():
        if value is None or (name == "cursor" and value in (0, "0")):
            continue
        if name == "omit":
            names = ",".join(split_names(value, name))
            parameters.append((name, check_is_utf8(names, name)))
        elif name not in {"metadata", "filter"}:
            check_aware(value, name)
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            parameters.append((name, check_is_utf8(text, name)))
    return parameters


def split_names(names: Any, field: str) -> list[str]:
    """Return names as a list, which may be a text in which they are separated by commas.

    Raises:
        InvalidField: they are neither a text nor a list of texts.
    """
    if isinstance(names, str):
        return names.split(",")
    given: list[Any] = list(names) if isinstance(names, Iterable) else [None]
    if not all(isinstance(name, str) for name in given):
        raise InvalidField(f"{field} must be a list of names.", field)
    return given


def _filter(value: Any, exact: list[dict[str, Any]]) -> str:
    """Return a filter as JSON, with further conditions."""
    if value is None:
        return json.dumps({"and": exact}, ensure_ascii=False)
    if not isinstance(value, dict):
        raise InvalidField("filter must be a dict; see the reference.", "filter")
    check_json(value, "filter")
    if exact:
        parse_filter(value)  # so that an error names the place in the caller's filter
        value = {"and": [value, *exact]}
    return json.dumps(value, ensure_ascii=False)


def _conditions(conditions: Any) -> list[tuple[str, Any]]:
    """Return the path and the value of each condition on metadata, checked."""
    if conditions is None:
        return []
    if not isinstance(conditions, Mapping):
        raise InvalidField("metadata must be a dict from paths to values.", "metadata")
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidField(
            f"metadata exceeds the limit of {MAX_CONDITIONS} conditions in a filter.", "metadata"
        )
    for path, value in conditions.items():
        _check_condition(path, value)
    return list(conditions.items())


def _check_condition(path: Any, value: Any) -> None:
    if not isinstance(path, str):
        raise InvalidField(f"metadata has a path that is not a str: {path!r}.", "metadata")
    field = check_is_utf8(f"metadata.{path}", "metadata")
    is_scalar = value is None or isinstance(value, str | int | float)
    if not is_scalar or (isinstance(value, float) and not isfinite(value)):
        raise InvalidField(f"{field} must be a str, a number, a bool or None.", field)


def _text_condition(path: str, value: str) -> tuple[str, str]:
    # In quotes, so that the text "1" does not also find the number.
    field = f"metadata.{path}"
    return field, check_is_utf8(json.dumps(value, ensure_ascii=False), field)


def _exact_condition(path: str, value: float | None) -> dict[str, Any]:
    """Return a condition as a filter: in an address, a number would also find the text."""
    field = f"metadata.{path}"
    parse_path(path, field)
    try:
        stored = as_stored(value)
    except OverflowError as error:
        raise InvalidField(f"{field} is greater than any number in metadata.", field) from error
    return {"field": field, "op": "eq", "value": stored}
