"""A verification: a search for deleted data, in rows and in files."""

from enum import StrEnum

import msgspec

from userkeep.domain.erasure import Erasure
from userkeep.domain.values.times import Instant

MAX_RESIDUES = 1000
"""So many are listed; all are counted."""


class Residue(msgspec.Struct):
    """Deleted data that was found.

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
    """What was not scanned, or could have proved nothing.

    Attributes:
        name: of a file, a search term, a backup.
        reason: why.
        is_gap: whether deleted data may be there although the verification was to look for it.
    """

    name: str
    reason: str
    is_gap: bool = False


class ShortWord(msgspec.Struct, frozen=True, order=True):
    """A word of a search term that is too short to be looked for in the index of words.

    Attributes:
        search_term: the index of the search term.
        start, end: where the word is in it, in code points; `end` is exclusive.
    """

    search_term: int
    start: int
    end: int


class Result(StrEnum):
    """What a verification found; INCONCLUSIVE: nothing, but it could not look everywhere."""

    FOUND = "found"
    CLEAR = "clear"
    INCONCLUSIVE = "inconclusive"


class Findings(msgspec.Struct):
    """The result of a verification.

    Attributes:
        residues: the first of those that were found, up to MAX_RESIDUES.
        residue_count: how many there are in all.
        id_reused: whether the subject's id is in use again.
        scanned, skipped: what was read, and what was not.
        short_words: what was not looked for in the index of words, because it is short.
    """

    residues: list[Residue] = msgspec.field(default_factory=list)
    residue_count: int = 0
    id_reused: bool = False
    scanned: list[Scanned] = msgspec.field(default_factory=list)
    skipped: list[Skipped] = msgspec.field(default_factory=list)
    short_words: list[ShortWord] = msgspec.field(default_factory=list)

    @property
    def result(self) -> Result:
        """What the residues and the gaps mean together."""
        if self.residue_count:
            return Result.FOUND
        has_gap = any(each.is_gap for each in self.skipped)
        return Result.INCONCLUSIVE if has_gap else Result.CLEAR

    def add(self, residue: Residue) -> None:
        """Add a residue."""
        self.residue_count += 1
        if self.residue_count <= MAX_RESIDUES:
            self.residues.append(residue)


class VerificationState(StrEnum):
    """The state of a verification."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class Verification(msgspec.Struct):
    """A verification as stored.

    Attributes:
        uuid: the verification's own.
        erasure_uuid: of the erasure that is verified.
        state: see VerificationState.
        started_at, finished_at: when it started and ended.
        lease_expires_at: renewed while it runs; one whose lease has expired was interrupted.
        problem: why it failed.
        findings: its result, as JSON (see Findings).
    """

    uuid: str
    erasure_uuid: str
    state: str
    started_at: Instant
    lease_expires_at: Instant
    finished_at: Instant | None = None
    problem: str | None = None
    findings: str | None = None


class VerificationRequest(msgspec.Struct, frozen=True):
    """What to search for.

    Attributes:
        erasure: which is finished.
        subject_id: the id that its subject had, if the client knows it; of a message, the id of
            its session.
        search_terms: texts of the subject.
    """

    erasure: Erasure
    subject_id: str | None
    search_terms: tuple[str, ...]
