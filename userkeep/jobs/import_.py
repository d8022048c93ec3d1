"""Import users with their sessions and messages from JSON Lines; see `jobs.jsonl` for the format.

An import only adds: it never changes or deletes what exists. So an import that stopped can be run
again: it skips what is complete, and completes the user that it stopped in.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from userkeep.api.messages import AppendMessages
from userkeep.api.sessions import Session
from userkeep.api.users import User
from userkeep.domain.errors import AlreadyExists, NotFound
from userkeep.domain.message import MAX_BATCH, NewMessage
from userkeep.domain.session import NewSession
from userkeep.domain.user import NewUser
from userkeep.jobs.jsonl import (
    BadLine,
    Counts,
    Header,
    ImportedSession,
    NumberedLine,
    read_lines,
)
from userkeep.jobs.stopping import Stoppable
from userkeep.jobs.transfer import Instance, NoReporter, Reporter, list_pages

_BATCH_BYTES = 4 * 1024 * 1024
"""Of messages in one call; a body may have 5 MiB."""

_IDS_PER_PAGE = 100

_COMPARED = ("email", "first_name", "last_name", "metadata")
"""The fields of a user by which one in the file and one in the instance are the same."""

_encode = msgspec.json.Encoder().encode


class ImportResult(msgspec.Struct):
    """What an import did.

    Attributes:
        added: what is new.
        present: what existed already.
        differing_users, differing_sessions: those that exist, but differ from the file. They and
            all that belongs to them were skipped.
    """

    added: Counts
    present: Counts
    differing_users: list[str] = []
    differing_sessions: list[str] = []


class Import(Stoppable):
    """One import.

    Attributes:
        result: what was done so far.
        line: the number of the last line that was read.
        user_id: the user that is being imported, or was when the import stopped.
    """

    def __init__(self, instance: Instance, reporter: Reporter | None = None) -> None:
        self.result = ImportResult(Counts(), Counts())
        self.line = 0
        self.user_id: str | None = None
        self._instance = instance
        self._reporter = reporter or NoReporter()
        self._is_end_missing = False
        self._session: _SessionImport | None = None
        self._is_user_skipped = False

    def run(self, file: BinaryIO) -> ImportResult:
        """Add the users of a file.

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
        if self._is_end_missing:
            raise BadLine("The file is incomplete: its last line, `end`, is missing.")
        return self.result

    def _take(self, line: NumberedLine) -> None:
        if isinstance(line.value, NewMessage):
            self._take_message(line.value, line.size_bytes)
            return
        self._end_session()
        match line.value:
            case NewUser():
                self.user_id = line.value.user_id
                self._is_user_skipped = not self._add_user(line.value)
            case ImportedSession():
                self._start_session(line.value)
            case Header():
                self._is_end_missing = line.value.exported_at is not None
            case _:
                self._is_end_missing = False

    def _counts(self) -> Counts:
        added, present = self.result.added, self.result.present
        return Counts(
            added.users + present.users,
            added.sessions + present.sessions,
            added.messages + present.messages,
        )

    def _add_user(self, user: NewUser) -> bool:
        """Add a user; return False if one with this id exists and differs."""
        try:
            self._instance.call("users.add", {}, msgspec.Raw, body=_encode(user))
        except AlreadyExists:
            return self._compare_user(user)
        self.result.added.users += 1
        return True

    def _compare_user(self, user: NewUser) -> bool:
        existing = self._instance.call("users.get", {"user_id": user.user_id}, User)
        differing = [
            name
            for name in _COMPARED
            if not _is_same_json(getattr(existing, name), getattr(user, name))
        ]
        if not differing:
            self.result.present.users += 1
            return True
        self.result.differing_users.append(user.user_id)
        self._reporter.warn(
            f"user {user.user_id!r} exists and differs from the file in {', '.join(differing)}: "
            "skipped, with its sessions and messages."
        )
        return False

    def _start_session(self, fields: ImportedSession) -> None:
        if self.user_id is None:
            raise BadLine(f"Line {self.line}: a session must come after the user who owns it.")
        if self._is_user_skipped:
            return
        self._session = _SessionImport(
            self._instance, self.user_id, fields, self.result, self._reporter
        )
        self._session.start()

    def _take_message(self, message: NewMessage, size_bytes: int) -> None:
        if self._is_user_skipped:
            return
        if self._session is None:
            raise BadLine(f"Line {self.line}: a message must come after its session.")
        self._session.take(message, size_bytes)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.end()
        self._session = None


