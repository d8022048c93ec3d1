"""Pages of lists."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(list[T]):
    """A page of a list: the rows, and the way to the page after.

    Attributes:
        next: the `cursor` of the next page; None on the last.
    """

    next: str | None

    def __init__(self, items: Iterable[T], next: str | None) -> None:  # noqa: A002 - its name on the wire
        super().__init__(items)
        self.next = next
