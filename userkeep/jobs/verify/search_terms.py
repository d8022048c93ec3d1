"""What is looked for: the search terms, and the subject's own id where it is distinctive."""

from collections.abc import Sequence

from userkeep.domain.erasure import Subject
from userkeep.domain.search_terms import is_telling
from userkeep.domain.verification import Wanted


class Texts:
    """The texts that are looked for, in one list, whosever they are.

    Attributes:
        all: the search terms in their order, then the subject's id if it is looked for.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._search_terms = len(wanted.search_terms)
        self.all: Sequence[str] = wanted.search_terms
        if self._looks_for_id(wanted) and wanted.subject_id is not None:
            self.all = (*wanted.search_terms, wanted.subject_id)

    def search_term(self, number: int) -> int | None:
        """Return the index of a text among the search terms; None: it is the subject's id."""
        return number if number < self._search_terms else None

    def name(self, number: int) -> str:
        """How a text is spoken of."""
        return f"search_terms[{number}]" if number < self._search_terms else "subject_id"

    @staticmethod
    def _looks_for_id(wanted: Wanted) -> bool:
        # Of a message, it is the id of its session, which is still there.
        is_its_own = wanted.erasure.subject != Subject.MESSAGE
        return is_its_own and wanted.subject_id is not None and is_telling(wanted.subject_id)
