"""Import users, sessions, messages and documents from JSON Lines; `jobs.jsonl` has the format.

An import only adds: it never changes or deletes what exists. What exists in another way is
reported, and the import continues. So an import that stopped can be run again: it skips what is
complete, and completes the session that it stopped in.
"""

from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET

from userkeep.api.imports import (
    CollectionImport,
    DocumentConflict,
    DocumentsImport,
    MessageConflict,
    SessionImport,
    UserImport,
)
from userkeep.domain.document import MAX_BATCH as MAX_DOCUMENTS
from userkeep.domain.errors import AlreadyExists, Gone, NotFound, UserkeepError
from userkeep.domain.imports import (
    ImportedCollection,
    ImportedDocument,
    ImportedDocuments,
    ImportedMessage,
    ImportedUser,
)
from userkeep.domain.message import MAX_BATCH
from userkeep.jobs.jsonl import (
    BadLine,
    Counts,
    FileSession,
    Header,
    NumberedLine,
    read_lines,
)
from userkeep.jobs.stopping import Stoppable
from userkeep.jobs.transfer import Instance, NoReporter, Reporter

_BATCH_BYTES = 4 * 1024 * 1024
"""Of messages or documents in one call; a body may have 5 MiB."""

_encode = msgspec.json.Encoder().encode


class DifferingMessage(msgspec.Struct):
    """A message that was not imported, because another one exists."""

    session_id: str
    id: str


class SkippedDocument(msgspec.Struct):
    """A document that was not imported. `document_id` is its uuid if it has none."""

    collection: str
    document_id: str


class ImportResult(msgspec.Struct):
    """What an import did.

    Attributes:
        added: what is new.
        present: what existed already, as it is in the file.
        differing_users, differing_sessions: those that exist, but differ from the file. They and
            all that belongs to them were skipped.
        differing_messages: those that exist, but differ from the file, and those whose positions
            are taken. They were skipped.
        rejected_users, rejected_sessions: those that were deleted, and those whose uuid another
            one has. They and all that belongs to them were skipped.
        differing_collections, rejected_collections: those that exist, but differ from the file, and
            those whose uuid another one has. They and their documents were skipped.
        differing_documents: those that exist, but differ from the file. They were skipped.
        rejected_documents: those whose users do not exist. They were skipped.
    """

    added: Counts
    present: Counts
    differing_users: list[str] = []
    differing_sessions: list[str] = []
    differing_messages: list[DifferingMessage] = []
    rejected_users: list[str] = []
    rejected_sessions: list[str] = []
    differing_collections: list[str] = []
    rejected_collections: list[str] = []
    differing_documents: list[SkippedDocument] = []
    rejected_documents: list[SkippedDocument] = []


