"""Read the `metadata` of a search as Zep's clients send it: conditions on metadata, and dates.

    {"where": node, "start_date": "2024-01-31", "end_date": "2024-02-29T12:00:00Z"}
    node: {"jsonpath": "$[*] ? (@.topic == 'shoes')", "and": [node, …], "or": [node, …]}

All parts of a node must match. Unknown names and empty groups are ignored.
"""

import re
from datetime import datetime
from typing import Any, NamedTuple

from userkeep.domain.errors import BadRequest
from userkeep.domain.values.filters import MAX_GROUP, MAX_LEVELS, And, Node, Or
from userkeep.domain.values.times import Instant, from_datetime
from userkeep.http.compat.json_path.translator import HAS_METADATA, PathTranslator
from userkeep.http.compat.lenient import Fields

MAX_NODES = 1_000


class MessageFilter(NamedTuple):
    """A filter on messages.

    Attributes:
        node: the filter on their metadata, or None.
        from_at, until_at: bounds of their creation time, both inclusive, or None.
    """

    node: Node | None
    from_at: Instant | None
    until_at: Instant | None


def read_message_filter(value: dict[str, Any], field: str = "metadata") -> MessageFilter:
    """Read a filter.

    Args:
        value: the object.
        field: its name, for errors.

    Raises:
        BadRequest: with the invalid field, such as `metadata.where.and[0].jsonpath`.
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
    node = _NodeReader().read(Fields(where, field), 1)
    # An empty group matches every row. Any other filter, even a negated one, needs metadata.
    return None if node is None else And((HAS_METADATA, node))


class _NodeReader:
    """Read the nodes of one filter."""

    def __init__(self) -> None:
        self._paths = PathTranslator()
        self._nodes_read = 0

    def read(self, fields: Fields, level: int) -> Node | None:
        """Return a node, or None if it is empty."""
        self._nodes_read += 1
        if self._nodes_read > MAX_NODES:
            path = fields.path_of("")
            raise BadRequest(f"{path} is one of more than {MAX_NODES:,} nodes of the filter", path)
        if level > MAX_LEVELS:
            path = fields.path_of("and")
            raise BadRequest(f"{path} is nested deeper than {MAX_LEVELS} levels", path)
        json_path = fields.text("jsonpath")
        all_of = self._nodes(fields, "and", level)
        any_of = self._nodes(fields, "or", level)
        nodes: list[Node] = []
        if json_path:
            nodes.append(self._paths.translate(json_path, fields.path_of("jsonpath")))
        nodes += all_of
        if any_of:
            nodes.append(Or(tuple(any_of)))
        return And(tuple(nodes)) if nodes else None

    def _nodes(self, fields: Fields, name: str, level: int) -> list[Node]:
        inner = [self.read(each, level + 1) for each in fields.objects(name, at_most=MAX_GROUP)]
        return [each for each in inner if each is not None]


_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) *(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def _instant(value: Any, field: str) -> Instant | None:
    """Return a date (its first moment) or a time as an instant; without a zone it is UTC."""
    if value is None:
        return None
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        return from_datetime(_to_datetime(match))
    except ValueError as error:
        raise BadRequest(
            f"{field} must be a date or a time, such as 2026-11-22 or 2026-11-22T11:22:02Z", field
        ) from error


def _to_datetime(match: re.Match[str] | None) -> datetime:
    if match is None:
        raise ValueError("not a time")
    date, time, zone = match.groups()
    zone = "+00:00" if (zone or "Z").upper() in {"Z", "UTC"} else zone
    return datetime.fromisoformat(f"{date}T{time or '00:00'}{zone}")
