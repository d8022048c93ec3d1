"""Rows of one test in a list, kept apart from those of all others."""

from itertools import chain
from typing import Any

from tests.conformance.steps import (
    MESSAGES,
    SESSIONS,
    SESSIONS_OF_USER,
    USERS,
    add_user,
    append,
    open_session,
    pages,
)
from tests.ways import Way


class Users:
    """Users, kept apart by an e-mail address."""

    path, subject = USERS, "/v1/users/{}"
    ids: tuple[str, ...] = ()

    def __init__(self, way: Way, fresh: str) -> None:
        self.way = way
        self.fresh = fresh
        self.apart = {"email": fresh}

    def add(self, name: str, **fields: Any) -> Any:
        """One, whose id ends in a name."""
        return add_user(self.way, f"{self.fresh}/{name}", email=self.fresh, **fields)

    def find(self, **params: Any) -> list[str]:
        """The names of those that a list holds."""
        rows = chain.from_iterable(pages(self.way, self.path, *self.ids, **self.apart, **params))
        return [self.name_of(row) for row in rows]

    def name_of(self, row: Any) -> str:
        """What a row was called when it was added."""
        name: str = row["user_id"]
        return name.rsplit("/", maxsplit=1)[-1]


class Sessions(Users):
    """Sessions, kept apart by their owner."""

    path, subject = SESSIONS, "/v1/sessions/{}"

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        add_user(way, fresh)
        self.apart = {"user_id": fresh}

    def add(self, name: str, **fields: Any) -> Any:
        """One, whose id ends in a name."""
        return open_session(self.way, f"{self.fresh}/{name}", user_id=self.fresh, **fields)

    def name_of(self, row: Any) -> str:
        """What a row was called when it was added."""
        name: str = row["session_id"]
        return name.rsplit("/", maxsplit=1)[-1]


class SessionsOfUser(Sessions):
    """Sessions, as the list below their owner has them."""

    path = SESSIONS_OF_USER

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        self.apart = {}
        self.ids = (fresh,)


class Messages(Users):
    """Messages, kept apart by their session."""

    path, subject = MESSAGES, "/v1/sessions/{}/messages/{}"

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        open_session(way, fresh)
        self.apart = {}
        self.ids = (fresh,)

    def add(self, name: str, **fields: Any) -> Any:
        """One, whose content is a name."""
        [message] = append(self.way, self.fresh, {"content": name, **fields})
        return message

    def add_all(self, metadata_of: dict[str, Any]) -> None:
        """One for each name, with its metadata."""
        messages = [{"content": name, "metadata": each} for name, each in metadata_of.items()]
        append(self.way, self.fresh, *messages)

    def name_of(self, row: Any) -> str:
        """What a row was called when it was added."""
        name: str = row["content"]
        return name
