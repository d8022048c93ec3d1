"""Replay of deletion ledgers: a restored database loses again what was deleted since its backup.

Each entry whose deletion the database does not have is looked for among the projects, users,
sessions, messages, collections and documents that it has, and what is found is deleted as a client
would delete it. It can be interrupted anywhere and run again: what is deleted is not found again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import NotFound
from userkeep.domain.ledger import Entry, EntryKey, LedgerSubject
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import scoped
from userkeep.jobs.collection_deletion import CollectionDeletionJob
from userkeep.jobs.deletion import Deletion
from userkeep.jobs.ledger import NOTHING_SEEN, keys_after, store_mark
from userkeep.jobs.project_deletion import ProjectDeletion
from userkeep.jobs.steps import Runner
from userkeep.services import (
    collections,
    documents,
    erasures,
    instance,
    ledger,
    project_deletions,
)
from userkeep.services.ledger import (
    Candidate,
    CollectionCandidate,
    DocumentId,
    MessageId,
    SessionCandidate,
)
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import LedgerFile, NoLedger

T = TypeVar("T")
C = TypeVar("C", Candidate, SessionCandidate, CollectionCandidate)

Progress = Callable[[int], None]
"""Called with each further number of users, sessions and collections that were compared."""


def no_progress(_compared: int) -> None:
    """Ignore the progress."""


class ReplayReport(msgspec.Struct):
    """What a replay did; it names no one.

    Attributes:
        entries: how many deletions the ledgers have and the database has not.
        projects, users, sessions, messages, collections, documents: how many of each were found and
            deleted; what goes with a deleted user or collection is not counted.
    """

    entries: int = 0
    projects: int = 0
    users: int = 0
    sessions: int = 0
    messages: int = 0
    collections: int = 0
    documents: int = 0

    @property
    def found(self) -> int:
        """How many entries were about something that the database had."""
        of_users = self.projects + self.users + self.sessions + self.messages
        return of_users + self.collections + self.documents


class _Wanted:
    """The entries whose deletions the database does not have, by what they are about."""

    def __init__(self) -> None:
        self.by_key: dict[EntryKey, Entry] = {}
        # The hashes of sessions that were deleted with their users, by the users' keys.
        self.of_users: dict[EntryKey, set[str]] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add the entries of a ledger."""
        for entry in entries:
            if entry.is_of_user:
                self.of_users.setdefault(entry.key, set()).add(entry.hash)
            else:
                self.by_key[entry.key] = entry

    def drop(self, keys: Iterable[EntryKey]) -> None:
        """Leave out what the database has deleted."""
        for each in keys:
            self.by_key.pop(each, None)
            self.of_users.pop(each, None)

    def count(self) -> int:
        """Return how many deletions the database does not have."""
        return len(self.by_key.keys() | self.of_users.keys())

    def sort(self) -> None:
        """Sort what is left, for look-ups."""
        found = self.by_key.values()
        self.projects = {each.hash for each in found if each.subject == LedgerSubject.PROJECT}
        self.users = {each.hash for each in found if each.subject == LedgerSubject.USER}
        # The process may have ended before the entry of the user, which comes last.
        self.users |= {each.hash for each in self.of_users}
        self.sessions = {each.hash for each in found if each.subject == LedgerSubject.SESSION}
        of_documents = [each for each in found if each.subject == LedgerSubject.DOCUMENT]
        self.documents = {each.hash for each in of_documents}
        self.collections_of_documents = {each.session_hash for each in of_documents}
        self.collections = {each.hash for each in found if each.subject == LedgerSubject.COLLECTION}
        parts = [each for each in found if each.is_of_messages]
        self.sessions_of_parts = {each.session_hash for each in parts}
        self.messages = {each.part for each in parts if each.subject == LedgerSubject.MESSAGE}
        # Entries that were made from the database know the uuid of a message, and not its session.
        self.uuids_of_messages = {
            each.hash
            for each in found
            if each.subject == LedgerSubject.MESSAGE and not each.session_hash
        }
        self.after_seq: dict[str, int] = {}
        for each in parts:
            if each.subject == LedgerSubject.MESSAGES:
                least = self.after_seq.get(each.session_hash, int(each.part))
                self.after_seq[each.session_hash] = min(least, int(each.part))

    @property
    def has_sessions(self) -> bool:
        """Whether sessions have to be compared."""
        return bool(self.sessions or self.sessions_of_parts or self.uuids_of_messages)

    @property
    def has_collections(self) -> bool:
        """Whether collections have to be compared."""
        return bool(self.collections or self.documents)


