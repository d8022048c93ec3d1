"""A verification: looking again for somebody who was deleted, in rows and in files."""

import msgspec

from userkeep.domain.erasure import Erasure

MOST_RESIDUES = 1000
"""So many are told of; all are counted."""


class Residue(msgspec.Struct):
    """Something of the subject that is still there.

    Attributes:
        where: `table messages.content`, or `file userkeep.db at 12345`.
        search_term: the index of the search term; None: the subject's own id or uuid.
        encoding: how it is encoded there; `id`, `uuid` and `erasure` are values of a column.
    """

    where: str
    search_term: int | None
    encoding: str


class Scanned(msgspec.Struct):
    """A table or file that was read from end to end.

    Attributes:
        name: of the table, the file, or the files of a folder.
        rows: the number of rows of a table.
        size_bytes: the size of files.
    """

    name: str
    rows: int | None = None
    size_bytes: int | None = None


class Skipped(msgspec.Struct):
    """What was not scanned, or could have proved nothing."""

    name: str
    reason: str


class Verification(msgspec.Struct):
    """What came of a verification.

    Attributes:
        erasure: as it was when the verification began.
        residues: the first of those that were found, up to MOST_RESIDUES.
        residue_count: how many there are in all.
        id_reused: whether somebody new bears the subject's id now.
        scanned, skipped: what was read, and what was not.
    """

    erasure: Erasure
    residues: list[Residue] = msgspec.field(default_factory=list)
    residue_count: int = 0
    id_reused: bool = False
    scanned: list[Scanned] = msgspec.field(default_factory=list)
    skipped: list[Skipped] = msgspec.field(default_factory=list)

    def note(self, residue: Residue) -> None:
        """One more."""
        self.residue_count += 1
        if self.residue_count <= MOST_RESIDUES:
            self.residues.append(residue)


class Wanted(msgspec.Struct, frozen=True):
    """What is to be verified.

    Attributes:
        erasure: which has come to its end.
        subject_id: the id that its subject had, if whoever asks knows it; of a message, that of
            its session.
        search_terms: texts of the subject.
    """

    erasure: Erasure
    subject_id: str | None
    search_terms: tuple[str, ...]
