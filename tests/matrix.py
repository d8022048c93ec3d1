"""Choose which ways to call Userkeep, which engines and which values a run covers.

A usual run has six of nineteen cells: every way once, every engine, and three ways for each SQL
dialect. SQLite's file has what most apps use, embedded and over HTTP; the other embedded client has
the database in memory, where the same statements run, and the SDK has PostgreSQL. The residue tests
and others open PostgreSQL embedded.

One cell of each dialect has all values of a long list, the others have three of them; tests of HTTP
itself, which few cells can run, have all. A test that depends on the engine alone has all values on
SQLite in memory and on PostgreSQL, and three of them on a file.
With USERKEEP_TEST_WAYS=all, as in `make test-all`, nothing is left out.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest

ENGINES = ("sqlite file", "sqlite memory", "postgres")
ROW_SECURED = "postgres row security"
"""PostgreSQL with row-level security, as a role that is not a superuser."""
_ON_FILE, _ON_MEMORY, _ = ENGINES
IN_PROCESS = ("embedded", "embedded async", "in process")
REMOTE = ("socket", "sdk", "sdk async")
TYPED = ("embedded", "embedded async", "sdk", "sdk async")
"""Ways that call typed methods; they cannot send what no method has an argument for."""

_WAYS = {
    "sqlite memory": (*IN_PROCESS, "socket"),
    ROW_SECURED: ("embedded", "in process", "sdk async"),
}

_LONG_LIST = 5
_SAMPLE = 3


class Cell(NamedTuple):
    """A way to call Userkeep, and an engine."""

    way: str
    engine: str

    def __str__(self) -> str:
        return f"{self.way}-{self.engine}".replace(" ", "_")


# The server of the SDK has no database in memory: `socket` covers that already.
ALL = tuple(
    Cell(way, engine)
    for engine in (*ENGINES, ROW_SECURED)
    for way in (*IN_PROCESS, *REMOTE)
    if way in _WAYS.get(engine, (*IN_PROCESS, *REMOTE))
)
USUAL = (
    Cell("in process", "postgres"),
    Cell("sdk async", ROW_SECURED),
    Cell("sdk", "postgres"),
    Cell("embedded", "sqlite file"),
    Cell("socket", "sqlite file"),
    Cell("embedded async", "sqlite memory"),
)
WITH_ALL_VALUES = (Cell("in process", "postgres"), Cell("embedded", "sqlite file"))

_CHOICES = {"usual": USUAL, "all": ALL}
_CHOICE = os.environ.get("USERKEEP_TEST_WAYS") or "usual"


def cells() -> Sequence[Cell]:
    """Return the cells of this run.

    Raises:
        pytest.UsageError: USERKEEP_TEST_WAYS is none of the choices.
    """
    if _CHOICE not in _CHOICES:
        raise pytest.UsageError(f"USERKEEP_TEST_WAYS must be usual or all; got {_CHOICE!r}.")
    return _CHOICES[_CHOICE]


def cell_of(item: pytest.Item) -> Cell | None:
    """Return the cell of a test; None if it has none."""
    found = _call(item).params.get("way") if hasattr(item, "callspec") else None
    return found if isinstance(found, Cell) else None


def is_about_http_alone(item: pytest.Item) -> bool:
    """Return whether a test is marked `wire`, with a reason, and its way has typed methods."""
    mark = item.get_closest_marker("wire")
    if mark is None:
        return False
    assert mark.args, f"{item.nodeid} has no reason for its mark `wire`"
    cell = cell_of(item)
    return cell is not None and cell.way in TYPED


def with_further_values(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with values of long lists that other cells cover."""
    if _CHOICE == "all":
        return []
    functions: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if hasattr(item, "callspec"):
            functions[item.nodeid.partition("[")[0]].append(item)
    return [item for tests in functions.values() for item in _further_of_function(tests)]


def _further_of_function(items: list[pytest.Item]) -> list[pytest.Item]:
    is_in_memory_too = any(_ON_MEMORY in _call(item).params.values() for item in items)
    lengths: dict[str, int] = defaultdict(int)
    for item in items:
        for name, index in _call(item).indices.items():
            lengths[name] = max(lengths[name], index + 1)
    long_lists = [name for name, length in lengths.items() if length >= _LONG_LIST]
    return [
        item
        for item in items
        if (first := _first_value(item, is_in_memory_too=is_in_memory_too)) is not None
        and any(
            (_call(item).indices[name] - first) % lengths[name] >= _SAMPLE
            for name in long_lists
            if name != "way"
        )
    ]


def _first_value(item: pytest.Item, *, is_in_memory_too: bool) -> int | None:
    """Return the index of the first value of a test, per cell; None if it has all values."""
    cell = cell_of(item)
    if cell is not None:
        has_all = cell in WITH_ALL_VALUES or item.get_closest_marker("wire") is not None
        return None if has_all else USUAL.index(cell) * _SAMPLE
    is_on_file = _ON_FILE in _call(item).params.values()
    return 0 if is_on_file and is_in_memory_too else None


def _call(item: pytest.Item) -> Any:
    return item.callspec  # type: ignore[attr-defined]


def coverage(*, further_values: int, about_http: int) -> list[str]:
    """Return lines that describe what this run covers and leaves out."""
    chosen = cells()
    ways = "; ".join(
        f"{', '.join(cell.way for cell in chosen if cell.engine == engine)} on {engine}"
        for engine in (*ENGINES, ROW_SECURED)
    )
    lines = [f"{len(chosen)} of {len(ALL)} ways: {ways}"]
    if further_values:
        lines.append(f"left out: {further_values:,} further values of long lists, by most ways")
    if about_http:
        lines.append(f"not applicable: {about_http:,} tests of HTTP itself, by typed methods")
    return lines
