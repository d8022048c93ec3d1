"""A call of a native operation, decided before anything is sent."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from recollect.api.operations import OPERATIONS, Operation
from recollect.domain.errors import InvalidField
from recollect.domain.ids import check_id
from recollect.domain.metadata import check_json, encode_json
from recollect.domain.text import check_characters

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}


class Call(msgspec.Struct, kw_only=True):
    """What a caller is asked to carry.

    Attributes:
        operation: of the table in `api`.
        ids: the ids in its path, by name.
        parameters: of its query, as texts; absent ones are not among them.
        body: JSON, or None where there is none.
        if_revision: the revision that a change was made to.
        idempotency_key: makes a POST safe to send again.
        kind: the type of the answer.
    """

    operation: Operation
    ids: dict[str, str]
    parameters: list[tuple[str, str]]
    body: bytes | None
    if_revision: int | None
    idempotency_key: str | None
    kind: Any


def make_call(
    name: str,
    ids: Mapping[str, str] | None = None,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    kind: Any = None,
) -> Call:
    """A call of the operation with this name; see Call.

    Args:
        query: by name; None, and a cursor of 0, are left out.
        body: its fields, as JSON has them.
        kind: where it is not the operation's own.

    Raises:
        InvalidField: an id or a field has what cannot be sent.
    """
    operation = _OPERATIONS[name]
    for field, value in (ids or {}).items():
        _check_id(value, field)
    return Call(
        operation=operation,
        ids=dict(ids or {}),
        parameters=_parameters(query or {}),
        body=None if body is None else _encoded(body),
        if_revision=if_revision,
        idempotency_key=idempotency_key,
        kind=operation.response if kind is None else kind,
    )


@cache
def decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """What reads answers of a type."""
    return msgspec.json.Decoder(kind)


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were given, a request's or a method's: all but those that are UNSET."""
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def _check_id(value: Any, field: str) -> None:
    if not isinstance(value, str):
        raise InvalidField(f"{field} must be a str, not {type(value).__name__}.", field)
    check_id(value, field)


def _encoded(body: Mapping[str, Any]) -> bytes:
    # The encoder would make null of NaN in silence, and text of a number that is a key.
    for field, value in body.items():
        check_json(value, field)
    return encode_json(body)


def _parameters(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    parameters = []
    for name, value in query.items():
        if name == "metadata" and value is not None:
            parameters += [_condition(path, wanted) for path, wanted in value.items()]
        elif value is not None and not (name == "cursor" and value in {0, "0", ""}):
            parameters.append((name, _parameter(name, value)))
    return parameters


def _condition(path: str, wanted: Any) -> tuple[str, str]:
    # As JSON in any case, so that the text "1" is not taken for the number.
    field = f"metadata.{path}"
    check_json(wanted, check_characters(field, "metadata"))
    return field, encode_json(wanted).decode()


def _parameter(name: str, value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return check_characters(text, name)
