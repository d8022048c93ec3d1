"""Search terms: texts of a deleted user that a verification looks for.

A search term is never stored and never logged: results and errors name its index in the list.
"""

from collections.abc import Sequence

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.text import check_characters

MAX_SEARCH_TERMS = 100
MAX_SEARCH_TERM_LENGTH = 1024
MAX_SEARCH_TERMS_LENGTH = 16_384
"""In characters, all together. Each is looked for in dozens of encodings and word by word, so the
work before a search, and its memory, grow with them."""

MIN_SEARCH_TERM_BYTES = 6
"""In UTF-8: six letters of English, two of Chinese.

Shorter texts are found by chance: in a gigabyte of random letters, a text of five letters occurs
ninety times, one of six letters three or four times, one of seven hardly ever. Personal data such
as addresses, telephone and account numbers, and full names is longer.
"""

MIN_DIFFERENT_BYTES = 3
"""Rejects spaces, a line of hyphens or a run of zeros, which every file has."""


def check_search_terms(search_terms: Sequence[str], field: str) -> tuple[str, ...]:
    """Return the search terms, if each of them can be searched for.

    Raises:
        InvalidField: there are too many, or one is too long, or so short that it is found by
            chance. The error has its index, as in `search_terms[3]`, and never the text.
    """
    if len(search_terms) > MAX_SEARCH_TERMS:
        raise InvalidField(f"{field} has more than {MAX_SEARCH_TERMS} texts.", field)
    length = sum(map(len, search_terms))
    if length > MAX_SEARCH_TERMS_LENGTH:
        raise InvalidField(
            f"{field} has {length:,} characters together; at most {MAX_SEARCH_TERMS_LENGTH:,} are "
            "allowed. Verify with some of them at a time.",
            field,
        )
    for index, search_term in enumerate(search_terms):
        _check(search_term, f"{field}[{index}]")
    return tuple(search_terms)


def is_distinctive(text: str) -> bool:
    """Whether a text is long and varied enough not to be found by chance."""
    encoded = text.encode()
    return len(encoded) >= MIN_SEARCH_TERM_BYTES and len(set(encoded)) >= MIN_DIFFERENT_BYTES


def _check(search_term: str, field: str) -> None:
    check_characters(search_term, field)
    if len(search_term) > MAX_SEARCH_TERM_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_SEARCH_TERM_LENGTH:,} characters.", field)
    if not is_distinctive(search_term):
        raise InvalidField(
            f"{field} would be found by chance: it needs {MIN_SEARCH_TERM_BYTES} bytes in UTF-8, "
            f"and {MIN_DIFFERENT_BYTES} different ones among them.",
            field,
        )
