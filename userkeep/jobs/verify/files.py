"""Looking through the files of a database."""

from collections.abc import Callable, Iterable

from userkeep.domain.verification import LookedAt, NotLookedAt, Residue, Verification
from userkeep.jobs.verify.patterns import Pattern
from userkeep.jobs.verify.scanning import Scanner
from userkeep.jobs.verify.search_terms import Texts
from userkeep.storage.engine import Engine
from userkeep.storage.raw_files import RawFile

_TIMES = 2
"""What comes into being while files are looked through is looked through at the second time."""


class FileSearch:
    """Looks through all files that can be read."""

    def __init__(
        self, engine: Engine, texts: Texts, patterns: Iterable[Pattern], found: Verification
    ) -> None:
        self._engine = engine
        self._texts = texts
        self._scanner = Scanner(patterns)
        self._found = found
        self._looked_at: dict[str, LookedAt] = {}

    def run(self, go_on: Callable[[], None]) -> None:
        """Look through them.

        Args:
            go_on: is called now and then; what it raises ends the search.
        """
        known: set[str] = set()
        for time in range(_TIMES):
            raw, unread = self._engine.files()
            if time == 0:
                self._found.not_looked_at.extend(unread)
            for file in raw:
                if file.name not in known:
                    known.add(file.name)
                    self._look_into(file, go_on)

    def _look_into(self, file: RawFile, go_on: Callable[[], None]) -> None:
        looked_at = self._noted(file)

        def count(size_bytes: int) -> None:
            looked_at.size_bytes = (looked_at.size_bytes or 0) + size_bytes
            go_on()

        try:
            for found in self._scanner.scan(file, count):
                where = f"file {found.file} at {found.offset}"
                self._found.note(Residue(where, self._texts.canary(found.canary), found.form))
        except FileNotFoundError:
            pass  # it is gone, with what was in it
        except OSError as error:
            why = f"It cannot be read: {error.strerror or error}."
            self._found.not_looked_at.append(NotLookedAt(f"file {file.name}", why))

    def _noted(self, file: RawFile) -> LookedAt:
        """Where it is noted how much of a file was looked at."""
        what = file.label
        if what not in self._looked_at:
            self._looked_at[what] = LookedAt(what, size_bytes=0)
            self._found.looked_at.append(self._looked_at[what])
        return self._looked_at[what]
