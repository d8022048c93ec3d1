"""What is looked for: the search terms, and the subject's own id where it is distinctive."""

from collections.abc import Sequence

from userkeep.domain.erasure import Subject
from userkeep.domain.search_terms import is_distinctive
from userkeep.domain.verification import VerificationRequest


class Texts:
    """The texts that are looked for, in one list, whosever they are.

    Attributes:
        all: the search terms in their order, then the subject's id if it is looked for.
    """

    def __init__(self, request: VerificationRequest) -> None:
        self._search_terms = len(request.search_terms)
        self.all: Sequence[str] = request.search_terms
        if self._looks_for_id(request) and request.subject_id is not None:
            self.all = (*request.search_terms, request.subject_id)

    def search_term(self, number: int) -> int | None:
        """Return the index of a text among the search terms; None: it is the subject's id."""
        return number if number < self._search_terms else None

    def name(self, number: int) -> str:
        """How a text is spoken of."""
        return f"search_terms[{number}]" if number < self._search_terms else "subject_id"

    @staticmethod
    def _looks_for_id(request: VerificationRequest) -> bool:
        # Of a message, it is the id of its session, which is still there.
        is_its_own = request.erasure.subject != Subject.MESSAGE
        return is_its_own and request.subject_id is not None and is_distinctive(request.subject_id)
