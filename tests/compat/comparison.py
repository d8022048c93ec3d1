"""Compare a response of ours with a recorded one.

uuids, times and creation numbers differ between two runs, but must correspond: what had one uuid in
the recording has one here, and what happened at one time did so here. So each of our values is
mapped to the recorded one in whose position it first appears, and is replaced by that from then on.
"""

import re
from typing import Any, NamedTuple

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])?Z")
_ZEROS = ("00000000-0000-0000-0000-000000000000", "0001-01-01T00:00:00Z")

ABSENT = "<absent>"


class SeenId(NamedTuple):
    """The `id` of an object in the recording and here, and its position in a list, or None."""

    theirs: int
    ours: int
    position: int | None


class ValueMap:
    """A mapping between our uuids and times and those of the recording."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        for zero in _ZEROS:
            self._map(zero, zero)

    def to_ours(self, text: str) -> str:
        """Return a request with our uuids; one that was in no response is the client's own."""
        for uuid in _UUID.findall(text):
            self._map(uuid, uuid)
        return _UUID.sub(lambda match: self._ours.get(match[0], match[0]), text)

    def to_theirs(self, theirs: Any, ours: Any, ids: list[SeenId]) -> Any:
        """Return our response with the values of the recording; new values are mapped."""
        if isinstance(ours, list):
            is_aligned = isinstance(theirs, list) and len(theirs) == len(ours)
            recorded = theirs if is_aligned else [None] * len(ours)
            return [self._item(recorded[i], ours[i], ids, i) for i in range(len(ours))]
        if isinstance(ours, dict):
            return self._item(theirs, ours, ids, None)
        if not isinstance(ours, str):
            return ours
        for kind in (_UUID, _TIME):
            if kind.fullmatch(ours) and isinstance(theirs, str) and kind.fullmatch(theirs):
                self._map(theirs, ours)
        return self._theirs.get(ours, ours)

    def times(self) -> list[tuple[str, str]]:
        """Return all pairs of times: theirs and ours."""
        return [pair for pair in self._ours.items() if _TIME.fullmatch(pair[0])]

    def _item(self, theirs: Any, ours: Any, ids: list[SeenId], position: int | None) -> Any:
        if not isinstance(ours, dict):
            return self.to_theirs(theirs, ours, ids)
        recorded = theirs if isinstance(theirs, dict) else {}
        uuid = self.to_theirs(recorded.get("uuid"), ours.get("uuid"), ids)
        if uuid != recorded.get("uuid"):
            recorded = {}  # another object is in its position, so its values cannot be mapped
        result = {key: self.to_theirs(recorded.get(key), ours[key], ids) for key in ours}
        if recorded.get("id"):
            self._ids.setdefault(uuid, recorded["id"])
        if ours.get("id") and uuid in self._ids:
            ids.append(SeenId(self._ids[uuid], ours["id"], position))
            result["id"] = self._ids[uuid]
        return result

    def _map(self, theirs: str, ours: str) -> None:
        if theirs not in self._ours and ours not in self._theirs:
            self._ours[theirs] = ours
            self._theirs[ours] = theirs


def differing_paths(theirs: Any, ours: Any, path: str) -> list[str]:
    """Return where two values differ, as `body.messages[0].content`; key order is ignored."""
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
    """Return the value at a path such as `body.messages[0].content`."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[int(index)] if index else value.get(name, ABSENT)
    return value
