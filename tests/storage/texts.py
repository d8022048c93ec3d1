"""The texts that a query can become."""

from collections.abc import Iterable

from recollect.domain.filters import AnyItem, Condition, Or
from recollect.storage.filters import FilterPrinter, with_filter
from recollect.storage.queries import Query

FILTER = AnyItem(("a",), Or((Condition(("b",), "in", (1, "2")), Condition((), "contains", "x"))))


def text_with(query: Query, given: Iterable[str], printer: FilterPrinter) -> str:
    """The text with these optional blocks; where `filter` is one of them, with a filter."""
    values = {**dict.fromkeys(given, 1)}
    text = query.text(values)
    if "filter" in values:
        text, _ = with_filter(text, {"filter": FILTER}, printer)
    return text
