"""A verification from beginning to end."""

import threading
from collections.abc import Sequence, Set
from functools import partial

from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.search.index import FileFormat
from userkeep.domain.transaction import Transaction
from userkeep.domain.verification import Skipped, Verification, Wanted
from userkeep.jobs.verify.files import FileSearch
from userkeep.jobs.verify.patterns import Pattern, patterns_of, word_patterns_of
from userkeep.jobs.verify.rows import RowSearch
from userkeep.jobs.verify.search_terms import Texts
from userkeep.storage.engine import Engine

_STOPPED = "The verification was stopped before its end; ask again."


class Verifying:
    """One verification. `run` may take as long as reading the database does; `stop` ends it early.

    What stands in rows stands in the files too. So a text that a row has is looked for in the files
    no further: nobody could say which of its places are a residue. The same holds for a word of a
    text that messages have which are there.
    """

    def __init__(self, engine: Engine, scope: Scope, wanted: Wanted) -> None:
        self._engine = engine
        self._scope = scope
        self._wanted = wanted
        self._is_stopping = threading.Event()

    def run(self) -> Verification:
        """Look for what is wanted.

        Raises:
            Unavailable: the database cannot be read now, or it was stopped.
        """
        found = Verification(self._wanted.erasure)
        texts = Texts(self._wanted)
        rows = RowSearch(self._engine, self._scope, self._wanted, texts, found)
        rows.run(self._go_on)
        in_use = rows.words_in_use | self._in_index(rows.words)
        patterns = [
            *self._patterns_of_texts(texts, rows, found),
            *self._patterns_of_words(texts, rows, in_use, found),
        ]
        if patterns:
            FileSearch(self._engine, texts, patterns, found).run(self._go_on)
        else:
            reason = "There is no text to look for: give search terms, or a longer subject_id."
            found.skipped.append(Skipped("files", reason))
        return found

    def stop(self) -> None:
        """Let `run` end soon, from any thread."""
        self._is_stopping.set()

    def _go_on(self) -> None:
        if self._is_stopping.is_set():
            raise Unavailable(_STOPPED)

    def _in_index(self, words: Sequence[Set[str]]) -> set[str]:
        all_words = frozenset[str]().union(*words)
        return self._engine.read(partial(_terms_in_use, terms=all_words)) if all_words else set()

    def _patterns_of_texts(
        self, texts: Texts, rows: RowSearch, found: Verification
    ) -> list[Pattern]:
        for number, where in sorted(rows.explained.items()):
            name = f"{texts.name(number)} in the files"
            reason = f"Rows that are there have it ({where}), and so have the files."
            found.skipped.append(Skipped(name, reason))
        return [each for each in patterns_of(texts.all) if each.search_term not in rows.explained]

    def _patterns_of_words(
        self, texts: Texts, rows: RowSearch, in_use: set[str], found: Verification
    ) -> list[Pattern]:
        for number, words in enumerate(rows.words):
            used = len(words & in_use)
            if used:
                name = f"{used} of {len(words)} words of {texts.name(number)} in the index of words"
                reason = "Messages that are there have them too."
                found.skipped.append(Skipped(name, reason))
        index = self._engine.read(_file_format)
        return word_patterns_of([words - in_use for words in rows.words], index)


def _terms_in_use(tx: Transaction, terms: Set[str]) -> set[str]:
    return tx.search_index.terms_in_use(terms)


def _file_format(tx: Transaction) -> FileFormat:
    return tx.search_index.file_format
