"""What the index is told of the texts of this benchmark, made by the product's own rules.

The same few texts are said again and again, so their words are made once for each. Databases are
seeded with them, and the floors write them: making words is not what a driver does, but what the
product does before it calls one.
"""

from functools import cache

from bench.servers import SECRET
from userkeep.config import Settings
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.instance import make_rules

_ANALYZER = make_rules(Settings(), SECRET.encode()).analyzer

INDEX_VERSION = _ANALYZER.version
"""Names the rules in a database whose index was made by them."""


@cache
def indexed(role: str, role_type: str, content: str) -> IndexEntry:
    """What the index is told of a message that says this; made the first time it is asked for."""
    return make_entry(_ANALYZER, role, role_type, content)
