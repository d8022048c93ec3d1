"""The part of a project that a search sees: the messages of a user, of a session, or all."""

from typing import Any

import msgspec

from userkeep.domain.transaction import Transaction
from userkeep.domain.user import no_such_user
from userkeep.services import sessions, users


class SearchedPart(msgspec.Struct, frozen=True):
    """The part of the project that is searched: of a user, of a session, or all of it.

    Attributes:
        user_id: whose messages; None for those of a session, or of all of the project.
        session_id: of which session; None for those of a user, or of all of the project.
        search_scope: see `domain.search.index`; None for all of the project.
    """

    user_id: str | None = None
    session_id: str | None = None
    search_scope: int | None = None

    @property
    def owner(self) -> dict[str, Any]:
        """The user or the session, by its name in the queries."""
        return {"user_id": self.user_id, "session_id": self.session_id}


def get(tx: Transaction, user_id: str | None, session_id: str | None) -> SearchedPart:
    """Return what a search of a user, of a session or of both may see.

    Args:
        user_id: whose messages; None for those of all whom the scope sees.
        session_id: of which session; it must be this user's.

    Raises:
        NotFound: there is no such user or session. Gone: it is being deleted.
    """
    bound_to = tx.scope.user_id
    user_id = bound_to if user_id is None else user_id
    if bound_to not in {None, user_id}:
        raise no_such_user(str(user_id))
    if session_id is not None:
        return _of_session(tx, session_id, user_id)
    if user_id is not None:
        user = users.get(tx, user_id)
        return SearchedPart(user_id=user.user_id, search_scope=user.number)
    return SearchedPart()


def _of_session(tx: Transaction, session_id: str, user_id: str | None) -> SearchedPart:
    scope = tx.scope if user_id is None else tx.scope.for_user(user_id)
    sessions.get(tx.in_scope(scope), session_id)
    search_scope = tx.fetch_one("search_scope", int, session_id=session_id)
    return SearchedPart(session_id=session_id, search_scope=search_scope)
