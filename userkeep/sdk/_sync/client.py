# Printed by scripts/print_sync.py from _async/client.py: change it there.
"""The surface of the SDK, whoever carries its calls."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from userkeep.api.search import Hit, Hits
from userkeep.domain.message import RoleType
from userkeep.sdk._sync.callers import Caller
from userkeep.sdk._sync.erasures import ErasureClient
from userkeep.sdk._sync.messages import MemoryClient, MessageClient
from userkeep.sdk._sync.sessions import SessionClient
from userkeep.sdk._sync.users import UserClient
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import body_of_search


class Client:
    """Everything that an instance can be asked.

    Attributes:
        user: the people an app talks to.
        session: conversations.
        message: what was said in them.
        memory: what the next prompt needs of one.
        erasure: what was deleted.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.user = UserClient(caller)
        self.session = SessionClient(caller)
        self.message = MessageClient(caller)
        self.memory = MemoryClient(caller)
        self.erasure = ErasureClient(caller)

    def search(
        self,
        query: str | None = None,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        filter: dict[str, Any] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        roles: Sequence[RoleType] | None = None,
        role_weights: Mapping[RoleType, float] | None = None,
        limit: int = 10,
        explain: bool = False,
    ) -> list[Hit]:
        """Find messages by their words, best first: `search("what shoes?", user_id="jane")`.

        Args:
            query: words, or a question, of up to 10,000 characters; without it, the newest
                messages are found.
            user_id: among the messages of this user alone.
            session_id: in this session alone. Without either, in everything.
            filter: conditions on their metadata, such as
                `{"field": "metadata.topic", "op": "eq", "value": "shoes"}`.
            created_after, created_before: exclusive; without a zone they are UTC.
            roles: only what these role types said.
            role_weights: what a score is multiplied with, by role type, in place of what ranking
                has (1.5 for `user`, 1 for all others).
            limit: how many hits at most, from 1 to 1,000.
            explain: say of each hit how its score came about.

        Returns:
            The hits; each has its message, its score, and the part of its content that shows why.

        Raises:
            NotFound: there is no such user or session.
            InvalidField: naming the field.
            Gone: the user or the session is being deleted.
        """
        body = body_of_search(
            query=query,
            user_id=user_id,
            session_id=session_id,
            filter=filter,
            created_after=created_after,
            created_before=created_before,
            roles=roles,
            role_weights=role_weights,
            limit=limit,
            explain=explain,
        )
        hits: Hits = self._caller.call(make_call("messages.search", body=body))
        return hits.items

    def close(self) -> None:
        """Let go of connections, or of the database."""
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
