"""Looking through the files of a database."""

from collections.abc import Callable, Iterable

from userkeep.domain.verification import Findings, Residue, Scanned, Skipped
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
        self, engine: Engine, texts: Texts, patterns: Iterable[Pattern], found: Findings
    ) -> None:
        self._engine = engine
        self._texts = texts
        self._scanner = Scanner(patterns)
        self._found = found
        self._scanned: dict[str, Scanned] = {}

    def run(self, check: Callable[[], None]) -> None:
        """Look through them.

        Args:
            check: is called now and then; what it raises ends the search.
        """
        known: set[str] = set()
        for time in range(_TIMES):
            raw, skipped = self._engine.files()
            if time == 0:
                self._found.skipped.extend(skipped)
            for file in raw:
                if file.name not in known:
                    known.add(file.name)
                    self._look_into(file, check)

    def _look_into(self, file: RawFile, check: Callable[[], None]) -> None:
        scanned = self._noted(file)

        def count(size_bytes: int) -> None:
            scanned.size_bytes = (scanned.size_bytes or 0) + size_bytes

        try:
            for found in self._scanner.scan(file, count, check):
                where = f"file {found.file} at {found.offset}"
                self._found.add(
                    Residue(where, self._texts.search_term(found.search_term), found.encoding)
                )
        except FileNotFoundError:
            pass  # it is gone, with what was in it
        except OSError as error:
            reason = f"It cannot be read: {error.strerror or error}."
            self._found.skipped.append(Skipped(f"file {file.name}", reason, is_gap=True))

    def _noted(self, file: RawFile) -> Scanned:
        """Where it is noted how much of a file was looked at."""
        name = file.label
        if name not in self._scanned:
            self._scanned[name] = Scanned(name, size_bytes=0)
            self._found.scanned.append(self._scanned[name])
        return self._scanned[name]
