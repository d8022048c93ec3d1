"""One daily budget of tokens for all processes of an instance, and across their restarts.

What a process has sent is added to a sum in the database, a few seconds later at most. So a budget
can be exceeded by what others have sent since.
"""

from functools import partial
from time import monotonic

from userkeep.domain.embedding import Embedder
from userkeep.jobs.steps import Steps, Write
from userkeep.services import embeddings

_READ_EVERY_S = 60.0


class SharedBudget:
    """The part of one process.

    Args:
        embedder: what sends the tokens; None if there is none.
    """

    def __init__(self, embedder: Embedder | None) -> None:
        self._budget = None if embedder is None else embedder.budget
        self._read_at_s = -_READ_EVERY_S

    def steps(self) -> Steps[None]:
        """Record what was sent, and read what others have sent: each minute, if nothing was."""
        if self._budget is None:
            return
        spent = self._budget.unrecorded()
        if not spent.tokens and monotonic() - self._read_at_s < _READ_EVERY_S:
            return
        sum_of_day = yield Write(partial(embeddings.record_tokens, spent=spent))
        self._budget.share(spent, sum_of_day)
        self._read_at_s = monotonic()
