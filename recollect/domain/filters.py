"""Filters on metadata, as a list's address carries them: `metadata.address.city=Paris`."""

from typing import Any

import msgspec

from recollect.domain.errors import InvalidField
from recollect.domain.metadata import decode_json, encode_json
from recollect.domain.text import check_characters


def metadata_conditions(wanted: dict[str, str]) -> str | None:
    """The conditions as JSON for a query: a list of {path, types, value}, or None for none.

    A value is JSON where it parses (`5`, `true`, `null`, `"5"`), else text; only texts, numbers,
    true, false and null can be compared. `null` finds a key that is there and null.

    Args:
        wanted: path (`address.city`) to value, as they came.

    Raises:
        InvalidField: naming `metadata.<path>`.
    """
    if not wanted:
        return None
    conditions = [_condition(path, text) for path, text in wanted.items()]
    return encode_json(conditions).decode()


def _condition(path: str, text: str) -> dict[str, Any]:
    field = f"metadata.{path}"
    keys = path.split(".")
    if not all(keys) or any(character in path for character in '"\\'):
        raise InvalidField(
            f'{field} must name keys separated by dots, without quotes (") or backslashes.', field
        )
    check_characters(path, field)
    value = _value(text)
    return {
        "path": "$" + "".join(f'."{key}"' for key in keys),
        "types": _types(value, field),
        "value": value,
    }


def _value(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        return []  # nested beyond all bounds: refused like any other array


def _types(value: Any, field: str) -> list[str]:
    match value:
        case None:
            return ["null"]
        case bool():
            return ["true" if value else "false"]
        case int() | float():
            return ["integer", "real"]
        case str():
            check_characters(value, field)
            return ["text"]
        case _:
            raise InvalidField(
                f"{field} can be compared with a text, a number, true, false or null.", field
            )
