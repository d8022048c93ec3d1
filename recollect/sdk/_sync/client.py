# Printed by scripts/print_sync.py from _async/client.py: change it there.
"""The surface of the SDK, whoever carries its calls."""

from types import TracebackType
from typing import Self

from recollect.sdk._sync.callers import Caller
from recollect.sdk._sync.erasures import ErasureClient
from recollect.sdk._sync.messages import MemoryClient, MessageClient
from recollect.sdk._sync.sessions import SessionClient
from recollect.sdk._sync.users import UserClient


class Client:
    """Everything that an installation can be asked.

    Attributes:
        user: the people an app talks to.
        session: conversations.
        message: what was said in them.
        memory: what the next prompt needs of one.
        erasure: what was forgotten.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.user = UserClient(caller)
        self.session = SessionClient(caller)
        self.message = MessageClient(caller)
        self.memory = MemoryClient(caller)
        self.erasure = ErasureClient(caller)

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
