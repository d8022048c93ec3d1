"""The `metadata` of a search as Zep's clients send it: conditions on metadata, and dates.

    {"where": node, "start_date": "2024-01-31", "end_date": "2024-02-29T12:00:00Z"}
    node: {"jsonpath": "$[*] ? (@.topic == 'shoes')", "and": [node, …], "or": [node, …]}

What stands side by side in a node holds together. Other names are ignored, and so are empty groups.
"""

import re
from datetime import datetime
from typing import Any, NamedTuple

from userkeep.domain.errors import BadRequest
from userkeep.domain.values.filters import MAX_LEVELS, And, Node, Or
from userkeep.domain.values.times import Instant, from_datetime
from userkeep.http.compat.json_path.meaning import HAS_METADATA, PathReader
from userkeep.http.compat.lenient import Fields


class MessageFilter(NamedTuple):
    """Which messages are searched.

    Attributes:
        node: what is asked of their metadata; None: nothing.
        from_at, until_at: bounds of the time of their creation, both inclusive; None: none.
    """

    node: Node | None
    from_at: Instant | None
    until_at: Instant | None


def read_message_filter(value: dict[str, Any], field: str = "metadata") -> MessageFilter:
    """What the object asks for.

    Args:
        value: the object.
        field: its name, for errors.

    Raises:
        BadRequest: naming the field at fault, such as `metadata.where.and[0].jsonpath`.
    """
    where = value.get("where")
    return MessageFilter(
        None if where is None else _where(where, f"{field}.where"),
        _instant(value.get("start_date"), f"{field}.start_date"),
        _instant(value.get("end_date"), f"{field}.end_date"),
    )


def _where(where: Any, field: str) -> Node | None:
    if not isinstance(where, dict):
        raise BadRequest(f"{field} must be an object", field)
    node = _Groups().node(Fields(where, field), 1)
    # An empty group asks nothing; all else finds rows with metadata only, whatever is negated.
    return None if node is None else And((HAS_METADATA, node))


class _Groups:
    """Reads the groups of one filter."""

    def __init__(self) -> None:
        self._paths = PathReader()

    def node(self, fields: Fields, level: int) -> Node | None:
        """A node; None where it asks nothing."""
        if level > MAX_LEVELS:
            place = fields.place("and")
            raise BadRequest(f"{place} is nested deeper than {MAX_LEVELS} levels", place)
        path = fields.text("jsonpath")
        both = self._nodes(fields, "and", level)
        either = self._nodes(fields, "or", level)
        nodes: list[Node] = [self._paths.read(path, fields.place("jsonpath"))] if path else []
        nodes += both
        if either:
            nodes.append(Or(tuple(either)))
        return And(tuple(nodes)) if nodes else None

    def _nodes(self, fields: Fields, name: str, level: int) -> list[Node]:
        inner = [self.node(each, level + 1) for each in fields.objects(name)]
        return [each for each in inner if each is not None]


_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) *(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def _instant(value: Any, field: str) -> Instant | None:
    """A date or a time; without a zone it is UTC, and a date is its first moment."""
    if value is None:
        return None
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        return from_datetime(_moment(match))
    except ValueError as error:
        raise BadRequest(
            f"{field} must be a date or a time, such as 2026-11-22 or 2026-11-22T11:22:02Z", field
        ) from error


def _moment(match: re.Match[str] | None) -> datetime:
    if match is None:
        raise ValueError("not a time")
    date, time, zone = match.groups()
    zone = "+00:00" if (zone or "Z").upper() in {"Z", "UTC"} else zone
    return datetime.fromisoformat(f"{date}T{time or '00:00'}{zone}")
