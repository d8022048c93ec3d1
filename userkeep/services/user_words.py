"""Words of users: kept with each user, and searched by their beginnings.

Few users have a rare word: all of them are read. Many have a common one, so they are read in the
order of the list, until a page is full. A query of several words begins with the rarest of them.
Each word is stored three times for this: by user, by word, and by its first two characters and the
user.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.beginnings import RULES_VERSION, words_of_user
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_PAGE_BYTES, PageRequest, Rows

RARE = 1_000
"""A word is rare if at most so many words begin with it."""

BATCH_MS = 100
"""Longer than other batches: a build is before this server serves."""

_BEGINNING = 2
_LETTERS = 200
_LONGER = 4
_AT_ONCE = 100
"""Users with their metadata are less than MAX_PAGE_BYTES."""

_GREATEST = "\U0010ffff"


class UserToIndex(msgspec.Struct):
    """A user whose words are made again."""

    number: int
    project_id: int
    user_id: str


def add(tx: Transaction, user: User) -> None:
    """Add the words of a new user."""
    words = _words(user)
    if words:
        tx.defer(
            "add_user_words",
            user_id=user.user_id,
            user_number=user.number,
            user_words=encode_json(words).decode(),
        )


def change(tx: Transaction, before: User, after: User) -> None:
    """Replace the words of a user, if they are others."""
    if _words(before) != _words(after):
        remove(tx, before)
        add(tx, after)


def remove(tx: Transaction, user: User) -> None:
    """Remove the words of a user."""
    tx.defer("delete_user_words", user_id=user.user_id, user_number=user.number)


def page(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...], filters: dict[str, Any]
) -> Rows[User]:
    """Return a page of the users of whom each of these begins a word.

    Args:
        page: which rows.
        beginnings: from `parse_beginnings`; at least one.
        filters: those of `users.page`.
    """
    found: list[User] = []
    size_bytes = 0
    for users in _found(tx, page, beginnings, filters):
        found += users
        size_bytes += sum(user.size_bytes for user in users)
        if len(found) > page.limit or size_bytes > MAX_PAGE_BYTES:
            return page.cut(Rows(found, has_more=True))
    return page.cut(Rows(found, has_more=False))


def count(tx: Transaction, beginnings: tuple[str, ...], filters: dict[str, Any]) -> int:
    """Return the number of users of whom each of these begins a word."""
    every = PageRequest(limit=_AT_ONCE)
    return sum(len(users) for users in _found(tx, every, beginnings, filters))


def version(tx: Transaction) -> str | None:
    """Return the rules by which the words of all users were made; None if some have none."""
    return tx.fetch_one("get_user_words_version", str)


def build(tx: Transaction, rules: Rules, after: int) -> int | None:
    """Make the words of a batch of users, at least of one if any is left.

    Args:
        after: the number of the last user that has them.

    Returns:
        The number of the last user of the batch; None if none is left.
    """
    users = tx.fetch_all("users_to_index", UserToIndex, after=after, limit=_AT_ONCE)
    for user in users:
        _rebuild(tx.in_scope(Scope(user.project_id, rules)), user.user_id)
        after = user.number
        if tx.spent_ms() > BATCH_MS:
            break
    if users:
        return after
    tx.defer("set_user_words_version", value=RULES_VERSION)
    return None


def _rebuild(tx: Transaction, user_id: str) -> None:
    """Make the words of a user again.

    Another server may be serving already: the lock keeps it from changing or deleting the user
    until the words are there. A user who was deleted since gets none.
    """
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is not None:
        remove(tx, user)
        add(tx, user)


def _words(user: User) -> list[str]:
    return words_of_user(user.user_id, user.email, user.first_name, user.last_name)


def _found(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...], filters: dict[str, Any]
) -> Iterator[list[User]]:
    """Yield the users that are found, in the order of the page, in portions."""
    counts = {word: _count(tx, word) for word in beginnings}
    rarest = min(beginnings, key=lambda word: counts[word])  # the longest of those that are common
    others = [word for word in beginnings if word != rarest]
    if counts[rarest] <= RARE:
        candidates = _with_rare_word(tx, page, rarest)
    else:
        candidates = _with_common_word(tx, page, rarest, is_enough=not others)
    for each in candidates:
        numbers = each
        for other in others:
            numbers = _with_word(tx, numbers, other)
        for first in range(0, len(numbers), _AT_ONCE):
            tx.check_deadline()
            yield _users(tx, numbers[first : first + _AT_ONCE], filters)


def _users(tx: Transaction, numbers: list[int], filters: dict[str, Any]) -> list[User]:
    encoded = encode_json(numbers).decode()
    limit = len(numbers)
    return tx.fetch_page("users_by_number", User, numbers=encoded, limit=limit, **filters).items


def _with_rare_word(tx: Transaction, page: PageRequest, word: str) -> Iterator[list[int]]:
    """Yield the numbers of users in the order of the page."""
    start = _start(page)
    numbers = set(tx.fetch_all("users_with_rare_word", int, **_range(word), **start))
    yield sorted(numbers, reverse=page.is_descending)


def _with_common_word(
    tx: Transaction, page: PageRequest, word: str, *, is_enough: bool
) -> Iterator[list[int]]:
    """Yield the numbers of users in the order of the page.

    Args:
        is_enough: whether these are what is found; else other words are compared, so that more
            are read.
    """
    is_letter = len(word) < _BEGINNING
    limit = min(page.limit + 1, _AT_ONCE) if is_enough else _LETTERS if is_letter else RARE
    words, after = _range(word), page.after
    while True:
        tx.check_deadline()
        start = _start(PageRequest(order=page.order, after=after))
        if is_letter:
            numbers = tx.fetch_all("users_with_letter", int, limit=limit, **words, **start)
        else:
            words["beginning"] = word[:_BEGINNING]
            numbers = tx.fetch_all("users_with_common_word", int, limit=limit, **words, **start)
        if not numbers:
            return
        yield numbers
        after = numbers[-1]


def _with_word(tx: Transaction, numbers: list[int], word: str) -> list[int]:
    """Return the numbers of those users who have a word too, in the same order."""
    if not numbers:
        return []
    if len(word) >= _BEGINNING:
        # Two lists in the same order are compared faster than each number is looked up, unless
        # one of them is far longer.
        limit = _LONGER * len(numbers)
        having = tx.fetch_all(
            "users_with_word_between",
            int,
            beginning=word[:_BEGINNING],
            first=min(numbers),
            last=max(numbers),
            limit=limit,
            **_range(word),
        )
        if len(having) < limit:
            found = set(having)
            return [number for number in numbers if number in found]
    encoded = encode_json(numbers).decode()
    found = set(tx.fetch_all("users_with_word_among", int, numbers=encoded, **_range(word)))
    return [number for number in numbers if number in found]


def _count(tx: Transaction, word: str) -> int:
    return tx.fetch_one("count_words", int, limit=RARE + 1, **_range(word)) or 0


def _range(word: str) -> dict[str, str]:
    return {"word": word, "word_end": word + _GREATEST}


def _start(page: PageRequest) -> dict[str, Any]:
    values = page.values
    del values["limit"]
    return values
