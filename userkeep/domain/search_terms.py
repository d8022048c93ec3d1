"""Search terms: texts of a deleted user that a verification looks for.

A search term is never stored and never logged: results and errors name its index in the list.
"""

from collections.abc import Sequence

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.text import check_characters

MAX_SEARCH_TERMS = 100
MAX_SEARCH_TERM_LENGTH = 1024

MIN_SEARCH_TERM_BYTES = 6
"""In UTF-8: six letters of English, two of Chinese.

What is shorter is found by chance. In a gigabyte of letters at random, five of them stand somewhere
in a given order ninety times, six three or four times, seven hardly ever. What people have that is
their own (an address, the number of a telephone or of an account, a name in full) is longer.
"""

MIN_DIFFERENT_BYTES = 3
"""Rejects spaces, a line of hyphens or a run of zeros, which every file has."""


def check_search_terms(search_terms: Sequence[str], field: str) -> tuple[str, ...]:
    """Return the search terms, if each of them can be looked for.

    Raises:
        InvalidField: there are too many, or one is too long, or too short to be told from chance;
            it names the index, as `search_terms[3]`, and never the text.
    """
    if len(search_terms) > MAX_SEARCH_TERMS:
        raise InvalidField(f"{field} has more than {MAX_SEARCH_TERMS} texts.", field)
    for index, search_term in enumerate(search_terms):
        _check(search_term, f"{field}[{index}]")
    return tuple(search_terms)


def is_telling(text: str) -> bool:
    """Whether a text is long enough, and varied enough, not to be found by chance."""
    encoded = text.encode()
    return len(encoded) >= MIN_SEARCH_TERM_BYTES and len(set(encoded)) >= MIN_DIFFERENT_BYTES


def _check(search_term: str, field: str) -> None:
    check_characters(search_term, field)
    if len(search_term) > MAX_SEARCH_TERM_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_SEARCH_TERM_LENGTH:,} characters.", field)
    if not is_telling(search_term):
        raise InvalidField(
            f"{field} would be found by chance: it needs {MIN_SEARCH_TERM_BYTES} bytes in UTF-8, "
            f"and {MIN_DIFFERENT_BYTES} different ones among them.",
            field,
        )
