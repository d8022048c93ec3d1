"""Calls of operations of the native API, complete before anything is sent."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any

import msgspec

from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import MAX_ID_LENGTH
from userkeep.domain.values.metadata import check_json
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
    for name, value in query.items():
        if value is None or (name == "cursor" and value in (0, "0")):
            continue
        if name == "metadata":
            parameters += _conditions(value)
        elif name == "filter":
            parameters.append((name, _filter(value)))
        else:
            check_aware(value, name)
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            parameters.append((name, check_is_utf8(text, name)))
    return parameters


def _filter(value: Any) -> str:
    if not isinstance(value, dict):
        raise InvalidField("filter must be a dict; see the reference.", "filter")
    check_json(value, "filter")
    return json.dumps(value, ensure_ascii=False)


def _conditions(conditions: Any) -> list[tuple[str, str]]:
    if not isinstance(conditions, Mapping):
        raise InvalidField("metadata must be a dict from paths to values.", "metadata")
    return [_condition(path, value) for path, value in conditions.items()]


def _condition(path: Any, value: Any) -> tuple[str, str]:
    if not isinstance(path, str):
        raise InvalidField(f"metadata has a path that is not a str: {path!r}.", "metadata")
    field = check_is_utf8(f"metadata.{path}", "metadata")
    is_scalar = value is None or isinstance(value, str | int | float)
    if not is_scalar or (isinstance(value, float) and not isfinite(value)):
        raise InvalidField(f"{field} must be a str, a number, a bool or None.", field)
    # Always as JSON, so that the text "1" is not read as a number.
    return field, check_is_utf8(json.dumps(value, ensure_ascii=False), field)
