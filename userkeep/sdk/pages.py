"""Pages of lists, as the SDK returns them."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(list[T]):
    """A page of a list: a list of the items, with the cursor of the next page.

    Attributes:
        next: the `cursor` of the next page; None on the last page.
    """

    next: str | None

    def __init__(self, items: Iterable[T], next: str | None) -> None:  # noqa: A002 - its name on the wire
        super().__init__(items)
        self.next = next
