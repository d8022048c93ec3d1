"""Comparing an answer of ours with a recorded one.

uuids, times and creation numbers are not the same in two runs, but they must *mean* the same: what
had one uuid there has one here, what happened at one time there did so here. So each of ours is
bound to the recorded one in whose place it first appears, and is that one from then on.
"""

import re
from typing import Any, NamedTuple

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])?Z")
_ZEROS = ("00000000-0000-0000-0000-000000000000", "0001-01-01T00:00:00Z")

ABSENT = "<absent>"


class SeenId(NamedTuple):
    """The `id` of one thing, there and here; `place` is its index in a list, or None."""

    theirs: int
    ours: int
    place: int | None


class Names:
    """Which of our uuids and times is which of the recording."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        for zero in _ZEROS:
            self._bind(zero, zero)

    def in_our_terms(self, text: str) -> str:
        """A request with our uuids; one that no answer ever gave was made up by the client."""
        for uuid in _UUID.findall(text):
            self._bind(uuid, uuid)
        return _UUID.sub(lambda match: self._ours.get(match[0], match[0]), text)

    def in_their_terms(self, theirs: Any, ours: Any, ids: list[SeenId]) -> Any:
        """An answer of ours as if Zep had given it; what is new in it is bound on the way."""
        if isinstance(ours, list):
            is_aligned = isinstance(theirs, list) and len(theirs) == len(ours)
            there = theirs if is_aligned else [None] * len(ours)
            return [self._item(there[i], ours[i], ids, i) for i in range(len(ours))]
        if isinstance(ours, dict):
            return self._item(theirs, ours, ids, None)
        if not isinstance(ours, str):
            return ours
        for kind in (_UUID, _TIME):
            if kind.fullmatch(ours) and isinstance(theirs, str) and kind.fullmatch(theirs):
                self._bind(theirs, ours)
        return self._theirs.get(ours, ours)

    def times(self) -> list[tuple[str, str]]:
        """All times seen: theirs and ours."""
        return [pair for pair in self._ours.items() if _TIME.fullmatch(pair[0])]

    def _item(self, theirs: Any, ours: Any, ids: list[SeenId], place: int | None) -> Any:
        if not isinstance(ours, dict):
            return self.in_their_terms(theirs, ours, ids)
        there = theirs if isinstance(theirs, dict) else {}
        uuid = self.in_their_terms(there.get("uuid"), ours.get("uuid"), ids)
        if uuid != there.get("uuid"):
            there = {}  # something else stands in its place, so nothing in it can be bound
        told = {key: self.in_their_terms(there.get(key), ours[key], ids) for key in ours}
        if there.get("id"):
            self._ids.setdefault(uuid, there["id"])
        if ours.get("id") and uuid in self._ids:
            ids.append(SeenId(self._ids[uuid], ours["id"], place))
            told["id"] = self._ids[uuid]
        return told

    def _bind(self, theirs: str, ours: str) -> None:
        if theirs not in self._ours and ours not in self._theirs:
            self._ours[theirs] = ours
            self._theirs[ours] = theirs


def differing_paths(theirs: Any, ours: Any, path: str) -> list[str]:
    """Where two values differ, as `body.messages[0].content`; the order of keys does not count."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = [*theirs, *(key for key in ours if key not in theirs)]
        parts = ((theirs.get(k, ABSENT), ours.get(k, ABSENT), f"{path}.{k}") for k in keys)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        parts = ((a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(theirs, ours, strict=True)))
    else:
        is_same = type(theirs) is type(ours) and theirs == ours
        return [] if is_same else [path]
    return [where for part in parts for where in differing_paths(*part)]


def value_at(value: Any, path: str) -> Any:
    """The value at a path such as `body.messages[0].content`."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[int(index)] if index else value.get(name, ABSENT)
    return value
