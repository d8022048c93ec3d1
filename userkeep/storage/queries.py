"""Named queries: SQL stays SQL, in files, found by name.

A file has queries after lines `-- name: add_user`, and fragments after `-- fragment: user_columns`,
which a query or another fragment includes as `{user_columns}`. A dialect's file (`sqlite.sql`)
overrides the shared files by name, and a file of a feature (`row_security.sql`) overrides that one
where the feature is on. A query may have optional blocks, which are SQL comments:

    WHERE project_id = :project_id /*? email: AND email = :email */

A block is included when the value with its name is given and not None. So every set of filters has
a text of its own, for which the planner chooses an index of its own, and no text comes from input.

The blocks `scope_user_id` and `scope_user_uuid` are included when the scope of the transaction has
a user: every query that reads or changes a session by its id has them, in the fragment
`scope_of_user`.

A query that accepts a filter has the block

    /*? filter: AND {filter} */

Its value is a filter (`domain.values.filters`), which the engine compiles to SQL in place of
`{filter}`.
"""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

_SECTION = re.compile(r"^-- (name|fragment): (\w+)\n", re.MULTILINE)
_FRAGMENT = re.compile(r"\{(?!filter\})(\w+)\}")
_BLOCK = re.compile(r"/\*\? (\w+): (.*?) \*/", re.DOTALL)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)

DIALECTS = ("sqlite", "postgres")

ROW_SECURITY = "row_security"
"""The feature whose texts PostgreSQL needs where it keeps projects apart; see its row_security."""

ROW_SECURITY_SEARCH = "row_security_search"
"""The texts that it needs where it cannot use the full-text index then."""

_FEATURES = (ROW_SECURITY, ROW_SECURITY_SEARCH)


class Query:
    """A named query, with its texts for the sets of optional blocks that were used."""

    __slots__ = ("_texts", "blocks", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.blocks = tuple(dict.fromkeys(match[0] for match in _BLOCK.findall(source)))
        self._texts: dict[tuple[str, ...], str] = {}

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the SQL for these values."""
        if not self.blocks:
            return self.source
        given = tuple([block for block in self.blocks if values.get(block) is not None])
        text = self._texts.get(given)
        if text is None:
            text = self._texts[given] = self._with_blocks(given)
        return text

    def _with_blocks(self, given: tuple[str, ...]) -> str:
        return _BLOCK.sub(lambda match: match[2] if match[1] in given else "", self.source)


def load_queries(dialect: str, *features: str) -> dict[str, Query]:
    """Return all queries of a dialect, by name, as these features need them."""
    shared: dict[tuple[str, str], str] = {}
    overriding: dict[str, dict[tuple[str, str], str]] = {}
    for file in sorted(resources.files(f"{__package__}.sql").iterdir(), key=lambda file: file.name):
        stem, _, suffix = file.name.rpartition(".")
        if suffix != "sql":
            continue
        sections = parse_queries(file.read_text("utf-8"))
        if stem in (*DIALECTS, *_FEATURES):
            overriding[stem] = sections
        else:
            shared |= sections
    sections = shared
    for stem in (dialect, *features):
        sections |= overriding[stem]
    return {
        name: Query(_with_fragments(text, sections))
        for (kind, name), text in sections.items()
        if kind == "name"
    }


def _with_fragments(text: str, sections: Mapping[tuple[str, str], str]) -> str:
    return _FRAGMENT.sub(
        lambda match: _with_fragments(sections["fragment", match[1]], sections), text
    )


def parse_queries(text: str) -> dict[tuple[str, str], str]:
    """Return the sections of a file: (`name` or `fragment`, its name) to SQL without comments."""
    pieces = _SECTION.split(text)[1:]
    return {
        (kind, name): _COMMENT.sub("", body).strip().rstrip(";")
        for kind, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    }
