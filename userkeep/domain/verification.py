"""A verification: looking again for somebody who was deleted, in rows and in files."""

import msgspec

from userkeep.domain.erasure import Erasure

MOST_RESIDUES = 1000
"""So many are told of; all are counted."""


class Residue(msgspec.Struct):
    """Something of the subject that is still there.

    Attributes:
        where: `table messages.content`, or `file userkeep.db at 12345`.
        canary: which canary it is: its place in the list; None: the subject's own id or uuid.
        form: in which form it was found; `id`, `uuid` and `erasure` are values of a column.
    """

    where: str
    canary: int | None
    form: str


class LookedAt(msgspec.Struct):
    """What was looked through from end to end.

    Attributes:
        what: a table, a file, or the files of a folder.
        rows: how many rows, of a table.
        size_bytes: how many bytes, of files.
    """

    what: str
    rows: int | None = None
    size_bytes: int | None = None


class NotLookedAt(msgspec.Struct):
    """What was not looked at, or could have told nothing, and why."""

    what: str
    why: str


class Verification(msgspec.Struct):
    """What came of a verification.

    Attributes:
        erasure: as it was when the verification began.
        residues: the first of those that were found, up to MOST_RESIDUES.
        residue_count: how many there are in all.
        id_reused: whether somebody new bears the subject's id now.
        looked_at, not_looked_at: how far it went.
    """

    erasure: Erasure
    residues: list[Residue] = msgspec.field(default_factory=list)
    residue_count: int = 0
    id_reused: bool = False
    looked_at: list[LookedAt] = msgspec.field(default_factory=list)
    not_looked_at: list[NotLookedAt] = msgspec.field(default_factory=list)

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
        canaries: texts of the subject.
    """

    erasure: Erasure
    subject_id: str | None
    canaries: tuple[str, ...]
