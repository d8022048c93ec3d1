"""Pages of lists, as the SDK returns them."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(list[T]):
    """A page of a list: a list of the items, with the cursor of the next page.

    Attributes:
        next: the `cursor` of the next page; None on the last page.
        total: the number of all rows, if it was requested with `count`; else None.
    """

    next: str | None
    total: int | None

    def __init__(
        self,
        items: Iterable[T],
        next: str | None,  # noqa: A002 - its name on the wire
        total: int | None = None,
    ) -> None:
        super().__init__(items)
        self.next = next
        self.total = total
