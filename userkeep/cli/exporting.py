"""What `userkeep export` does: users with all that is theirs, written as they are read."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from userkeep.api.common import Page
from userkeep.cli.carrying import carry, carry_list
from userkeep.cli.exits import Interrupted
from userkeep.cli.lines import (
    FORMAT,
    Counts,
    Head,
    MessageText,
    SessionText,
    UserText,
    write_line,
)
from userkeep.cli.terminal import counted, output, print_json, say
from userkeep.cli.transfers import Shown, shown
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import Gone, NotFound, StorageError, UserkeepError
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.version import __version__

STDOUT = "-"
_FIRST_LIMIT = 100
_PAGE_BYTES = 4 * 1024 * 1024


def export_users(client: Userkeep, user_ids: Sequence[str], place: str, *, as_json: bool) -> None:
    """Write users to a file, or to stdout.

    Args:
        user_ids: which, in this order; none means all.
        place: a path, or `-`.
        as_json: tell as JSON how many there were.

    Raises:
        NotFound: there is no such user; then nothing is written. SettingError: stdout is to be
            both. StorageError: the file cannot be written.
    """
    if place == STDOUT and as_json:
        raise SettingError(
            "The export itself goes to stdout; name a file by --output to have the counts there."
        )
    chosen = [_get(client, each) for each in dict.fromkeys(user_ids)]
    with _opened(place) as file, shown("Exporting", on_terminal=place != STDOUT) as progress:
        export = _Export(client, file, progress)
        try:
            export.run(chosen if user_ids else _all_users(client))
        except Interrupted as interrupted:
            sentence = f"Interrupted. {_stopped(export, place)}"
            raise Interrupted(interrupted.number, sentence) from interrupted
        except UserkeepError as error:
            error.detail = f"{error.detail} {_stopped(export, place)}"
            raise
    _tell(export, place, as_json=as_json)


class _Export:
    def __init__(self, client: Userkeep, file: BinaryIO, progress: Shown) -> None:
        self.counts = Counts()
        self.user_id: str | None = None
        self.vanished: list[str] = []
        self._client = client
        self._file = file
        self._progress = progress

    def run(self, users: "Iterator[UserText] | Sequence[UserText]") -> None:
        now = datetime.now(UTC)
        self._write("userkeep", Head(format=FORMAT, version=__version__, exported_at=now))
        for user in users:
            self.user_id = user.user_id
            self._write("user", user)
            self.counts.users += 1
            self._sessions(user.user_id)
        self._write("end", self.counts)
        self._file.flush()

    def _sessions(self, user_id: str) -> None:
        filters = {"user_id": user_id, "limit": MAX_LIMIT}
        for page in carry_list(self._client, "sessions.list", {}, SessionText, **filters):
            for session in page.items:
                self._session(session)

    def _session(self, session: SessionText) -> None:
        fields = {
            "session_id": session.session_id,
            "metadata": session.metadata,
            "ended": session.ended_at is not None,
        }
        self._write("session", fields)
        self.counts.sessions += 1
        try:
            self._messages(session.session_id)
        except (NotFound, Gone):
            self.vanished.append(session.session_id)

    def _messages(self, session_id: str) -> None:
        ids = {"session_id": session_id}
        cursor, limit = None, _FIRST_LIMIT
        while True:
            query = {"limit": limit, "cursor": cursor}
            page = carry(self._client, "messages.list", ids, Page[MessageText], query=query)
            size = sum(self._write("message", each) for each in page.items)
            self.counts.messages += len(page.items)
            self._progress.tell(self.counts)
            cursor = page.next
            if cursor is None:
                return
            # As many as make a page of some megabytes, however long they are.
            limit = max(1, min(MAX_LIMIT, _PAGE_BYTES * len(page.items) // size))

    def _write(self, kind: str, value: Any) -> int:
        try:
            return write_line(self._file, kind, value)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"The export could not be written: {error.strerror}.") from error


def _get(client: Userkeep, user_id: str) -> UserText:
    try:
        user: UserText = carry(client, "users.get", {"user_id": user_id}, UserText)
    except NotFound as error:
        raise NotFound(f"There is no user {user_id!r}; nothing was exported.") from error
    return user


def _all_users(client: Userkeep) -> Iterator[UserText]:
    for page in carry_list(client, "users.list", {}, UserText, limit=MAX_LIMIT):
        yield from page.items


@contextmanager
def _opened(place: str) -> Iterator[BinaryIO]:
    """The file to write, which is there when it is whole, and not before.

    Raises:
        StorageError: it cannot be written.
    """
    if place == STDOUT:
        yield sys.stdout.buffer
        return
    path = Path(os.path.realpath(place))
    is_there = os.path.lexists(place)
    if is_there and not _is_plain(path):
        with _told(place), Path(place).open("wb") as file:
            yield file
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _told(place):
        file = draft.open("xb")
    try:
        with file:
            yield file
            with _told(place):
                file.flush()
                os.fsync(file.fileno())
        with _told(place):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _is_plain(path: Path) -> bool:
    """Whether another file may take its place: a pipe or a device is written to as it is."""
    is_of_the_system = path.is_relative_to("/dev") or path.is_relative_to("/proc")
    return path.is_file() and not path.is_symlink() and not is_of_the_system


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{place} cannot be written: {error.strerror}.") from error


def _stopped(export: _Export, place: str) -> str:
    where = "before the first user"
    if export.user_id is not None:
        where = (
            f"in user {export.user_id!r}, after {counted(export.counts.users - 1, 'whole user')}"
        )
    if place == STDOUT:
        return f"The export stopped {where}; what was written is not whole. Run it again."
    return f"The export stopped {where}, and {place} was not written. Run it again."


def _tell(export: _Export, place: str, *, as_json: bool) -> None:
    for session_id in export.vanished:
        say(f"session {session_id!r} was deleted while it was exported; it is there in part.")
    if as_json:
        print_json(export.counts)
        return
    counts = export.counts
    sentence = (
        f"Exported {counted(counts.users, 'user')}, {counted(counts.sessions, 'session')}, "
        f"{counted(counts.messages, 'message')}"
    )
    if place == STDOUT:
        say(f"{sentence}.")
    else:
        output().print(f"{sentence} to {place}.", soft_wrap=True)
