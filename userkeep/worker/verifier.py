"""Verifications, each in a thread beside the requests, one at a time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.verification import Verification, Wanted
from userkeep.jobs.verify import Verifying
from userkeep.storage.engine import Engine


class Verifier:
    """Verifies for whoever waits for the answer, and no longer than they do.

    One at a time: each reads whatever there is, and takes the interpreter from those who serve.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()

    async def run(
        self, scope: Scope, wanted: Wanted, left: Coroutine[Any, Any, None]
    ) -> Verification:
        """What came of a verification.

        Raises:
            Unavailable: the database cannot be read now, the server stops, or whoever asked has
                gone away.
        """
        verifying = Verifying(self._engine, scope, wanted)
        running = asyncio.create_task(self._in_turn(verifying))
        leaving = asyncio.create_task(left)
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise Unavailable("Client disconnected.")
            return running.result()
        finally:
            verifying.stop()
            leaving.cancel()
            running.cancel()

    async def _in_turn(self, verifying: Verifying) -> Verification:
        async with self._turn:
            # Not cancelled with its task: the next one's turn comes when the thread has ended.
            thread = asyncio.create_task(asyncio.to_thread(verifying.run))
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                await asyncio.gather(thread, return_exceptions=True)
                raise
