"""Looking through the rows of every table that has anything of people in it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from userkeep.domain.embedding import Vector
from userkeep.domain.erasure import Erasure, Subject
from userkeep.domain.scope import Scope
from userkeep.domain.search.entries import without_speaker_prefix
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.verification import Findings, Residue, Scanned, VerificationRequest
from userkeep.jobs.verify.patterns import (
    IN_ROWS,
    Encoding,
    distinctive_terms,
    patterns_of,
    vector_patterns_of,
)
from userkeep.jobs.verify.scanning import Scanner
from userkeep.jobs.verify.search_terms import Texts
from userkeep.jobs.verify.table_scans import TableScan, table_scans
from userkeep.services.erasures import is_about
from userkeep.storage.engine import Engine
from userkeep.storage.schema import Kind, PersonalColumn

_MOST_ROWS = 500
_MOST_BYTES = 2 * 1024 * 1024
"""So much of a table is in memory at a time; a row may have 2 MiB by itself."""

Row = tuple[Any, ...]


class RowSearch:
    """Looks through all tables, once.

    Attributes:
        explained: the texts, by number, that rows have which are not the subject's own residue or
            which are told of already, each with the place: in the files they prove nothing.
        explained_vectors: the same of their embeddings.
        words: of each text, those that the index of words is looked through for.
        words_in_use: those of them that messages have which are there.
    """

    def __init__(
        self,
        engine: Engine,
        scope: Scope,
        request: VerificationRequest,
        texts: Texts,
        found: Findings,
        vectors: Sequence[Vector | None] = (),
    ) -> None:
        self._engine = engine
        self._scope = scope
        self._texts = texts
        self._found = found
        self._judge = _Judge(scope, request, found)
        self._scanner = Scanner(each for each in patterns_of(texts.all) if each.encoding in IN_ROWS)
        self.words = [distinctive_terms(text, scope.rules.analyzer) for text in texts.all]
        self._all_words = frozenset[str]().union(*self.words)
        self._vectors = Scanner(vector_patterns_of(vectors))
        self.explained: dict[int, str] = {}
        self.explained_vectors: dict[int, str] = {}
        self.words_in_use: set[str] = set()

    def run(self, check: Callable[[], None]) -> None:
        """Look through them.

        Args:
            check: is called now and then; what it raises ends the search.
        """
        for scan in table_scans(self._engine.dialect):
            count = 0
            for rows in self._rows(scan):
                check()
                count += len(rows)
                self._search(scan, rows, check)
            self._found.scanned.append(Scanned(f"table {scan.table.name}", rows=count))

    def _rows(self, scan: TableScan) -> Iterator[list[Row]]:
        values: dict[str, Any] = {}
        if self._texts.all:
            values["texts"] = True
        while limit := self._next_count(scan, values):
            read = scoped(self._scope, _read, scan, {**values, "limit": limit})
            rows = self._engine.read(read)
            if not rows:
                return
            yield rows
            last = rows[-1][: len(scan.key)]
            values |= {f"after_{number}": value for number, value in enumerate(last)}

    def _next_count(self, scan: TableScan, values: dict[str, Any]) -> int:
        """How many of the next rows fit into memory; at least one, if any is left."""
        if not self._texts.all:
            return _MOST_ROWS
        measured = {**values, "limit": _MOST_ROWS}
        sizes = self._engine.read(scoped(self._scope, _measure, scan, measured))
        room = _MOST_BYTES
        for number, size in enumerate(sizes):
            room -= size
            if room < 0:
                return max(1, number)
        return len(sizes)

    def _search(self, scan: TableScan, rows: list[Row], check: Callable[[], None]) -> None:
        self._judge.judge(scan, rows)
        if not self._texts.all:
            return
        for at, column in enumerate((*scan.id_columns, *scan.text_columns), start=len(scan.key)):
            if column.kind != Kind.INCIDENTAL:
                self._search_texts(scan, column, [row[at] for row in rows if row[at]], check)

    def _search_texts(
        self,
        scan: TableScan,
        column: PersonalColumn,
        values: list[Any],
        check: Callable[[], None],
    ) -> None:
        where = f"table {scan.table.name}.{column.name}"
        if column.kind == Kind.VECTOR:
            self._search_vectors(where, values, check)
            return
        if column.kind == Kind.TERMS:
            said = {without_speaker_prefix(word) for words in values for word in words.split()}
            self.words_in_use |= said & self._all_words
            return
        # No text has a NUL in it, so nothing is found across two values.
        for _, pattern in self._scanner.find("\0".join(values).encode(), check):
            search_term = self._texts.search_term(pattern.search_term)
            self.explained.setdefault(pattern.search_term, where)
            if search_term is not None and not column.is_kept:
                self._found.add(Residue(where, search_term, pattern.encoding))

    def _search_vectors(self, where: str, values: list[bytes], check: Callable[[], None]) -> None:
        for value in values:
            numbers = {each.search_term for _, each in self._vectors.find(value, check)}
            for number in sorted(numbers):
                self.explained_vectors.setdefault(number, where)
                residue = Residue(where, self._texts.search_term(number), Encoding.VECTOR)
                self._found.add(residue)


class _Judge:
    """Decide whether rows with an id or a uuid of the subject belong to it.

    The id may be in use again; data of its new owner is no residue. A uuid, or the time at which a
    row was created, distinguishes them.
    """

    def __init__(self, scope: Scope, request: VerificationRequest, found: Findings) -> None:
        self._scope = scope
        self._found = found
        self._erasure: Erasure = request.erasure
        is_message = request.erasure.subject == Subject.MESSAGE
        self._id = None if is_message else request.subject_id
        self._uuids = {request.erasure.subject_uuid: "uuid", request.erasure.uuid: "erasure"}
        self._looked_for = {*self._uuids, *([] if self._id is None else [self._id])}

    def judge(self, scan: TableScan, rows: list[Row]) -> None:
        begin, end = len(scan.key), len(scan.key) + len(scan.id_columns)
        for row in rows:
            marks = row[begin:end]
            if not self._looked_for.isdisjoint(marks):
                self._judge(scan, {column: marks[at] for at, column in enumerate(scan.id_columns)})

    def _judge(self, scan: TableScan, marks: dict[PersonalColumn, Any]) -> None:
        columns = {column.name: value for column, value in marks.items()}
        for column, value in marks.items():
            encoding = self._encoding(column, value, columns)
            if encoding is not None:
                where = f"table {scan.table.name}.{column.name}"
                self._found.add(Residue(where, None, encoding))

    def _encoding(self, column: PersonalColumn, value: Any, columns: dict[str, Any]) -> str | None:
        """As what a value is the subject's; None where it is not."""
        if column.is_kept or value is None:
            return None
        if column.kind == Kind.UUID or column.names == Subject.MESSAGE:
            return self._uuids.get(value) if self._is_in_its_session(columns) else None
        is_id = column.kind == Kind.ID and value == self._id
        if not is_id or column.names not in {None, self._erasure.subject}:
            return None
        if self._is_namesakes(column, columns):
            self._found.id_reused = True
            return None
        return "id"

    def _is_in_its_session(self, columns: dict[str, Any]) -> bool:
        """Whether a row may be that of a message that was deleted.

        The app's ids are unique in a session alone, and another may have a message with the same.
        """
        session_id = columns.get("session_id")
        if self._erasure.subject != Subject.MESSAGE or session_id is None:
            return True
        return is_about(self._scope, self._erasure, session_id)

    def _is_namesakes(self, column: PersonalColumn, columns: dict[str, Any]) -> bool:
        if column.distinguished_by is None:
            return self._found.id_reused
        told = columns[column.distinguished_by]
        if column.distinguished_by.endswith("_at"):
            return bool(told > (self._erasure.deleted_at or 0))
        return bool(told != self._erasure.subject_uuid)


def _read(tx: Transaction, scan: TableScan, values: dict[str, Any]) -> list[Row]:
    return tx.fetch_all(scan.rows_query, _row, **values)


def _measure(tx: Transaction, scan: TableScan, values: dict[str, Any]) -> Sequence[int]:
    return tx.fetch_all(scan.size_query, int, **values)


def _row(*values: Any) -> Row:
    return values
