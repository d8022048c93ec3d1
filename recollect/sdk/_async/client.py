"""The surface of the SDK, whoever carries its calls."""

from types import TracebackType
from typing import Self

from recollect.sdk._async.callers import AsyncCaller
from recollect.sdk._async.erasures import AsyncErasureClient
from recollect.sdk._async.messages import AsyncMemoryClient, AsyncMessageClient
from recollect.sdk._async.sessions import AsyncSessionClient
from recollect.sdk._async.users import AsyncUserClient


class AsyncClient:
    """Everything that an installation can be asked.

    Attributes:
        user: the people an app talks to.
        session: conversations.
        message: what was said in them.
        memory: what the next prompt needs of one.
        erasure: what was forgotten.
    """

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
        self.user = AsyncUserClient(caller)
        self.session = AsyncSessionClient(caller)
        self.message = AsyncMessageClient(caller)
        self.memory = AsyncMemoryClient(caller)
        self.erasure = AsyncErasureClient(caller)

    async def close(self) -> None:
        """Let go of connections, or of the database."""
        await self._caller.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
