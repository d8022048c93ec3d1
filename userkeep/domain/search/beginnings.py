"""Search for the beginnings of words: in the names of users, and in the titles of sessions.

A word is found by its beginning, without regard to case and accents: `zur` finds `Zürich`, and
`rich` does not. Texts of scripts without spaces are found by any part.
"""

from collections.abc import Iterator
from itertools import zip_longest

from userkeep.domain.errors import InvalidField
from userkeep.domain.search.analyzer import MAX_TERM_LENGTH, folded_words, is_unspaced
from userkeep.domain.values.text import check_name

RULES_VERSION = "1"
"""The version of the rules by which the words of users were made. Those of others are replaced."""

MAX_WORDS = 32
"""How many different words of a user are found."""

MAX_BEGINNINGS = 8
"""How many words a query can have."""

_MAX_PARTS = 8


def words_of_user(
    user_id: str, email: str | None, first_name: str | None, last_name: str | None
) -> list[str]:
    """Return the different words by which a user is found: as many of each field, if too many."""
    fields = (first_name, last_name, email, user_id)
    in_turn = zip_longest(*(_words(text) for text in fields if text))
    words = dict.fromkeys(word for row in in_turn for word in row if word is not None)
    return list(words)[:MAX_WORDS]


def are_in_words(
    beginnings: tuple[str, ...],
    user_id: str,
    email: str | None,
    first_name: str | None,
    last_name: str | None,
) -> bool:
    """Return whether each of these begins one of the words of a user."""
    text = " ".join(each for each in (user_id, email, first_name, last_name) if each)
    # Most users have none of them. Only ASCII can be compared before it is taken apart.
    if text.isascii() and not all(each in text.lower() for each in beginnings):
        return False
    words = words_of_user(user_id, email, first_name, last_name)
    return all(any(word.startswith(each) for word in words) for each in beginnings)


def words_of_title(title: str | None) -> str | None:
    """Return the words of a title, each after a space, for `title_patterns`."""
    return None if title is None else "".join(f" {word}" for word in folded_words(title))


def parse_beginnings(query: str | None) -> tuple[str, ...]:
    """Return the different words of a query, the longest first; none finds everything.

    Raises:
        InvalidField: it is too long or has too many words.
    """
    if query is None:
        return ()
    check_name(query, "q")
    words = sorted({word[:MAX_TERM_LENGTH] for word in folded_words(query)}, key=_by_length)
    kept: list[str] = []
    for word in words:
        if not any(longer.startswith(word) for longer in kept):
            kept.append(word)
    if len(kept) > MAX_BEGINNINGS:
        raise InvalidField(f"q has more than {MAX_BEGINNINGS} words.", "q")
    return tuple(kept)


def title_patterns(beginnings: tuple[str, ...]) -> list[str]:
    """Return what the words of a title contain if each of these is the beginning of one of them."""
    return [word if is_unspaced(word) else f" {word}" for word in beginnings]


def _by_length(word: str) -> tuple[int, str]:
    return -len(word), word


def _words(text: str) -> list[str]:
    return [part for word in folded_words(text) for part in _parts(word)]


def _parts(word: str) -> Iterator[str]:
    """Yield a word; of a script without spaces, also the word without its first characters."""
    yield word[:MAX_TERM_LENGTH]
    if is_unspaced(word):
        for start in range(1, min(len(word), _MAX_PARTS)):
            yield word[start : start + MAX_TERM_LENGTH]