def replay(
    engine: Engine,
    rules: Rules,
    files: Sequence[LedgerFile],
    *,
    is_dry: bool = False,
    progress: Progress = no_progress,
) -> ReplayReport:
    """Delete again what ledgers have and the database has not deleted.

    Args:
        engine: of the database.
        rules: see Rules.
        files: the ledgers, one at least.
        is_dry: whether to count only.
        progress: see Progress.

    Raises:
        StorageError: a ledger cannot be read, or is damaged or of another database.
    """
    return _Replay(engine, rules, files, is_dry=is_dry, progress=progress).run()


class _Replay:
    """One replay. It records nothing: the ledgers have all that it deletes."""

    def __init__(
        self,
        engine: Engine,
        rules: Rules,
        files: Sequence[LedgerFile],
        *,
        is_dry: bool,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._runner = Runner(engine, lambda: None, NoLedger())
        self._files = files
        self._is_dry = is_dry
        self._progress = progress
        self._format = files[0].format
        self._wanted = _Wanted()
        self._report = ReplayReport()

    def run(self) -> ReplayReport:
        """Read the ledgers, and delete what they are about."""
        self._read_ledgers()
        if self._wanted.projects:
            self._replay_projects()
        for number in self._engine.read(instance.project_ids):
            self._replay_project(Scope(number, self._rules))
        if not self._is_dry:
            for file in self._files:
                store_mark(self._engine, file, self._engine.read(ledger.moment))
        return self._report

    def _replay_project(self, scope: Scope) -> None:
        """Delete what the ledgers have of a project."""
        # Before their users, by whose erasures they count as deleted: after a replay that was
        # killed in between, the next one would leave them.
        if self._wanted.of_users:
            self._replay_sessions_of_users(scope)
        if self._wanted.users:
            self._replay_users(scope)
        if self._wanted.has_sessions:
            self._replay_sessions(scope)
        if self._wanted.has_collections:
            self._replay_collections(scope)

    def _read_ledgers(self) -> None:
        wanted = self._wanted
        marks = self._engine.read(ledger.marks)
        for file in self._files:
            # Not from the first: a replayed rewind has no erasure of the same uuid.
            mark = marks.get(file.header().ledger_uuid)
            wanted.add(file.read(mark.seen if mark else 1))
        wanted.drop(keys_after(self._engine, self._format, NOTHING_SEEN))
        wanted.sort()
        self._report.entries = wanted.count()

    def _replay_projects(self) -> None:
        default = Scope(DEFAULT_PROJECT, self._rules)
        for project in self._engine.read(ledger.further_projects):
            if self._format.hash_of(project.uuid) not in self._wanted.projects:
                continue
            self._report.projects += 1
            if not self._is_dry:
                begun = self._engine.write(scoped(default, project_deletions.begin, project.uuid))
                self._runner.run(ProjectDeletion(self._rules, begun).delete())

    def _replay_users(self, scope: Scope) -> None:
        for user in self._candidates(scope, ledger.users_after):
            if self._format.hash_of(user.uuid) in self._wanted.users:
                self._report.users += 1
                self._delete(scope, erasures.begin_user, user.id)

    def _replay_sessions_of_users(self, scope: Scope) -> None:
        """Delete sessions that have no user, of users who are deleted; others go with theirs."""
        of_users = set[str]().union(*self._wanted.of_users.values())
        for session in self._candidates(scope, ledger.sessions_after):
            if session.user_id is None and self._format.hash_of(session.uuid) in of_users:
                self._report.sessions += 1
                self._delete(scope, erasures.begin_session, session.id)

    def _replay_sessions(self, scope: Scope) -> None:
        wanted = self._wanted
        for session in self._candidates(scope, ledger.sessions_after):
            hashed = self._format.hash_of(session.uuid)
            if hashed in wanted.sessions:
                self._report.sessions += 1
                self._delete(scope, erasures.begin_session, session.id)
            elif hashed in wanted.sessions_of_parts or wanted.uuids_of_messages:
                self._replay_messages(scope, session, wanted.after_seq.get(hashed))

    def _replay_messages(
        self, scope: Scope, session: SessionCandidate, after_seq: int | None
    ) -> None:
        for message in self._messages(scope, session.id):
            if after_seq is not None and message.seq > after_seq:
                self._report.messages += 1
            elif self._is_wanted(session, message):
                self._report.messages += 1
                self._delete(scope, erasures.delete_message, session.id, message.id)
        if after_seq is not None:
            self._delete(scope, erasures.begin_messages, session.id, after_seq)

    def _is_wanted(self, session: SessionCandidate, message: MessageId) -> bool:
        wanted = self._wanted
        return (
            self._format.message_hash(session.uuid, message.id) in wanted.messages
            or self._format.hash_of(message.id) in wanted.uuids_of_messages
        )

    def _replay_collections(self, scope: Scope) -> None:
        wanted = self._wanted
        for collection in self._candidates(scope, ledger.collections_after):
            hashed = self._format.hash_of(collection.uuid)
            if hashed in wanted.collections:
                self._report.collections += 1
                self._delete_collection(scope, collection)
            elif hashed in wanted.collections_of_documents:
                self._replay_documents(scope, collection)

    def _replay_documents(self, scope: Scope, collection: CollectionCandidate) -> None:
        for page in self._documents(scope, collection.number):
            hash_of, wanted = self._format.hash_of, self._wanted.documents
            uuids = [each.uuid for each in page if hash_of(each.uuid) in wanted]
            self._report.documents += len(uuids)
            if uuids:
                self._write(scope, documents.delete, collection.id, uuids=uuids)

    def _documents(self, scope: Scope, collection: int) -> Iterator[list[DocumentId]]:
        seq = 0
        while page := self._read(scope, ledger.documents_after, collection, seq):
            yield page
            seq = page[-1].seq

    def _delete_collection(self, scope: Scope, collection: CollectionCandidate) -> None:
        deletion = self._write(scope, collections.begin_deletion, collection.id)
        if deletion is not None:
            self._runner.run(CollectionDeletionJob(scope, deletion).delete())

    def _messages(self, scope: Scope, session_id: str) -> Iterator[MessageId]:
        seq = 0
        while page := self._read(scope, ledger.messages_after, session_id, seq):
            yield from page
            seq = page[-1].seq

    def _candidates(self, scope: Scope, find: Callable[..., list[C]]) -> Iterator[C]:
        number = 0
        while page := self._read(scope, find, number):
            yield from page
            self._progress(len(page))
            number = page[-1].number

    def _read(self, scope: Scope, service: Callable[..., T], *args: Any) -> T:
        return self._engine.read(scoped(scope, service, *args))

    def _delete(self, scope: Scope, begin: Callable[..., Erasure], *ids: Any) -> None:
        erasure = self._write(scope, begin, *ids)
        if erasure is not None:
            self._runner.run(Deletion(scope, erasure).delete())

    def _write(self, scope: Scope, service: Callable[..., T], *ids: Any, **values: Any) -> T | None:
        """Perform a deletion; return None in a dry run, or if a client was faster."""
        if self._is_dry:
            return None
        try:
            return self._engine.write(scoped(scope, service, *ids, **values))
        except NotFound:
            return None