class _SessionImport:
    """A session of the file, and what of it exists already."""

    def __init__(
        self,
        instance: Instance,
        user_id: str,
        fields: ImportedSession,
        result: ImportResult,
        reporter: Reporter,
    ) -> None:
        self._instance = instance
        self._user_id = user_id
        self._fields = fields
        self._result = result
        self._reporter = reporter
        self._ids = {"session_id": fields.session_id}
        self._present = _PresentIds(instance, fields.session_id)
        self._is_skipped = False
        self._has_ended = False
        self._batch: dict[str, NewMessage] = {}
        self._batch_bytes = 0

    def start(self) -> None:
        """Add the session, or compare it with the existing one."""
        session = NewSession(
            session_id=self._fields.session_id,
            user_id=self._user_id,
            title=self._fields.title,
            metadata=self._fields.metadata,
            created_at=self._fields.created_at,
        )
        try:
            self._instance.call("sessions.add", {}, msgspec.Raw, body=_encode(session))
        except AlreadyExists:
            self._compare()
            return
        self._present.set_empty()
        self._result.added.sessions += 1

    def take(self, message: NewMessage, size_bytes: int) -> None:
        """Take a message; it is appended with others."""
        if self._is_skipped:
            return
        if message.id in self._batch:
            self._result.present.messages += 1
            return
        is_full = len(self._batch) == MAX_BATCH or self._batch_bytes + size_bytes > _BATCH_BYTES
        if self._batch and is_full:
            self._append_batch()
        self._batch[str(message.id)] = message
        self._batch_bytes += size_bytes

    def end(self) -> None:
        """Append what is left, and end the session if it has ended in the file."""
        if self._batch:
            self._append_batch()
        if self._has_ended or self._is_skipped:
            return
        if self._fields.ended_at is not None:
            body = _encode({"ended_at": self._fields.ended_at})
            self._instance.call("sessions.update", self._ids, msgspec.Raw, body=body)
        elif self._fields.ended:
            self._instance.call("sessions.end", self._ids, msgspec.Raw)

    def _compare(self) -> None:
        existing = self._instance.call("sessions.get", self._ids, Session)
        self._has_ended = existing.ended_at is not None
        if existing.user_id != self._user_id:
            self._skip("belongs to another user")
        elif existing.title != self._fields.title:
            self._skip("differs from the file in title")
        elif not _is_same_json(existing.metadata, self._fields.metadata):
            self._skip("differs from the file in metadata")
        else:
            self._result.present.sessions += 1

    def _skip(self, reason: str) -> None:
        self._is_skipped = True
        self._result.differing_sessions.append(self._fields.session_id)
        self._reporter.warn(f"session {self._fields.session_id!r} exists and {reason}: skipped.")

    def _append_batch(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, {}, 0
        present = self._present.pop_known(batch)
        missing = [each for id_, each in batch.items() if id_ not in present]
        if missing and self._has_ended:
            self._skip(f"has ended without {len(missing):,} of the messages in the file")
            return
        try:
            self._append(missing)
        except AlreadyExists:  # another client appends the same messages
            missing = [each for each in missing if not self._exists(str(each.id))]
            self._append(missing)
        self._result.added.messages += len(missing)
        self._result.present.messages += len(batch) - len(missing)

    def _append(self, messages: list[NewMessage]) -> None:
        if not messages:
            return
        body = _encode(AppendMessages(messages=messages))  # data stays the bytes that it was
        self._instance.call("messages.append", self._ids, msgspec.Raw, body=body)

    def _exists(self, id_: str) -> bool:
        try:
            self._instance.call("messages.get", {**self._ids, "id": id_}, msgspec.Raw)
        except NotFound:
            return False
        return True


class _Id(msgspec.Struct):
    id: str


class _PresentIds:
    """The ids of the messages that a session has already.

    They are read page by page. Mostly their order is that of the file, so only few are in memory.
    """

    def __init__(self, instance: Instance, session_id: str) -> None:
        self._pages: Iterator[list[str]] = _id_pages(instance, session_id)
        self._ahead: set[str] = set()

    def set_empty(self) -> None:
        """Read nothing, because the session is new."""
        self._pages = iter(())

    def pop_known(self, ids: dict[str, Any]) -> set[str]:
        """Return those of the given ids that the session has; ask for each only once."""
        while not ids.keys() <= self._ahead:
            page = next(self._pages, None)
            if page is None:
                break
            self._ahead.update(page)
        known = ids.keys() & self._ahead
        self._ahead -= known
        return known


def _id_pages(instance: Instance, session_id: str) -> Iterator[list[str]]:
    ids = {"session_id": session_id}
    for page in list_pages(instance, "messages.list", ids, _Id, limit=_IDS_PER_PAGE):
        yield [each.id for each in page.items]


def _is_same_json(existing: Any, given: Any) -> bool:
    """Compare two JSON values: numbers by value, and true is not 1."""
    if isinstance(existing, dict) and isinstance(given, dict):
        return existing.keys() == given.keys() and all(
            _is_same_json(value, given[name]) for name, value in existing.items()
        )
    if isinstance(existing, list) and isinstance(given, list):
        return len(existing) == len(given) and all(map(_is_same_json, existing, given))
    return isinstance(existing, bool) == isinstance(given, bool) and bool(existing == given)
