"""What `userkeep import` does: adds what a file has and the instance has not.

Nothing that is there already is written to. So an import that stopped can be run again: what is
complete is left alone, and the user it stopped in is completed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from userkeep.api.messages import MAX_BATCH, AppendMessages
from userkeep.cli.carrying import carry, carry_list
from userkeep.cli.exits import Interrupted
from userkeep.cli.lines import BadLine, Counts, Head, Numbered, SessionFields, read_lines
from userkeep.cli.terminal import counted, output, print_json, say
from userkeep.cli.transfers import Shown, shown
from userkeep.client import Userkeep
from userkeep.domain.errors import AlreadyExists, Conflict, NotFound, StorageError, UserkeepError
from userkeep.domain.message import NewMessage
from userkeep.domain.user import NewUser, UserFields
from userkeep.sdk.requests import BATCH_BYTES, CreateUserRequest

STDIN = "-"
_LOOKED_AT = 100

_encode = msgspec.json.Encoder().encode


class Report(msgspec.Struct):
    """How an import ended.

    Attributes:
        added: what is new.
        present: what was there already.
        differing_users, differing_sessions: whose are there, but not as the file has them; they
            were left as they are, with all that is theirs.
    """

    added: Counts
    present: Counts
    differing_users: list[str] = []
    differing_sessions: list[str] = []


class Differing(Conflict):
    """Some who are there already differ from the file."""


def import_users(client: Userkeep, place: str, *, as_json: bool) -> None:
    """Add the users of a file, or of stdin, with their sessions and messages.

    Args:
        place: a path, or `-`.
        as_json: tell as JSON what was added.

    Raises:
        BadLine: naming the line and the field; what is before it has been added.
        Differing: at the end, where some who are there already differ.
        StorageError: the file cannot be read.
        UserkeepError: what else stopped it, and the user it was in.
    """
    with _opened(place) as (file, size), shown("Importing", total_bytes=size) as progress:
        importing = _Import(client, progress)
        try:
            for line in read_lines(file):
                importing.take(line)
            importing.finish()
        except Interrupted as interrupted:
            sentence = f"Interrupted. {importing.stopped()}"
            raise Interrupted(interrupted.number, sentence) from interrupted
        except UserkeepError as error:
            first = "mend the file and " if isinstance(error, BadLine) else ""
            error.detail = f"{error.detail} {importing.stopped(first)}"
            raise
    _tell(importing.report, as_json=as_json)


class _Import:
    """Takes the lines of a file in their order."""

    def __init__(self, client: Userkeep, progress: Shown) -> None:
        self.report = Report(Counts(), Counts())
        self._client = client
        self._progress = progress
        self._must_end = False
        self._line = 0
        self._user_id: str | None = None
        self._session: _Session | None = None
        self._is_passed_over = False

    def take(self, line: Numbered) -> None:
        """Take a line.

        Raises:
            BadLine: it cannot follow what was before. UserkeepError: it could not be added.
        """
        self._line = line.number
        match line.value:
            case NewUser():
                self._end_session()
                self._user_id = line.value.user_id
                self._is_passed_over = not self._add_user(line.value)
            case SessionFields():
                self._end_session()
                self._begin_session(line.value)
            case NewMessage():
                self._take_message(line.value, line.size)
            case Head():
                self._end_session()
                self._must_end = line.value.exported_at is not None
            case _:
                self._end_session()
                self._must_end = False
        self._progress.tell(self._seen(), line.end)

    def finish(self) -> None:
        """The file is at its end.

        Raises:
            BadLine: it is the beginning of an export, and not all of it.
        """
        self._end_session()
        if self._must_end:
            raise BadLine("The file has no last line: it was cut off, and more belongs to it.")

    def stopped(self, first: str = "") -> str:
        """Where it stopped, and how to go on.

        Args:
            first: what is to be done before.
        """
        if self._user_id is None:
            return "The import stopped before the first user; nothing was added."
        return (
            f"The import stopped in user {self._user_id!r}, after line {self._line}. To go on, "
            f"{first}run it again: that user is completed, and what is complete is left alone."
        )

    def _seen(self) -> Counts:
        added, present = self.report.added, self.report.present
        return Counts(
            added.users + present.users,
            added.sessions + present.sessions,
            added.messages + present.messages,
        )

    def _add_user(self, user: NewUser) -> bool:
        """Add a user; False where another of this id is there."""
        fields = msgspec.structs.asdict(user)
        try:
            self._client.user.add(CreateUserRequest(**fields))
        except AlreadyExists:
            there = msgspec.structs.asdict(self._client.user.get(user.user_id))
            differing = [
                name
                for name in UserFields.__struct_fields__
                if not _is_same(there[name], fields[name])
            ]
            if differing:
                self._pass_over_user(user.user_id, differing)
                return False
            self.report.present.users += 1
            return True
        self.report.added.users += 1
        return True

    def _pass_over_user(self, user_id: str, differing: list[str]) -> None:
        self.report.differing_users.append(user_id)
        say(
            f"user {user_id!r} is there already and differs from the file in "
            f"{', '.join(differing)}: left alone, with all that is theirs."
        )

    def _begin_session(self, fields: SessionFields) -> None:
        if self._user_id is None:
            raise BadLine(f"Line {self._line}: a session comes after the user whose it is.")
        if self._is_passed_over:
            return
        self._session = _Session(self._client, self._user_id, fields, self.report)
        self._session.open()

    def _take_message(self, message: NewMessage, size: int) -> None:
        if self._is_passed_over:
            return
        if self._session is None:
            raise BadLine(f"Line {self._line}: a message comes after the session it is of.")
        self._session.take(message, size)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.end()
        self._session = None


class _Session:
    """A session of the file, and what of it is there already."""

    def __init__(
        self, client: Userkeep, user_id: str, fields: SessionFields, report: Report
    ) -> None:
        self._client = client
        self._user_id = user_id
        self._fields = fields
        self._report = report
        self._present = _Uuids(client, fields.session_id)
        self._is_passed_over = False
        self._has_ended = False
        self._batch: dict[str, NewMessage] = {}
        self._batch_bytes = 0

    def open(self) -> None:
        """Open it, or look at the one that is there."""
        fields = self._fields
        try:
            self._client.session.add(
                session_id=fields.session_id, user_id=self._user_id, metadata=fields.metadata
            )
        except AlreadyExists:
            self._look_at_present()
            return
        self._present.are_none()
        self._report.added.sessions += 1

    def _look_at_present(self) -> None:
        there = self._client.session.get(self._fields.session_id)
        self._has_ended = there.ended_at is not None
        if there.user_id != self._user_id:
            self._pass_over("belongs to somebody else")
        elif not _is_same(there.metadata, self._fields.metadata):
            self._pass_over("differs from the file in metadata")
        else:
            self._report.present.sessions += 1

    def _pass_over(self, why: str) -> None:
        self._is_passed_over = True
        self._report.differing_sessions.append(self._fields.session_id)
        say(f"session {self._fields.session_id!r} is there already and {why}: left alone.")

    def take(self, message: NewMessage, size: int) -> None:
        """Take a message."""
        if self._is_passed_over:
            return
        if message.uuid in self._batch:
            self._report.present.messages += 1
            return
        is_full = len(self._batch) == MAX_BATCH or self._batch_bytes + size > BATCH_BYTES
        if self._batch and is_full:
            self._append()
        self._batch[str(message.uuid)] = message
        self._batch_bytes += size

    def end(self) -> None:
        """All its messages were taken."""
        if self._batch:
            self._append()
        if self._fields.ended and not self._has_ended and not self._is_passed_over:
            self._client.session.end(self._fields.session_id)

    def _append(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, {}, 0
        present = self._present.among(batch)
        missing = [each for uuid, each in batch.items() if uuid not in present]
        if missing and self._has_ended:
            self._pass_over(f"has ended, without {counted(len(missing), 'message')} of the file")
            return
        try:
            self._send(missing)
        except AlreadyExists:  # somebody else appends the same
            missing = [each for each in missing if not self._is_there(str(each.uuid))]
            self._send(missing)
        self._report.added.messages += len(missing)
        self._report.present.messages += len(batch) - len(missing)

    def _send(self, messages: list[NewMessage]) -> None:
        if not messages:
            return
        ids = {"session_id": self._fields.session_id}
        body = _encode(AppendMessages(messages=messages))  # with data as the bytes that came
        carry(self._client, "messages.append", ids, msgspec.Raw, body=body)

    def _is_there(self, uuid: str) -> bool:
        try:
            self._client.message.get(self._fields.session_id, uuid)
        except NotFound:
            return False
        return True


class _Uuid(msgspec.Struct):
    uuid: str


class _Uuids:
    """The uuids of the messages of a session, read as far as they are needed.

    They mostly come in the order of the file, so that only a few are in memory at a time.
    """

    def __init__(self, client: Userkeep, session_id: str) -> None:
        self._pages: Iterator[list[str]] = _pages_of_uuids(client, session_id)
        self._ahead: set[str] = set()

    def are_none(self) -> None:
        """The session is new."""
        self._pages = iter(())

    def among(self, wanted: dict[str, Any]) -> set[str]:
        """Those of some uuids that are there; each is asked for once."""
        while not wanted.keys() <= self._ahead:
            page = next(self._pages, None)
            if page is None:
                break
            self._ahead.update(page)
        found = wanted.keys() & self._ahead
        self._ahead -= found
        return found


def _pages_of_uuids(client: Userkeep, session_id: str) -> Iterator[list[str]]:
    ids = {"session_id": session_id}
    for page in carry_list(client, "messages.list", ids, _Uuid, limit=_LOOKED_AT):
        yield [each.uuid for each in page.items]


def _is_same(there: Any, given: Any) -> bool:
    """Whether two values of JSON are the same: numbers by value, true is not 1."""
    if isinstance(there, dict) and isinstance(given, dict):
        return there.keys() == given.keys() and all(
            _is_same(value, given[name]) for name, value in there.items()
        )
    if isinstance(there, list) and isinstance(given, list):
        return len(there) == len(given) and all(map(_is_same, there, given))
    return isinstance(there, bool) == isinstance(given, bool) and bool(there == given)


@contextmanager
def _opened(place: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """What is to be read, and its size in bytes where it is known.

    Raises:
        StorageError: it cannot be read.
    """
    if place == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        file = open(place, "rb")  # noqa: PTH123, SIM115
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}.") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size or None


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        output().print(f"Added {_in_words(report.added)}.")
        if report.present != Counts():
            output().print(f"There already: {_in_words(report.present)}.")
    kinds = ((report.differing_users, "user"), (report.differing_sessions, "session"))
    differing = " and ".join(counted(len(ids), name) for ids, name in kinds if ids)
    if differing:
        raise Differing(f"{differing} that differ from the file were left alone; all else is done.")


def _in_words(counts: Counts) -> str:
    return (
        f"{counted(counts.users, 'user')}, {counted(counts.sessions, 'session')}, "
        f"{counted(counts.messages, 'message')}"
    )
