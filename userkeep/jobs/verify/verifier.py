"""The search of a verification: rows first, then files."""

from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path

from userkeep.domain.embedding import Vector
from userkeep.domain.scope import Scope
from userkeep.domain.search.index import FileFormat
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.times import rfc3339_text
from userkeep.domain.verification import Findings, ShortWord, Skipped, VerificationRequest
from userkeep.jobs.backup.folder import backups_in
from userkeep.jobs.verify.files import FileSearch
from userkeep.jobs.verify.patterns import (
    Pattern,
    patterns_of,
    short_words_of,
    vector_patterns_of,
    word_patterns_of,
)
from userkeep.jobs.verify.rows import RowSearch
from userkeep.jobs.verify.search_terms import Texts
from userkeep.services import document_embeddings, embeddings
from userkeep.storage.engine import Engine

_NO_VECTORS = (
    "They are not known: a verification gives no text to an embedding model, except to one that "
    "runs on the server's machine (USERKEEP_EMBEDDINGS_FOLDER)."
)


class Verifier:
    """One search, which may take as long as reading the whole database.

    Text in rows is in the files too. So a text that a row contains is not searched for in the
    files: nothing could tell which of its occurrences are remnants. The same holds for a word that
    existing messages contain.

    Args:
        check: called often; what it raises ends the search.
        vectors: the embeddings of the search terms; None if they are not known.
    """

    def __init__(
        self,
        engine: Engine,
        scope: Scope,
        request: VerificationRequest,
        check: Callable[[], None],
        vectors: Sequence[Vector | None] | None = None,
    ) -> None:
        self._engine = engine
        self._vectors = vectors
        self._scope = scope
        self._request = request
        self._check = check

    def run(self) -> Findings:
        """Search for what is requested.

        Raises:
            Unavailable: the database cannot be read now.
        """
        found = Findings()
        texts = Texts(self._request)
        vectors = self._vectors or ()
        rows = RowSearch(self._engine, self._scope, self._request, texts, found, vectors)
        rows.run(self._check)
        in_use = rows.words_in_use | self._in_index(rows.words)
        has_files = self._has_files()
        patterns = [
            *self._patterns_of_texts(texts, rows, found, has_files=has_files),
            *self._patterns_of_words(texts, rows, in_use, found, has_files=has_files),
            *self._patterns_of_vectors(rows),
        ]
        if self._vectors is None and self._request.search_terms and self._has_vectors():
            found.skipped.append(Skipped("embeddings of search_terms", _NO_VECTORS, is_gap=True))
        if texts.has_short_id:
            reason = "It is too short to be looked for there. Rows were searched for it."
            found.skipped.append(Skipped("subject_id in the files", reason))
        if patterns:
            FileSearch(self._engine, texts, patterns, found).run(self._check)
        else:
            reason = "There is no text to look for: give search terms, or a longer subject_id."
            found.skipped.append(Skipped("files", reason, is_gap=has_files))
        found.skipped += self._older_backups()
        return found

    def _has_vectors(self) -> bool:
        has_collections = scoped(self._scope, document_embeddings.has_collections_of_models)
        return bool(self._engine.read(embeddings.models)) or self._engine.read(has_collections)

    def _patterns_of_vectors(self, rows: RowSearch) -> list[Pattern]:
        of_texts = vector_patterns_of(self._vectors or ())
        return [each for each in of_texts if each.search_term not in rows.explained_vectors]

    def _has_files(self) -> bool:
        """Whether there are files, whether or not they can be read; not of one in memory."""
        raw, skipped = self._engine.files()
        return bool(raw) or any(each.is_gap for each in skipped)

    def _older_backups(self) -> list[Skipped]:
        """Return the backups that have, or may have, what was deleted."""
        folder, erasure = self._scope.rules.backup_folder, self._request.erasure
        found = []
        for path, created_at in backups_in(Path(folder)) if folder else ():
            made = f"It was made at {rfc3339_text(created_at)}"
            if created_at < (erasure.deleted_at or erasure.started_at):
                reason = f"{made}, before the deletion: it has what was deleted."
            elif erasure.purged_at is None or created_at < erasure.purged_at:
                reason = f"{made}, before the purge: its index can have words of what was deleted."
            else:
                continue
            found.append(Skipped(f"backup {path.name}", reason))
        return found

    def _in_index(self, words: Sequence[Set[str]]) -> set[str]:
        all_words = frozenset[str]().union(*words)
        return self._engine.read(partial(_terms_in_use, terms=all_words)) if all_words else set()

    def _patterns_of_texts(
        self, texts: Texts, rows: RowSearch, found: Findings, *, has_files: bool
    ) -> list[Pattern]:
        for number, where in sorted(rows.explained.items()):
            name = f"{texts.name(number)} in the files"
            reason = f"Rows that are there have it ({where}), and so have the files."
            is_gap = has_files and texts.search_term(number) is not None
            found.skipped.append(Skipped(name, reason, is_gap=is_gap))
        return [each for each in patterns_of(texts.all) if each.search_term not in rows.explained]

    def _patterns_of_words(
        self,
        texts: Texts,
        rows: RowSearch,
        in_use: set[str],
        found: Findings,
        *,
        has_files: bool,
    ) -> list[Pattern]:
        analyzer = self._scope.rules.analyzer
        for number, search_term in enumerate(self._request.search_terms):
            short = short_words_of(search_term, analyzer)
            found.short_words += [ShortWord(number, start, end) for start, end in short]
            has_words = bool(short or rows.words[number])
            if has_files and has_words and rows.words[number] <= in_use:
                name = f"{texts.name(number)} in the index of words"
                reason = "Each of its words is short, or messages that are there have it too."
                found.skipped.append(Skipped(name, reason, is_gap=True))
        for number, words in enumerate(rows.words):
            used = len(words & in_use)
            if used:
                of_all = f"{used} of {pluralize(len(words), 'word')}"
                name = f"{of_all} of {texts.name(number)} in the index of words"
                reason = "Messages that are there have them too."
                found.skipped.append(Skipped(name, reason))
        index = self._engine.read(_file_format)
        return word_patterns_of([words - in_use for words in rows.words], index)


def _terms_in_use(tx: Transaction, terms: Set[str]) -> set[str]:
    return tx.search_index.terms_in_use(terms)


def _file_format(tx: Transaction) -> FileFormat:
    return tx.search_index.file_format
