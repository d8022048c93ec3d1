"""A call of a native operation, decided before anything is sent."""

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

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}
_GREATEST_REVISION = 10**18 - 1


class SDKCall(msgspec.Struct, kw_only=True):
    """What a caller is asked to carry.

    Attributes:
        operation: of the table in `api`.
        ids: the ids in its path, by name.
        parameters: of its query, as texts; absent ones are not among them.
        body: JSON, or None where there is none.
        if_revision: the revision that a change was made to.
        idempotency_key: makes a POST safe to send again.
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
    """A call of the operation with this name; see SDKCall.

    Only what cannot travel is refused here; all else is judged where the call is carried to.

    Args:
        query: by name; None, and a cursor of 0, are left out.
        body: JSON; see requests.

    Raises:
        InvalidField: naming what cannot be sent.
    """
    return SDKCall(
        operation=_OPERATIONS[name],
        ids={field: _id(value, field) for field, value in (ids or {}).items()},
        parameters=_parameters(query or {}),
        body=body,
        if_revision=_revision(if_revision),
        idempotency_key=_key(idempotency_key),
    )


def read_answer(call: SDKCall, text: bytes) -> Any:
    """An answer, of the type that the operation has.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: it is none.
    """
    kind = call.operation.response
    try:
        return _decoder_of(kind).decode(text)
    except msgspec.MsgspecError as error:
        # The opaque data of a message may have a number that is beyond this decoder and not beyond
        # Python's own: no reason to keep the other messages from the app.
        try:
            return msgspec.convert(json.loads(text, parse_int=_whole), kind)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            raise error from None


@cache
def _decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        return float(digits)


def _id(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidField(f"{field} must be a str, not a {type(value).__name__}.", field)
    if not value:
        raise InvalidField(f"{field} cannot be empty.", field)
    if value in {".", ".."}:
        raise InvalidField(f"{field} cannot be {value!r}: no URL can carry it.", field)
    return check_is_utf8(value, field)


def _revision(value: Any) -> int | None:
    if value is None:
        return None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _GREATEST_REVISION:
        raise InvalidField(
            "if_revision must be a revision that you have read: a whole number.", "if_revision"
        )
    return int(value)


def _key(value: Any) -> str | None:
    if value is None:
        return None
    # It travels as a header: visible ASCII, and no space at either end.
    is_text = isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH
    if not is_text or not value.isascii() or not value.isprintable() or value.strip() != value:
        raise InvalidField(
            f"idempotency_key must be a text of 1 to {MAX_ID_LENGTH} visible ASCII characters.",
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
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            parameters.append((name, check_is_utf8(text, name)))
    return parameters


def _filter(value: Any) -> str:
    if not isinstance(value, dict):
        raise InvalidField("filter must be a dict; see the reference.", "filter")
    check_json(value, "filter")
    return json.dumps(value, ensure_ascii=False)


def _conditions(wanted: Any) -> list[tuple[str, str]]:
    if not isinstance(wanted, Mapping):
        raise InvalidField("metadata must be a dict of conditions by path.", "metadata")
    return [_condition(path, value) for path, value in wanted.items()]


def _condition(path: Any, value: Any) -> tuple[str, str]:
    if not isinstance(path, str):
        raise InvalidField(f"metadata has a path that is not text: {path!r}.", "metadata")
    field = check_is_utf8(f"metadata.{path}", "metadata")
    is_scalar = value is None or isinstance(value, str | int | float)
    if not is_scalar or (isinstance(value, float) and not isfinite(value)):
        raise InvalidField(
            f"{field} can be compared with a text, a number, true, false or null.", field
        )
    # As JSON in any case, so that the text "1" is not taken for the number.
    return field, check_is_utf8(json.dumps(value, ensure_ascii=False), field)
