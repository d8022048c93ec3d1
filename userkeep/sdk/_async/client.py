"""The client of the SDK, over any transport."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from userkeep.api import search
from userkeep.api.messages import Omittable
from userkeep.domain.message import Role
from userkeep.domain.search.meaning import SearchMode
from userkeep.sdk._async.collections import AsyncCollectionClient
from userkeep.sdk._async.documents import AsyncDocumentClient
from userkeep.sdk._async.erasures import AsyncErasureClient
from userkeep.sdk._async.keys import AsyncKeyClient
from userkeep.sdk._async.messages import AsyncMemoryClient, AsyncMessageClient
from userkeep.sdk._async.projects import AsyncProjectClient
from userkeep.sdk._async.sessions import AsyncSessionClient
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk._async.users import AsyncUserClient
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call, split_names
from userkeep.sdk.hits import Hits
from userkeep.sdk.requests import encode_search


@raises_at_its_caller
class AsyncClient:
    """A client of an instance.

    Attributes:
        user: the users of your app.
        session: conversations.
        message: the messages of a session.
        memory: context for the next prompt.
        collection: collections of documents.
        document: documents with embeddings, and searches in them.
        erasure: records of deletions; purge and verification.
        key: API keys.
        project: tenants, each with users of its own.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.user = AsyncUserClient(transport)
        self.session = AsyncSessionClient(transport)
        self.message = AsyncMessageClient(transport)
        self.memory = AsyncMemoryClient(transport)
        self.collection = AsyncCollectionClient(transport)
        self.document = AsyncDocumentClient(transport)
        self.erasure = AsyncErasureClient(transport)
        self.key = AsyncKeyClient(transport)
        self.project = AsyncProjectClient(transport)

    async def search(
        self,
        query: str | None = None,
        *,
        syntax: Literal["plain", "web"] = "plain",
        mode: SearchMode = "auto",
        user_id: str | None = None,
        session_id: str | None = None,
        filter: dict[str, Any] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        roles: Sequence[Role] | None = None,
        role_weights: Mapping[Role, float] | None = None,
        limit: int = 10,
        offset: int = 0,
        min_score: float = 0.0,
        context: bool = True,
        include: Sequence[Literal["session"]] = (),
        omit: Sequence[Omittable] | str = (),
        explain: bool = False,
    ) -> Hits:
        """Search messages, best first: `search("what shoes?", user_id="jane")`.

        Args:
            query: words or a question, up to 10,000 characters. Without it, the newest messages are
                returned.
            syntax: with `web`, the query can have `"phrases"`, `-excluded` words and the beginnings
                of words (`begin*`).
            mode: what is compared: `words`, `meaning`, or both (`auto`). Without an embedding
                model, words alone are compared; see `degraded` of the result.
            user_id: search only the messages of this user.
            session_id: search only this session. With `user_id`, it must be a session of this user.
                Without both, all messages are searched.
            filter: conditions on the metadata of messages, such as
                `{"field": "metadata.topic", "op": "eq", "value": "shoes"}`.
            created_after, created_before: exclusive, with a time zone.
            roles: search only messages with these roles.
            role_weights: factors of the score by role. The default is 1.5 for `user`, 1 for
                others.
            limit: the maximum number of results, from 1 to 1,000.
            offset: how many of the first results are left out; at most 1,000 together with `limit`.
            min_score: the lowest score of a result.
            context: whether messages near a match are results too. False leaves out messages that
                were found only because of their neighbours.
            include: `["session"]` gives each result its session.
            omit: fields of each message to leave out: `content`, `data`, `metadata`. They are
                `msgspec.UNSET` then. The snippet stays.
            explain: explain the score of each result, and what of the query was searched for.

        Returns:
            The results, each with its message, its score, and a snippet that shows the match.

        Raises:
            NotFound: the user or session does not exist, or the session is not the user's.
            InvalidField: a field is invalid.
            Gone: the user or session is being deleted.
        """
        body = encode_search(
            query=query,
            syntax=syntax,
            mode=None if mode == "auto" else mode,  # older servers do not know it
            user_id=user_id,
            session_id=session_id,
            filter=filter,
            created_after=created_after,
            created_before=created_before,
            roles=roles,
            role_weights=role_weights,
            limit=limit,
            offset=offset,
            min_score=min_score,
            context=context,
            include=include,
            omit=split_names(omit, "omit") or None,
            explain=explain,
        )
        found: search.Hits = await self._transport.send(make_call("messages.search", body=body))
        return Hits.of(found)

    async def embed(self) -> int:
        """Make the embeddings that messages and documents lack, in all projects.

        For embedded clients, whose database no server uses: a server embeds in the background. It
        ends when everything is embedded. If it fails, what is embedded stays; call it again.

        Returns:
            How many messages and documents got an embedding.

        Raises:
            Conflict: no embedding model is configured, or another process embeds already.
            Unavailable: the model does not answer.
            RuntimeError: the client is one of a server.
        """
        return await self._transport.embed()

    async def close(self) -> None:
        """Close connections, or the database."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
