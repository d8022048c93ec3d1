"""What pages of lists have in common, whether their list is read by blocking or by awaiting."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex, TypeVar, overload

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
        return self._items[index]

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
