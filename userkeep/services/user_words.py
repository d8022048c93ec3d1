"""Words of users: kept with each user, and searched by their beginnings.

They cost more than all else of a new user, so an instance keeps none until users are searched by
words for the first time. Its state is a row of the table `instance`: no row, then the progress of a
build, then the version of the rules. From `begin` on, writes keep the words of the users that they
create or change, and `build` makes those of all others. Until it has, a search compares all users.

No user is left out: each statement that creates or changes a user reads the state too. `begin`
waits until each transaction with such a statement has ended, and holds back others until it is
committed.

Few users have a rare word: all of them are read. Many have a common one, so they are read in the
order of the list, until a page is full. A query of several words begins with the rarest of them.
Each word is stored three times for this: by user, by word, and by its first two characters and the
user.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.beginnings import RULES_VERSION, are_in_words, words_of_user
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_PAGE_BYTES, PageRequest, Rows
from userkeep.services import instance

RARE = 1_000
"""A word is rare if at most so many words begin with it."""

BATCH_MS = 10
"""Less than that of other batches: the commit of words takes long too."""

WAIT_MS = 20
"""How long `begin` waits for writes of users, and lets others wait."""

_BEGINNING = 2
_LETTERS = 200
_LONGER = 4
_AT_ONCE = 100
"""Users with their metadata are less than MAX_PAGE_BYTES."""

_GREATEST = "\U0010ffff"


class UserToIndex(msgspec.Struct):
    """A user whose words are made."""

    number: int
    user_id: str


class WordsBuild(msgspec.Struct):
    """A build that is under way, as the instance stores it.

    Attributes:
        version: of the rules; see RULES_VERSION.
        project_id: the project whose users are the next.
        after: the number of its last user that has words.
    """

    version: str
    project_id: int = 0
    after: int = 0


class WrittenUser(User):
    """A user as a statement returns it that creates or changes one.

    Attributes:
        words_state: the state of the words of users; None if the instance keeps none.
    """

    words_state: str | None = None


def add(tx: Transaction, user: WrittenUser) -> None:
    """Add the words of a new user, if the instance keeps words."""
    if user.words_state is not None:
        _add(tx, user)


def change(tx: Transaction, before: User, after: WrittenUser) -> None:
    """Replace the words of a user, if the instance keeps words and the user's are others."""
    if after.words_state is not None and _fields(before) != _fields(after):
        remove(tx, before)
        _add(tx, after)


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
    for users in _search(tx, page, beginnings, filters):
        found += users
        size_bytes += sum(user.size_bytes for user in users)
        if len(found) > page.limit or size_bytes > MAX_PAGE_BYTES:
            return page.cut(Rows(found, has_more=True))
    return page.cut(Rows(found, has_more=False))


def count(tx: Transaction, beginnings: tuple[str, ...], filters: dict[str, Any]) -> int:
    """Return the number of users of whom each of these begins a word."""
    every = PageRequest(limit=_AT_ONCE)
    return sum(len(users) for users in _search(tx, every, beginnings, filters))


def is_begun(tx: Transaction) -> bool:
    """Return whether the instance keeps words of users, of all of them or not yet."""
    return _state(tx) is not None


def is_built(tx: Transaction) -> bool:
    """Return whether all users have words."""
    return _state(tx) == RULES_VERSION


def begin(tx: Transaction) -> None:
    """Keep the words of users who are created or changed from now on.

    To be called in a transaction that has written no user: two that have would wait for each other.

    Raises:
        Unavailable: a transaction that has written users did not end soon.
    """
    tx.defer("limit_lock_wait", limit=str(WAIT_MS))
    tx.defer("wait_for_user_writes")
    tx.defer("begin_user_words", value=_encode(WordsBuild(RULES_VERSION)))


def replace_others(tx: Transaction) -> None:
    """Let the words be made again if they were made by other rules."""
    state = _state(tx)
    if state is not None and _version(state) != RULES_VERSION:
        value = _encode(WordsBuild(RULES_VERSION))
        tx.defer("set_user_words_state", known=state, value=value)


def build(tx: Transaction, rules: Rules) -> bool:
    """Make the words of the next batch of users; return whether none is left.

    Any process may do so. The batch that began first keeps others waiting.
    """
    state = _state(tx)
    if state is None or state == RULES_VERSION:
        return True
    if not tx.execute("set_user_words_state", known=state, value=state):
        return False  # another process has made the batch
    build = msgspec.json.decode(state, type=WordsBuild)
    is_done = not (_build_in_project(tx, rules, build) or _next_project(tx, build))
    value = RULES_VERSION if is_done else _encode(build)
    tx.defer("set_user_words_state", known=state, value=value)
    return is_done


def _build_in_project(tx: Transaction, rules: Rules, build: WordsBuild) -> bool:
    """Make the words of a batch of a project's users, at least of one if any is left."""
    tx = tx.in_scope(Scope(build.project_id, rules))
    users = tx.fetch_all("users_to_index", UserToIndex, after=build.after, limit=_AT_ONCE)
    for user in users:
        _rebuild(tx, user.user_id)
        build.after = user.number
        if tx.spent_ms() > BATCH_MS:
            break
    return bool(users)


def _next_project(tx: Transaction, build: WordsBuild) -> bool:
    """Continue with the next project, if there is one."""
    later = [each for each in instance.project_ids(tx) if each > build.project_id]
    if later:
        build.project_id, build.after = later[0], 0
    return bool(later)


def _state(tx: Transaction) -> str | None:
    return tx.fetch_one("get_user_words_state", str)


def _version(state: str) -> str:
    is_build = state.startswith("{")
    return msgspec.json.decode(state, type=WordsBuild).version if is_build else state


def _encode(build: WordsBuild) -> str:
    return encode_json(build).decode()


def _rebuild(tx: Transaction, user_id: str) -> None:
    """Make the words of a user again.

    The lock keeps others from changing or deleting the user until the words are there. A user who
    was deleted since gets none.
    """
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is not None:
        remove(tx, user)
        _add(tx, user)


def _add(tx: Transaction, user: User) -> None:
    words = words_of_user(*_fields(user))
    if words:
        tx.defer(
            "add_user_words",
            user_id=user.user_id,
            user_number=user.number,
            user_words=encode_json(words).decode(),
        )


def _fields(user: User) -> tuple[str, str | None, str | None, str | None]:
    return user.user_id, user.email, user.first_name, user.last_name


def _search(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...], filters: dict[str, Any]
) -> Iterator[list[User]]:
    """Yield the users that are found, in the order of the page, in portions."""
    search = _found if is_built(tx) else _compared
    return search(tx, page, beginnings, filters)


def _compared(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...], filters: dict[str, Any]
) -> Iterator[list[User]]:
    """Yield the users that are found without words that are stored: all users are read."""
    portion = PageRequest(limit=_AT_ONCE, order=page.order, after=page.after)
    while True:
        tx.check_deadline()
        users = tx.fetch_page("list_users", User, **portion.values, **filters).items
        if not users:
            return
        yield [user for user in users if are_in_words(beginnings, *_fields(user))]
        portion.after = users[-1].number


def _found(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...], filters: dict[str, Any]
) -> Iterator[list[User]]:
    """Yield the users that are found by their words."""
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