class Import(Stoppable):
    """One import.

    Attributes:
        result: what was done so far.
        line: the number of the last line that was read.
        place: the user, session or collection that is being imported, or was when the import
            stopped.
    """

    def __init__(
        self, instance: Instance, reporter: Reporter | None = None, *, as_new: bool = False
    ) -> None:
        """Make an import.

        Args:
            instance: what to import into.
            reporter: receives the progress, and what was skipped.
            as_new: whether users and sessions get new uuids, and may have been deleted before.
        """
        self.result = ImportResult(Counts(), Counts())
        self.line = 0
        self.place: str | None = None
        self._instance = instance
        self._reporter = reporter or NoReporter()
        self._as_new = as_new
        self._is_end_missing = False
        self._lines = Counts()  # since the header
        self._user_id: str | None = None
        self._is_user_skipped = False
        self._session: _SessionImport | None = None
        self._is_session_skipped = False
        self._skipped_users: set[str] = set()
        self._documents: _DocumentsImport | None = None
        self._is_collection_skipped = False

    def run(self, file: BinaryIO) -> ImportResult:
        """Add what is in a file.

        Raises:
            BadLine: a line is invalid, or the file is incomplete. What comes before was added.
            Stopped: `stop` was called.
            UserkeepError: the instance failed.
        """
        for line in read_lines(file):
            self._check_stop()
            self.line = line.number
            self._take(line)
            self._reporter.progress(self._counts(), line.end)
        self._end_session()
        self._end_collection()
        if self._is_end_missing:
            raise BadLine("The file is incomplete: its last line, `end`, is missing.")
        return self.result

    def _take(self, line: NumberedLine) -> None:
        if isinstance(line.value, ImportedMessage):
            self._lines.messages += 1
            self._take_message(line.value, line)
        elif isinstance(line.value, ImportedDocument):
            self._lines.documents += 1
            self._take_document(line.value, line)
        else:
            self._end_session()
            self._end_collection()
            self._start(line)

    def _start(self, line: NumberedLine) -> None:
        match line.value:
            case ImportedCollection():
                self._lines.collections += 1
                self._start_collection(line.value)
            case ImportedUser():
                self._lines.users += 1
                self._user_id = line.value.user_id
                self.place = f"user {self._user_id!r}"
                self._is_user_skipped = not self._import_user(line.value)
                if self._is_user_skipped:
                    self._skipped_users.add(self._user_id)
            case FileSession():
                self._lines.sessions += 1
                self._start_session(line.value)
            case Header():
                self._is_end_missing = line.value.needs_end
                self._lines = Counts()
            case Counts():
                self._is_end_missing = False
                self._check_end(line.value)

    def _check_end(self, written: Counts) -> None:
        lost = [
            f"{noun}: {getattr(self._lines, noun):,} instead of {getattr(written, noun):,}"
            for noun in written.__struct_fields__
            if getattr(self._lines, noun) != getattr(written, noun)
        ]
        if lost:
            raise BadLine(
                f"Line {self.line}: lines of the file were lost or added since its export "
                f"({', '.join(lost)}). What it has was imported."
            )

    def _counts(self) -> Counts:
        added, present = self.result.added, self.result.present
        names = added.__struct_fields__
        return Counts(*(getattr(added, name) + getattr(present, name) for name in names))

    def _import_user(self, user: ImportedUser) -> bool:
        """Import a user; return False if it was not possible."""
        name, contents = f"user {user.user_id!r}", ", with its sessions, messages and documents"
        if self._as_new:
            user.uuid = None
        try:
            done = self._instance.call(
                "imports.user", {}, UserImport, query=_query(self._as_new), body=_encode(user)
            )
        except (AlreadyExists, Gone) as error:
            self.result.rejected_users.append(user.user_id)
            self._reporter.warn(f"{name} was skipped{contents}: {error.detail}")
            return False
        if done.result == "differs":
            self.result.differing_users.append(user.user_id)
            self._reporter.warn(
                f"{name} exists and differs from the file in {', '.join(done.differing)}: "
                f"skipped{contents}."
            )
            return False
        counts = self.result.added if done.result == "added" else self.result.present
        counts.users += 1
        return True

    def _start_session(self, fields: FileSession) -> None:
        user_id = self._owner_of(fields)
        self._is_session_skipped = user_id is not None and self._is_user_skipped
        if self._is_session_skipped:
            return
        if user_id is None:
            self.place = f"session {fields.session_id!r}"
        self._session = _SessionImport(
            self._instance, user_id, fields, self.result, self._reporter, as_new=self._as_new
        )

    def _owner_of(self, fields: FileSession) -> str | None:
        if fields.user_id is None:
            return None
        if self._user_id is None:
            raise BadLine(
                f"Line {self.line}: a session must come after the user who owns it. For a session "
                'without a user, add "user_id": null.'
            )
        if fields.user_id not in {UNSET, self._user_id}:
            raise BadLine(
                f"Line {self.line}: session.user_id must be that of the user before it, "
                f"{self._user_id!r}, or null.",
                "session.user_id",
            )
        return self._user_id

    def _take_message(self, message: ImportedMessage, line: NumberedLine) -> None:
        if self._is_session_skipped:
            return
        if self._session is None:
            raise BadLine(f"Line {self.line}: a message must come after its session.")
        self._session.take(message, line)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.end()
        self._session = None
        self._is_session_skipped = False

    def _start_collection(self, collection: ImportedCollection) -> None:
        self.place = f"collection {collection.name!r}"
        self._is_collection_skipped = not self._import_collection(collection)
        if not self._is_collection_skipped:
            self._documents = _DocumentsImport(
                self._instance, collection, self.result, self._reporter
            )

    def _import_collection(self, collection: ImportedCollection) -> bool:
        """Import a collection; return False if it was not possible."""
        name = f"collection {collection.name!r}"
        try:
            done = self._instance.call(
                "imports.collection", {}, CollectionImport, body=_encode(collection)
            )
        except AlreadyExists as error:
            self.result.rejected_collections.append(collection.name)
            self._reporter.warn(f"{name} was skipped, with its documents: {error.detail}")
            return False
        if done.result == "differs":
            self.result.differing_collections.append(collection.name)
            self._reporter.warn(
                f"{name} exists and differs from the file in {', '.join(done.differing)}: "
                "skipped, with its documents."
            )
            return False
        counts = self.result.added if done.result == "added" else self.result.present
        counts.collections += 1
        return True

    def _take_document(self, document: ImportedDocument, line: NumberedLine) -> None:
        if self._is_collection_skipped or document.user_id in self._skipped_users:
            return
        if self._documents is None:
            raise BadLine(f"Line {self.line}: a document must come after its collection.")
        self._documents.take(document, line)

    def _end_collection(self) -> None:
        if self._documents is not None:
            self._documents.send()
        self._documents = None
        self._is_collection_skipped = False


