"""What is looked for: the canaries, and the subject's own id where it can be told from chance."""

from collections.abc import Sequence

from userkeep.domain.canaries import is_telling
from userkeep.domain.erasure import Subject
from userkeep.domain.verification import Wanted


class Texts:
    """The texts that are looked for, in one list, whosever they are.

    Attributes:
        all: the canaries in their order, then the subject's id if it is looked for.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._canaries = len(wanted.canaries)
        self.all: Sequence[str] = wanted.canaries
        if self._looks_for_id(wanted) and wanted.subject_id is not None:
            self.all = (*wanted.canaries, wanted.subject_id)

    def canary(self, number: int) -> int | None:
        """Which canary a text is, by its place in the list; None: the subject's id."""
        return number if number < self._canaries else None

    def name(self, number: int) -> str:
        """How a text is spoken of."""
        return f"canaries[{number}]" if number < self._canaries else "subject_id"

    @staticmethod
    def _looks_for_id(wanted: Wanted) -> bool:
        # Of a message, it is the id of its session, which is still there.
        is_its_own = wanted.erasure.subject != Subject.MESSAGE
        return is_its_own and wanted.subject_id is not None and is_telling(wanted.subject_id)
