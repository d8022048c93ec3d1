"""The texts of a query: one for each set of its optional blocks."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, combinations

from tests.long.counts import IS_FULL
from userkeep.domain.values.filters import AnyItem, Condition, Or
from userkeep.storage.filters import FilterCompiler, with_filter
from userkeep.storage.queries import Query

FILTER = AnyItem(("a",), Or((Condition(("b",), "in", (1, "2")), Condition((), "contains", "x"))))

# A block that is only valid SQL together with another one.
NEEDS = {("list_messages", "offset"): "limit"}
_PAGING = {"after", "before", "descending", "limit"}

# Blocks whose columns have no index: none of them, or all, to have fewer sets.
CONDITIONS = {"list_messages": {"created_after_at", "created_before_at", "role", "filter"}}

# The same of sessions, which have so many of them that all sets would be 11,000 texts. A usual run
# has none, each one alone, both ends of each time, and all: one more of these conditions filters
# the rows of the same index. The full run has all sets.
CONDITIONS_OF_SESSIONS = frozenset({
    "has_user", "has_no_user", "title_words", "filter",
    "created_after_at", "created_before_at", "active_after_at", "active_before_at",
})  # fmt: skip
_SPANS = ({"created_after_at", "created_before_at"}, {"active_after_at", "active_before_at"})
_OF_SESSIONS = {"list_sessions", "list_sessions_by_activity", "count_sessions"}


@cache
def variants(name: str, query: Query) -> Sequence[tuple[str, ...]]:
    """Return the sets of a query's optional blocks that can be used."""
    return tuple(_variants(name, query))


def _variants(name: str, query: Query) -> Iterator[tuple[str, ...]]:
    blocks = query.blocks
    conditions = CONDITIONS.get(name, set())
    for given in chain.from_iterable(combinations(blocks, n) for n in range(len(blocks) + 1)):
        if name in _OF_SESSIONS and not (IS_FULL or _is_of_usual_run(given)):
            continue
        is_complete = all(NEEDS.get((name, block), block) in given for block in given)
        if not is_complete or not _is_used(given):
            continue
        if conditions.intersection(given) in (set(), conditions):
            yield given


def _is_of_usual_run(given: tuple[str, ...]) -> bool:
    conditions = CONDITIONS_OF_SESSIONS.intersection(given)
    return len(conditions) < 2 or conditions == CONDITIONS_OF_SESSIONS or conditions in _SPANS


def _is_used(given: tuple[str, ...]) -> bool:
    """Return whether a page is in one direction, of one user, or with few filters and a column."""
    blocks = {*given}
    if "scope_user_uuid" in blocks and "scope_user_id" not in blocks:
        return False
    if {"user_id", "scope_user_id"} <= blocks and len(blocks) > 2:
        return False
    if {"after", "before"} <= blocks or ("last_message" in blocks and len(blocks - _PAGING) > 2):
        return False
    return "descending" not in blocks or "after" not in blocks


def text_with(query: Query, given: Iterable[str], compiler: FilterCompiler) -> str:
    """Return the text with these optional blocks; with a filter, if `filter` is one of them."""
    values = {**dict.fromkeys(given, 1)}
    text = query.text(values)
    if "filter" in values:
        text, _ = with_filter(text, {"filter": FILTER}, compiler)
    return text
