"""Work that outlives a request: erasures that go on, their purges, and what has expired."""

import asyncio
import logging
from time import monotonic

from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Unavailable, UserkeepError
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import scoped
from userkeep.domain.values.times import Instant
from userkeep.http.purger import Purger
from userkeep.http.timers import Timers
from userkeep.services import erasures, idempotency, instance, purges, tombstones
from userkeep.storage.engine import Engine

logger = logging.getLogger(__name__)

_HIDDEN_AFTER_S = 60.0
_PAUSE_S = 0.1
_ASK_AGAIN_S = 0.25
_LONGEST_PAUSE_S = 30.0
_EXPIRY_PAUSE_S = 3600.0


class Background:
    """Finishes erasures, purges, and drops what has expired, from `start` to `stop`."""

    def __init__(self, engine: Engine, rules: Rules, timers: Timers) -> None:
        self._engine = engine
        self._rules = rules
        self._timers = timers
        self._deleting: dict[str, asyncio.Task[Erasure]] = {}
        self._latest: dict[str, Erasure] = {}
        self._claims: dict[str, Instant] = {}
        self._caring: list[asyncio.Task[None]] = []
        self._purger = Purger(engine, rules.purges, timers)

    async def start(self) -> None:
        """Take up what a former process left unfinished."""
        if not self._engine.is_shared:
            for scope in await self._scopes():
                await self._engine.write_async(scoped(scope, erasures.release_leases))
            await self._engine.write_async(purges.drop_step)
        await self._take_up()
        self._purger.start()
        self._caring = [asyncio.create_task(self._drop_expired())]
        if self._engine.is_shared:
            self._caring.append(asyncio.create_task(self._look_for_abandoned()))

    async def stop(self) -> None:
        """Stop after the batch that runs; the next start goes on from there."""
        tasks = [*self._deleting.values(), *self._caring]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._purger.stop(), return_exceptions=True)

    def note_request(self) -> None:
        """Somebody is asking this server for something: it is not idle."""
        self._purger.requested_at_s = monotonic()

    async def delete(self, scope: Scope, begun: Erasure) -> Erasure:
        """Carry out an erasure that has begun: to its end, or for as long as a request may take.

        Its end is that of its purge, if somebody has asked for that. It goes on in any case.
        Nothing is answered before all that belongs to the subject is hidden, so that from outside
        it is gone at once.

        Raises:
            Unavailable: the database cannot even hide it now; it will be tried again.
        """
        ends = monotonic() + self._timers.respond_after_s
        erasure = begun if begun.is_finished else await self._delete(scope, begun)
        if not begun.waits_for_purge:
            return erasure
        get = scoped(scope, erasures.get, begun.uuid)
        while (left_s := ends - monotonic()) > 0 and erasure.waits_for_purge:
            await asyncio.wait({self._purger.ask()}, timeout=left_s)
            erasure = await self._engine.read_async(get)
            if erasure.waits_for_purge:
                await asyncio.sleep(min(_ASK_AGAIN_S, left_s))
        return erasure

    async def _delete(self, scope: Scope, begun: Erasure) -> Erasure:
        if begun.uuid not in self._deleting:
            first = await self._advance(scope, begun.uuid)
            if first.is_finished:
                return first
        task = self._go_on(scope, begun.uuid)
        began = monotonic()
        await asyncio.wait({task}, timeout=self._timers.respond_after_s)
        while not task.done() and not self._is_hidden(begun):
            if monotonic() - began > _HIDDEN_AFTER_S:
                raise Unavailable("The erasure has begun and goes on; ask again for its state.")
            await asyncio.wait({task}, timeout=0.1)
        if task.cancelled():
            raise Unavailable("The server is stopping; the erasure goes on at its next start.")
        return task.result() if task.done() else self._latest.get(begun.uuid, begun)

    async def _scopes(self) -> list[Scope]:
        project_ids = await self._engine.read_async(instance.project_ids)
        return [Scope(project_id, self._rules) for project_id in project_ids]

    def _is_hidden(self, begun: Erasure) -> bool:
        return self._latest.get(begun.uuid, begun).is_hidden

    def _go_on(self, scope: Scope, uuid: str) -> "asyncio.Task[Erasure]":
        task = self._deleting.get(uuid)
        if task is None:
            task = self._deleting[uuid] = asyncio.create_task(self._finish(scope, uuid))
            task.add_done_callback(lambda _: self._deleting.pop(uuid, None))
        return task

    async def _finish(self, scope: Scope, uuid: str) -> Erasure:
        pause_s = _PAUSE_S
        try:
            while True:
                try:
                    erasure = self._latest[uuid] = await self._advance(scope, uuid)
                    pause_s = _PAUSE_S
                    if erasure.is_finished:
                        if erasure.waits_for_purge:
                            self._purger.ask()
                        return erasure
                    if erasure.lease_expires_at is None:
                        await asyncio.sleep(_PAUSE_S)  # another server is at work on it
                except Exception as error:
                    # Whatever it is, who asked to be deleted must be.
                    logger.warning("erasure %s is tried again in %.1f s: %r", uuid, pause_s, error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        finally:
            self._latest.pop(uuid, None)

    async def _advance(self, scope: Scope, uuid: str) -> Erasure:
        held_until_at = self._claims.get(uuid)
        erasure = await self._engine.write_async(
            scoped(scope, erasures.advance, uuid, held_until_at)
        )
        if erasure.is_finished:
            self._claims.pop(uuid, None)
        elif erasure.lease_expires_at is not None:
            self._claims[uuid] = erasure.lease_expires_at
        return erasure

    async def _take_up(self) -> None:
        for scope in await self._scopes():
            for uuid in await self._engine.read_async(scoped(scope, erasures.abandoned)):
                self._go_on(scope, uuid)

    async def _look_for_abandoned(self) -> None:
        while True:
            await asyncio.sleep(self._timers.find_abandoned_s)
            try:
                await self._take_up()
            except UserkeepError as error:
                logger.warning("abandoned erasures are looked for later: %s", error.detail)

    async def _drop_expired(self) -> None:
        while True:
            try:
                for scope in await self._scopes():
                    for drop in (tombstones.drop_expired, idempotency.delete_expired):
                        while await self._engine.write_async(scoped(scope, drop)):
                            await asyncio.sleep(0.1)
            except UserkeepError as error:
                logger.warning("what has expired is dropped later: %s", error.detail)
            await asyncio.sleep(_EXPIRY_PAUSE_S)
