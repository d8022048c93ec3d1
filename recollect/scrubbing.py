"""Carrying out a scrub: nothing that was erased before it began is in the files at its end."""

from functools import partial

from recollect.domain.errors import Unavailable
from recollect.domain.scrub import Step
from recollect.services import scrubs
from recollect.storage.engine import Engine
from recollect.storage.places import columns_with_personal_data


class Scrub:
    """One scrub. `run` may take as long as copying the database does; `stop` ends it early."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rewriter = engine.rewriter(columns_with_personal_data("postgres"))
        self._is_stopped = False

    def run(self) -> None:
        """Scrub all that is erased or edited by now, to the end.

        Raises:
            Unavailable: another scrub is under way, something is in the way (which is told of the
                erasures too, as the problem), or it was stopped. Nothing is harmed; do it again.
        """
        with self._rewriter:
            step = self._engine.write(scrubs.begin)
            try:
                self._merge_index()
                left = self._rewriter.run(partial(self._tell, step))
            except Unavailable as error:
                step.problem = error.detail
                self._engine.write(partial(scrubs.tell, step=step))
                raise
            self._engine.write(partial(scrubs.end, scrub_uuid=step.scrub_uuid, left=left))

    def stop(self) -> None:
        """Let `run` end soon, from any thread."""
        self._is_stopped = True
        self._rewriter.stop()

    def _merge_index(self) -> None:
        self._engine.write(scrubs.begin_merging_index)
        while not self._is_stopped and self._engine.write(scrubs.merge_index):
            pass

    def _tell(self, step: Step, doing: str) -> None:
        step.doing = doing
        self._engine.write(partial(scrubs.tell, step=step))
