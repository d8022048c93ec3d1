"""How tables are read from end to end, for what may be left of somebody: made from the places.

A look goes on from row to row in the order of a key, so many rows at a time, each time in a read of
its own: nobody waits for it, and it keeps no snapshot from being deleted.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from userkeep.storage.places import Holds, PersonalTable, Place, personal_tables
from userkeep.storage.queries import Query


class Look(NamedTuple):
    """How a table is read from end to end, for what may be left of somebody.

    Attributes:
        table: which.
        key: the columns that a row begins with, and by which the next rows are asked for.
        marks: the columns that come next: ids, uuids, and what tells namesakes apart.
        texts: all others that hold a text, which come last, where they are asked for.
    """

    table: PersonalTable
    key: tuple[str, ...]
    marks: tuple[Place, ...]
    texts: tuple[Place, ...]

    @property
    def measuring(self) -> str:
        """The name of the query for how many bytes are in the texts of the next rows."""
        return f"measure_{self.table.name}"

    @property
    def reading(self) -> str:
        """The name of the query for the next rows; see `look_queries`."""
        return f"look_into_{self.table.name}"


_MARKS = {Holds.ID, Holds.UUID}
_TEXTS = {Holds.TEXT, Holds.JSON, Holds.WORDS}


@cache
def looks(dialect: str) -> tuple[Look, ...]:
    """How each table is looked into, in an order in which namesakes are met before their rows."""
    return tuple(
        Look(
            table,
            table.keys[dialect],
            tuple(place for place in table.of_dialect(dialect) if _is_mark(place, table)),
            tuple(place for place in table.of_dialect(dialect) if place.holds in _TEXTS),
        )
        for table in personal_tables(dialect)
        if table.keys
    )


def look_queries(dialect: str) -> dict[str, Query]:
    """The queries of all looks, by name, to be given to an engine with the others.

    `measure_…` gives for each of the next rows, up to `:limit`, how many bytes its texts have;
    `look_into_…` the key, the marks and, where `texts` is given, the texts of the next rows. Both
    begin after the key `:after_0` …, or at the start where that is not given. No value of anybody's
    is part of a query but such a key: what is looked for is compared here, and so can stand in no
    log of a database server.
    """
    queries: dict[str, Query] = {}
    for look in looks(dialect):
        queries[look.measuring] = Query(_measuring(look, dialect))
        queries[look.reading] = Query(_reading(look, dialect))
    return queries


def _is_mark(place: Place, table: PersonalTable) -> bool:
    tells_apart = {each.told_apart_by for each in table.places}
    return place.holds in _MARKS or place.column in tells_apart


def _measuring(look: Look, dialect: str) -> str:
    sizes = (f"coalesce({_size(place, dialect)}, 0)" for place in look.texts)
    return f"SELECT {' + '.join(sizes) or 0} {_next_rows(look)}"


def _reading(look: Look, dialect: str) -> str:
    marks = _listed([*look.key, *(place.column for place in look.marks)])
    texts = "".join(f", {_as_text(place, dialect)}" for place in look.texts)
    return f"SELECT {marks} /*? texts: {texts} */ {_next_rows(look)}"


def _next_rows(look: Look) -> str:
    key = _listed(look.key)
    # With the plus no index is taken but the key's own: the rows come in its order.
    project_id = "+project_id" if look.key == ("number",) else "project_id"
    after = _listed(f":after_{number}" for number in range(len(look.key)))
    return (
        f"FROM {look.table.name} WHERE {project_id} = :project_id "
        f"/*? after_0: AND ({key}) > ({after}) */ ORDER BY {key} LIMIT :limit"
    )


def _size(place: Place, dialect: str) -> str:
    if dialect == "postgres" and place.holds != Holds.TEXT:
        # As it is stored, perhaps compressed: metadata is small, words are no more than the text.
        return f"pg_column_size({place.column})"
    return f"octet_length({place.column})"


def _as_text(place: Place, dialect: str) -> str:
    if dialect == "postgres" and place.holds == Holds.WORDS:
        return f"array_to_string(tsvector_to_array({place.column}), ' ')"
    return place.column


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
