"""Tables of results, as Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

Cells = tuple[str, ...]


class Table(NamedTuple):
    """Rows under a title, with a sentence on how to read them."""

    title: str
    about: str
    columns: Cells
    rows: Sequence[Cells]

    def __str__(self) -> str:
        widths = [
            max(len(row[place]) for row in (self.columns, *self.rows))
            for place in range(len(self.columns))
        ]
        rule = tuple("-" * width for width in widths)
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in (self.columns, rule, *self.rows)
        ]
        return "\n".join([f"## {self.title}", "", self.about, "", *(f"{line} |" for line in lines)])


def goal(text: str, *, is_met: bool) -> str:
    """Return the text of a goal, marked if it was missed."""
    return text if is_met else f"{text} **missed**"


def columns(names: str, *, first: str = "") -> Cells:
    """Return the heads of the first column and of others, which are separated by commas."""
    return (first, *names.split(", "))
