"""Types of the API as plain values: `to_dict`, `to_json`, and fields of pydantic and FastAPI.

Neither pydantic nor FastAPI is imported. Both ask a type for its schema, which is a plain dict.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from userkeep.domain.values.times import decode_time

_COMPONENTS = "#/components/schemas/{name}"


def to_plain(value: Any) -> Any:
    """Return a value as JSON would have it: dicts, lists, texts, numbers; times as RFC 3339."""
    return msgspec.to_builtins(with_six_digits(value), str_keys=True, enc_hook=_read_other)


def to_json_text(value: Any) -> str:
    """Return a value as JSON text."""
    return _encode(with_six_digits(value)).decode()


def with_six_digits(value: Any) -> Any:
    """Return a value in which each time has six digits after the point once it is JSON.

    msgspec writes a datetime of a whole second without them.
    """
    if isinstance(value, datetime):
        text = value.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return value if value.microsecond else msgspec.Raw(f'"{text}"')
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
        changed = {name: with_six_digits(each) for name, each in fields.items()}
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, list):
        return [with_six_digits(each) for each in value]
    if isinstance(value, dict):
        return {name: with_six_digits(each) for name, each in value.items()}
    return value


def plain_scalar(value: Any) -> Any:
    """Return a value of a subclass of str, int or float as one of these.

    Raises:
        NotImplementedError: it is of another type. msgspec reports it.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    raise NotImplementedError(f"JSON does not support a {type(value).__name__}.")


def _read_other(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else plain_scalar(value)


_encode = msgspec.json.Encoder(enc_hook=plain_scalar).encode


class Encodable:
    """The methods of a type that can be written as JSON, as the HTTP API sends it.

    A field of a pydantic model, and the response model of a FastAPI handler, can be of such a type.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as the HTTP API sends them: times are texts (RFC 3339).

        A field that is absent (UNSET) is absent.
        """
        fields: dict[str, Any] = to_plain(self)
        return fields

    def to_json(self) -> str:
        """Return the fields as JSON."""
        return to_json_text(self)

    def keys(self) -> Iterator[str]:
        """Return the names of the fields that are present: `dict(user)` is `user.to_dict()`."""
        names: tuple[str, ...] = type(self).__struct_fields__  # type: ignore[attr-defined]
        return (name for name in names if getattr(self, name) is not msgspec.UNSET)

    def __getitem__(self, name: str) -> Any:
        """Return a field as `to_dict` has it. `fastapi.jsonable_encoder` reads a type like this."""
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__} is not a list, and has fields by name only.")
        if name not in self.keys():
            raise KeyError(name)
        return to_plain(getattr(self, name))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:
        # The `ref` makes it a component of its own in an OpenAPI document.
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": partial(_validate, cls)},
            "serialization": {"type": "function-plain", "function": to_plain},
            "ref": f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return _json_schema(cls)


def _validate(kind: type[Any], value: Any) -> Any:
    # A ValidationError of msgspec is a ValueError, which pydantic reports as its own.
    return value if isinstance(value, kind) else msgspec.convert(value, kind, dec_hook=decode_time)


def _json_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON schema of a type, with the types in it written out."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template=_COMPONENTS)
    written: dict[str, Any] = _write_out(schema, parts)
    return written


def _write_out(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_write_out(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        others = {name: value for name, value in schema.items() if name != "$ref"}
        return {**_write_out(parts[schema["$ref"].rpartition("/")[2]], parts), **others}
    return {
        name: _unindent(value) if name == "description" else _write_out(value, parts)
        for name, value in schema.items()
    }


def _unindent(description: Any) -> Any:
    # A docstring, or the property of this name.
    if not isinstance(description, str):
        return description
    return "\n".join(line.strip() for line in description.splitlines())
