"""The product without the index of what is searched: what appending costs without it.

`python -m bench.floor.unindexed serve` is `userkeep serve` with other texts for the queries that
write the index, on a database without it. WITHOUT_INDEX says which; where it is out of date the
benchmark stops, because something that was said can still be found.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from userkeep import cli, instance
from userkeep.domain.search.entries import IndexEntry
from userkeep.services import messages
from userkeep.storage.queries import Query, load_queries

NOTHING = "SELECT 1 WHERE 1 = 0"
"""The text for a query that writes to the index and to nothing else."""


class Without(NamedTuple):
    """What an engine must not have, and not do, to be without an index.

    Attributes:
        schema: statements that drop it from a database, with what keeps it up by itself.
        queries: other texts, by name, for the queries that write to it: NOTHING, or the query
            without its part.
    """

    schema: Sequence[str]
    queries: Mapping[str, str]


_ADD_MESSAGE = """
INSERT INTO messages (
    project_id, session_id, seq, uuid, role, role_type, token_count, created_at, metadata,
    content, data, word_count
) VALUES (
    :project_id, :session_id, :seq, :uuid, :role, :role_type, :token_count, :created_at, :metadata,
    :content, :data, :word_count
)
ON CONFLICT (project_id, session_id, uuid) DO NOTHING
"""

WITHOUT_INDEX: dict[str, Without] = {
    "sqlite": Without(
        schema=("INSERT INTO message_words (message_words) VALUES ('delete-all')",),
        queries={"index_message": NOTHING},
    ),
    "postgres": Without(
        schema=("DROP INDEX messages_words", "UPDATE messages SET words = NULL"),
        queries={"add_message": _ADD_MESSAGE},
    ),
}


def load_without_index(dialect: str) -> dict[str, Query]:
    """The queries of an engine, as they would be without an index."""
    without, queries = WITHOUT_INDEX[dialect], load_queries(dialect)
    unknown = without.queries.keys() - queries.keys()
    if unknown:
        raise SystemExit(f"WITHOUT_INDEX names queries that are not there: {sorted(unknown)}")
    return queries | {name: Query(text) for name, text in without.queries.items()}


def main() -> None:
    """Be `userkeep`, without the index and the making of words for it."""
    instance.load_queries = load_without_index  # type: ignore[attr-defined]
    messages.make_entry = lambda *_said: IndexEntry("", 0)  # type: ignore[attr-defined]
    cli.main()


if __name__ == "__main__":
    main()