class _DocumentsImport:
    """The documents of a collection of the file, which are sent in batches."""

    def __init__(
        self,
        instance: Instance,
        collection: ImportedCollection,
        result: ImportResult,
        reporter: Reporter,
    ) -> None:
        self._instance = instance
        self._name = collection.name
        self._model = collection.model
        self._result = result
        self._reporter = reporter
        self._batch: list[ImportedDocument] = []
        self._lines: list[int] = []
        self._ids: set[str] = set()
        self._batch_bytes = 0

    def take(self, document: ImportedDocument, line: NumberedLine) -> None:
        """Take a document; it is sent with others."""
        ids = {each for each in (document.uuid, document.document_id) if each is not None}
        is_full = (
            len(self._batch) == MAX_DOCUMENTS or self._batch_bytes + line.size_bytes > _BATCH_BYTES
        )
        # One that is twice in the file is compared with itself as it was imported.
        if is_full or ids & self._ids:
            self.send()
        self._batch.append(document)
        self._lines.append(line.number)
        self._ids |= ids
        self._batch_bytes += line.size_bytes

    def send(self) -> None:
        """Send what was taken."""
        batch, lines = self._batch, self._lines
        self._batch, self._lines, self._ids, self._batch_bytes = [], [], set(), 0
        if not batch:
            return
        body = ImportedDocuments(name=self._name, model=self._model, documents=batch)
        done = self._instance.call("imports.documents", {}, DocumentsImport, body=_encode(body))
        self._result.added.documents += done.added
        self._result.present.documents += done.present
        for each in done.conflicts:
            self._report(each, batch[each.index], lines[each.index])

    def _report(self, conflict: DocumentConflict, document: ImportedDocument, line: int) -> None:
        id_ = document.document_id or document.uuid or ""
        skipped = SkippedDocument(self._name, id_)
        if conflict.reason == "no_user":
            self._result.rejected_documents.append(skipped)
            reason = f"was skipped: there is no user {document.user_id!r}"
        else:
            self._result.differing_documents.append(skipped)
            fields = ", ".join(conflict.differing)
            reason = f"exists and differs from the file in {fields}: not changed"
        self._reporter.warn(f"line {line}: document {id_!r} of collection {self._name!r} {reason}.")


class _SessionImport:
    """A session of the file, which is sent with its messages, in batches."""

    def __init__(
        self,
        instance: Instance,
        user_id: str | None,
        fields: FileSession,
        result: ImportResult,
        reporter: Reporter,
        *,
        as_new: bool,
    ) -> None:
        self._instance = instance
        self._fields = fields
        self._result = result
        self._reporter = reporter
        self._as_new = as_new
        self._session = fields.to_import(user_id, as_new=as_new)
        self._name = f"session {fields.session_id!r}"
        self._is_sent = False
        self._is_skipped = False
        self._lines: dict[str, int] = {}
        self._batch_bytes = 0

    def take(self, message: ImportedMessage, line: NumberedLine) -> None:
        """Take a message; it is sent with others."""
        if self._is_skipped:
            return
        id_, batch = message.id, self._session.messages
        is_full = len(batch) == MAX_BATCH or self._batch_bytes + line.size_bytes > _BATCH_BYTES
        # One that is twice in the file is compared with itself as it was imported.
        if batch and (is_full or id_ in self._lines):
            self._send()
        self._session.messages.append(message)
        self._lines[id_] = line.number
        self._batch_bytes += line.size_bytes

    def end(self) -> None:
        """Send what is left, and end the session if it has ended in a file of format 1."""
        if self._session.messages or not self._is_sent:
            self._send()
        if not self._is_skipped and not self._fields.has_end:
            ids = {"session_id": self._fields.session_id}
            self._instance.call("sessions.end", ids, msgspec.Raw)

    def _send(self) -> None:
        body, lines = _encode(self._session), self._lines  # data stays the bytes that it was
        self._session.messages, self._lines, self._batch_bytes = [], {}, 0
        if self._is_skipped:
            return
        try:
            done = self._instance.call(
                "imports.session", {}, SessionImport, query=_query(self._as_new), body=body
            )
        except (AlreadyExists, Gone, NotFound) as error:
            self._reject(error)
            return
        if done.result == "differs":
            self._skip(done.differing)
            return
        if not self._is_sent:
            counts = self._result.added if done.result == "added" else self._result.present
            counts.sessions += 1
        self._is_sent = True
        self._session.after_seq = done.after_seq
        self._result.added.messages += done.added
        self._result.present.messages += done.present
        for each in done.conflicts:
            self._report(each, lines[each.id])

    def _reject(self, error: UserkeepError) -> None:
        self._is_skipped = True
        self._result.rejected_sessions.append(self._fields.session_id)
        self._reporter.warn(f"{self._name} was skipped: {error.detail}")

    def _skip(self, differing: list[str]) -> None:
        self._is_skipped = True
        self._result.differing_sessions.append(self._fields.session_id)
        reason = f"differs from the file in {', '.join(differing)}"
        if "user_id" in differing:
            reason = "belongs to another user, or to none"
        self._reporter.warn(f"{self._name} exists and {reason}: skipped, with its messages.")

    def _report(self, conflict: MessageConflict, line: int) -> None:
        ids = DifferingMessage(self._fields.session_id, conflict.id)
        self._result.differing_messages.append(ids)
        reason = "was not added: another message has its place"
        if conflict.differing:
            fields = ", ".join(conflict.differing)
            reason = f"exists and differs from the file in {fields}: not changed"
        self._reporter.warn(f"line {line}: message {conflict.id!r} of {self._name} {reason}.")


def _query(as_new: bool) -> dict[str, Any]:
    return {"as_new": "true" if as_new else None}
