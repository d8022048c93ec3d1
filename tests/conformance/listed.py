"""Lists that contain only the rows of one test: a filter excludes those of all others."""

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
    """Users with an e-mail address of their own."""

    path, subject = USERS, "/v1/users/{}"
    ids: tuple[str, ...] = ()

    def __init__(self, way: Way, fresh: str) -> None:
        self.way = way
        self.fresh = fresh
        self.filters = {"email": fresh}

    def add(self, name: str, **fields: Any) -> Any:
        """Add a row whose id ends in a name."""
        return add_user(self.way, f"{self.fresh}/{name}", email=self.fresh, **fields)

    def find(self, **params: Any) -> list[str]:
        """Return the names of the rows of the list."""
        rows = chain.from_iterable(pages(self.way, self.path, *self.ids, **self.filters, **params))
        return [self.name_of(row) for row in rows]

    def name_of(self, row: Any) -> str:
        """Return the name that a row was added with."""
        name: str = row["user_id"]
        return name.rsplit("/", maxsplit=1)[-1]


class Sessions(Users):
    """Sessions of one user, in the list of all sessions."""

    path, subject = SESSIONS, "/v1/sessions/{}"

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        add_user(way, fresh)
        self.filters = {"user_id": fresh}

    def add(self, name: str, **fields: Any) -> Any:
        """Add a row whose id ends in a name."""
        return open_session(self.way, f"{self.fresh}/{name}", user_id=self.fresh, **fields)

    def name_of(self, row: Any) -> str:
        """Return the name that a row was added with."""
        name: str = row["session_id"]
        return name.rsplit("/", maxsplit=1)[-1]


class SessionsOfUser(Sessions):
    """Sessions of one user, in the list of that user."""

    path = SESSIONS_OF_USER

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        self.filters = {}
        self.ids = (fresh,)


class Messages(Users):
    """Messages of one session."""

    path, subject = MESSAGES, "/v1/sessions/{}/messages/{}"

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        open_session(way, fresh)
        self.filters = {}
        self.ids = (fresh,)

    def add(self, name: str, **fields: Any) -> Any:
        """Add a message whose content is a name."""
        [message] = append(self.way, self.fresh, {"role": "user", "content": name, **fields})
        return message

    def add_all(self, metadata_of: dict[str, Any]) -> None:
        """Add a message for each name, with its metadata."""
        messages = [
            {"role": "user", "content": name, "metadata": each}
            for name, each in metadata_of.items()
        ]
        append(self.way, self.fresh, *messages)

    def name_of(self, row: Any) -> str:
        """Return the name that a row was added with."""
        name: str = row["content"]
        return name
