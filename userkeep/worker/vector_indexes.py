"""The server's part of approximate indexes: has them built when collections have become large."""

import asyncio
from functools import partial

from userkeep.domain.transaction import Transaction
from userkeep.domain.vectors.index import LEAST_INDEXED, LargeCollection
from userkeep.services import collections
from userkeep.storage.engine import Engine, VectorIndexer
from userkeep.worker.figures import JobFigures
from userkeep.worker.supervision import SupervisedTask
from userkeep.worker.threads import run_in_daemon_thread
from userkeep.worker.timers import Timers

_FIRST_RETRY_S = 30.0
_LAST_RETRY_S = 600.0


class VectorIndexes:
    """Keeps indexes of embeddings, where the engine has them, from start to stop.

    Args:
        engine: whose indexes they are.
        least: a collection with so many embeddings has an index, if that many are looked up in
            one; 0: none has one.
        timers: how long it waits.

    Attributes:
        figures: count the looks for collections that need an index.
    """

    def __init__(self, engine: Engine, least: int, timers: Timers) -> None:
        self.figures = JobFigures()
        self._engine = engine
        self._least = max(least, LEAST_INDEXED) if least else 0
        self._every_s = timers.index_s
        self._indexer: VectorIndexer | None = None
        self._task: SupervisedTask | None = None

    def start(self) -> None:
        """Start in the background, if the engine has such indexes."""
        self._indexer = self._engine.vector_indexer()
        if self._indexer is None:
            return
        self._task = SupervisedTask(
            "indexes of embeddings",
            partial(self._run, self._indexer),
            first_retry_s=_FIRST_RETRY_S,
            last_retry_s=_LAST_RETRY_S,
            figures=self.figures,
        )

    async def stop(self, timeout_s: float) -> None:
        """Stop, with an index that is being built: the next start builds it again."""
        if self._task is None or self._indexer is None:
            return
        self._indexer.stop()
        self._task.stop()
        await self._task.wait(timeout_s)

    async def _run(self, indexer: VectorIndexer) -> None:
        while True:
            with self.figures.run():
                large, are_there_indexes = await self._engine.read_async(self._find)
                if large or are_there_indexes:
                    work = partial(indexer.run, large, self._least)
                    await run_in_daemon_thread(work, "userkeep-index")
            await asyncio.sleep(self._every_s)

    def _find(self, tx: Transaction) -> tuple[list[LargeCollection], bool]:
        """Return which collections may need an index, and whether there are any indexes."""
        # Half as many: one that has become a little smaller keeps its index.
        large = collections.large(tx, self._least // 2) if self._least else []
        return large, tx.vector_index.is_used
