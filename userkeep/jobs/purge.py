"""Carrying out a purge: nothing that was deleted before it began is in the files at its end."""

import logging
from contextlib import suppress
from functools import partial
from time import monotonic

from userkeep.domain.errors import Unavailable
from userkeep.domain.purge import PurgeStatus
from userkeep.domain.transaction import Transaction
from userkeep.services import purges
from userkeep.storage.engine import Engine
from userkeep.storage.schema import columns_to_purge

logger = logging.getLogger(__name__)


class Purge:
    """One purge. `run` can take as long as copying the database; `stop` ends it early."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._compactor = engine.compactor(columns_to_purge("postgres"))
        self._is_stopped = False

    def run(self) -> None:
        """Purge all data that was deleted or edited before.

        Raises:
            Unavailable: another purge is running, something blocks it (which the erasures show as
                `problem`), or it was stopped. It can be repeated without harm.
        """
        began_s = monotonic()
        with self._compactor:
            status = self._engine.write(purges.begin)
            try:
                self._purge_index()
                skipped = self._compactor.run(partial(self._set_phase, status))
            except Unavailable as error:
                status.problem = error.detail
                self._engine.write(partial(purges.set_status, status=status))
                raise
            self._engine.write(partial(purges.end, purge_uuid=status.purge_uuid, skipped=skipped))
        fields = {
            "duration_ms": round((monotonic() - began_s) * 1000),
            "skipped_steps": len(skipped),
            "purge": status.purge_uuid,
        }
        logger.info("purged deleted data", extra={"fields": fields})

    def stop(self) -> None:
        """Make `run` end soon, from any thread."""
        self._is_stopped = True
        self._compactor.stop()

    def _purge_index(self) -> None:
        self._engine.write(_start_purge_of_index)
        while not self._is_stopped and self._engine.write(_continue_purge_of_index):
            pass

    def _set_phase(self, status: PurgeStatus, phase: str) -> None:
        status.phase = phase
        self._engine.write(partial(purges.set_status, status=status))


def purge_now(engine: Engine) -> None:
    """Purge if that is possible now; what prevents it is recorded with the erasures."""
    with suppress(Unavailable):
        Purge(engine).run()


def _start_purge_of_index(tx: Transaction) -> None:
    tx.search_index.start_purge()


def _continue_purge_of_index(tx: Transaction) -> bool:
    return tx.search_index.continue_purge()
