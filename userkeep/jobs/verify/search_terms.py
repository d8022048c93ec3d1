"""What is looked for: the search terms, and the subject's own id where it is distinctive."""

from collections.abc import Sequence

from userkeep.domain.erasure import Subject
from userkeep.domain.search_terms import is_distinctive
from userkeep.domain.verification import VerificationRequest


class Texts:
    """The texts that are looked for, in one list, whosever they are.

    Attributes:
        all: the search terms in their order, then the subject's id if it is looked for.
        has_short_id: whether the subject's id is too short to be looked for in files.
    """

    def __init__(self, request: VerificationRequest) -> None:
        self._count = len(request.search_terms)
        self.all: Sequence[str] = request.search_terms
        self.has_short_id = False
        # Of a message, it is the id of its session, which is still there.
        subject_id = None if request.erasure.subject == Subject.MESSAGE else request.subject_id
        if subject_id is not None and is_distinctive(subject_id):
            self.all = (*request.search_terms, subject_id)
        elif subject_id is not None:
            self.has_short_id = True

    def search_term(self, number: int) -> int | None:
        """Return the index of a text among the search terms; None: it is the subject's id."""
        return number if number < self._count else None

    def name(self, number: int) -> str:
        """How a text is spoken of."""
        return f"search_terms[{number}]" if number < self._count else "subject_id"
