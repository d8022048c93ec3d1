"""What forms of several pages share: metadata as text, and what an error leaves of a form."""

import json
from math import isfinite
from typing import Any

from userkeep.domain.errors import InvalidField

_MOST_DIGITS = 18
"""A number of a form may have so many: any such number fits into 64 bits."""


def read_metadata(text: str) -> Any:
    """Return metadata that was typed as JSON; None if nothing was typed.

    Raises:
        InvalidField: it is not JSON, or no object.
    """
    if not text.strip():
        return None
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidField(f"metadata is not JSON: {error.msg} at {place}.", "metadata") from error
    except ValueError as error:
        # Python reads no number of more than 4,300 digits.
        raise InvalidField("metadata has a number that is too long.", "metadata") from error
    except RecursionError as error:
        raise InvalidField("metadata is nested too deeply.", "metadata") from error
    if not isinstance(value, dict):
        raise InvalidField('metadata must be a JSON object, such as {"plan": "pro"}.', "metadata")
    return value


def metadata_patch(former: dict[str, Any] | None, wanted: dict[str, Any] | None) -> Any:
    """Return the merge patch (RFC 7396) that makes one object of another.

    A patch removes a key by null, so null itself cannot be set in an object that is merged.
    """
    if wanted is None or former is None:
        return wanted
    patch: dict[str, Any] = {name: None for name in former if name not in wanted}
    for name, value in wanted.items():
        known = former.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            inner = metadata_patch(known, value)
            if inner:
                patch[name] = inner
        elif name not in former or not _is_same(known, value):
            patch[name] = value
    return patch


def number_or_zero(text: str) -> int:
    """Return the number in a field that nothing is typed into; 0 if it is no whole number."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else 0


def _is_same(one: Any, other: Any) -> bool:
    # As JSON: Python has 1 equal to true and to 1.0.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise InvalidField(f"metadata is not JSON: {text} is not a number of JSON.", "metadata")
    return value


def text_or_none(text: str) -> str | None:
    """Return what was typed, without blanks around it; None if nothing was."""
    return text.strip() or None
