"""What pages of lists have in common, whether their list is read by blocking or by awaiting."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, SupportsIndex, TypeVar, get_args, overload

from userkeep.api.encoding import to_json_text, to_plain

T_co = TypeVar("T_co", covariant=True)

_HAS_MORE = (
    "This list has more than one page. Iterate over it, give a `limit`, or read `total` of a list "
    "with `count=True`."
)


class BasePage(Sequence[T_co]):
    """A page of a list: a sequence of its items, with the cursor of the next page."""

    next: str | None
    total: int | None

    def __init__(
        self,
        items: Iterable[T_co],
        next: str | None = None,  # noqa: A002 - its name on the wire
        total: int | None = None,
    ) -> None:
        self._items = list(items)
        self.next = next
        self.total = total

    @property
    def _has_more(self) -> bool:
        """Whether iteration reads more pages than this one."""
        return False

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> T_co: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[T_co]: ...

    def __getitem__(self, index: Any, /) -> Any:
        # By name for `fastapi.jsonable_encoder`, which reads an object as dict(page).
        return self._as_fields()[index] if isinstance(index, str) else self._items[index]

    def keys(self) -> Iterator[str]:
        """Return the names in `to_dict`: `dict(page)` has the items as they are."""
        return iter(self._as_fields())

    def __len__(self) -> int:
        # A TypeError, because list(page) asks for the length too, and then does without.
        if self._has_more:
            raise TypeError(_HAS_MORE)
        return len(self._items)

    def __bool__(self) -> bool:
        return bool(self._items) or self._has_more

    def __iter__(self) -> Iterator[T_co]:
        if self._has_more:
            raise TypeError(_HAS_MORE)
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BasePage):
            return self._items == other._items
        return self._items == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        items = repr(self._items)
        return f"{items[:-1]}, ...]" if self._has_more else items

    def to_dict(self) -> dict[str, Any]:
        """Return the page as the HTTP API sends it: `items`, `next`, and `count` if counted.

        The items are those of the first page, also where iteration reads all pages.
        """
        fields: dict[str, Any] = to_plain(self._as_fields())
        return fields

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return to_json_text(self._as_fields())

    def _as_fields(self) -> dict[str, Any]:
        count = {} if self.total is None else {"count": self.total}
        return {"items": self._items, "next": self.next, **count}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:
        kinds = get_args(source) or cls._kinds()
        fields = _fields_schema(handler.generate_schema(kinds[0]) if kinds else {"type": "any"})
        return {
            "type": "function-wrap",
            "function": {"type": "no-info", "function": partial(_validate, cls)},
            "schema": fields,
            "serialization": {
                "type": "function-plain",
                "function": BasePage._as_fields,
                "return_schema": fields,
            },
        }

    @classmethod
    def _kinds(cls) -> tuple[Any, ...]:
        """Return the type of the items, of a class that has only one."""
        return ()


def _fields_schema(item: dict[str, Any]) -> dict[str, Any]:
    text_or_none = {"type": "nullable", "schema": {"type": "str"}}
    return {
        "type": "typed-dict",
        "fields": {
            "items": _field({"type": "list", "items_schema": item}),
            "next": _field(text_or_none),
            "count": _field({"type": "int"}, required=False),
        },
    }


def _field(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"type": "typed-dict-field", "schema": schema, "required": required}


def _validate(kind: type[BasePage[Any]], value: Any, check: Any) -> Any:
    is_page = isinstance(value, BasePage)
    fields = check(value._as_fields() if is_page else value)
    return value if is_page else kind(fields["items"], fields["next"], fields.get("count"))
