"""Export users, sessions, messages and documents as JSON Lines; `jobs.jsonl` has the format.

Rows are written as they are read, page by page, so memory does not grow with the instance. Data is
copied as the bytes that it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Raw, UnsetType

from userkeep.api.common import Page
from userkeep.domain.errors import Forbidden, Gone, NotFound, StorageError
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.jobs.jsonl import (
    FORMAT,
    Counts,
    ExportedCollection,
    ExportedDocument,
    ExportedMessage,
    ExportedSession,
    ExportedUser,
    Header,
    Output,
    write_line,
)
from userkeep.jobs.stopping import Stoppable
from userkeep.jobs.transfer import Instance, NoReporter, Reporter, list_pages
from userkeep.version import __version__

_FIRST_LIMIT = 100
_DOCUMENTS_AT_ONCE = 100
"""As one page of them with embeddings of 2,000 dimensions has some megabytes of JSON."""
_PAGE_BYTES = 4 * 1024 * 1024


def find_users(instance: Instance, user_ids: Sequence[str]) -> list[ExportedUser]:
    """Read the users to export, in the order of their ids in the argument.

    Raises:
        NotFound: one of them does not exist.
    """
    return [_find_user(instance, user_id) for user_id in dict.fromkeys(user_ids)]


def all_users(instance: Instance) -> Iterator[ExportedUser]:
    """Iterate over all users, in the order of their creation."""
    for page in list_pages(instance, "users.list", {}, ExportedUser, limit=MAX_LIMIT):
        yield from page.items


def count_sessions_without_user(instance: Instance) -> int:
    """Return the number of sessions that belong to no user."""
    query = {"owned": "false", "limit": 1, "count": "true"}
    count = instance.call("sessions.list", {}, Page[Raw], query=query).count
    return 0 if isinstance(count, UnsetType) else count


class Export(Stoppable):
    """One export.

    Attributes:
        counts: what was written so far.
        place: the user, session or collection that is being written, or was when the export
            stopped.
    """

    def __init__(self, instance: Instance, file: Output, reporter: Reporter | None = None) -> None:
        self.counts = Counts()
        self.place: str | None = None
        self._instance = instance
        self._file = file
        self._reporter = reporter or NoReporter()

    def run(self, users: Iterable[ExportedUser], *, has_rest: bool) -> Counts:
        """Write users with their sessions, messages and documents.

        Args:
            users: the users.
            has_rest: whether to write the sessions without a user too, and all collections with
                all documents. Otherwise these users are all that was asked for, and none of them
                may be deleted until the end.

        Raises:
            NotFound: one of them was deleted. StorageError: the file cannot be written.
            Stopped: `stop` was called. Like after any other error, the file is incomplete.
            UserkeepError: the instance failed.
        """
        self._write("userkeep", Header(format=FORMAT, version=__version__))
        named = []
        for user in users:
            self._write_user(user)
            if not has_rest:
                named.append(user)
        if has_rest:
            self._write_sessions(owned="false")
        self._write_collections(None if has_rest else [user.user_id for user in named])
        for user in named:
            self._check_is_there(user)
        self._write("end", self.counts)
        self._file.flush()
        return self.counts

    def _check_is_there(self, user: ExportedUser) -> None:
        try:
            now = _find_user(self._instance, user.user_id)
        except (NotFound, Gone):
            now = None
        if now is None or now.uuid != user.uuid:
            raise NotFound(
                f"The user {user.user_id!r} was deleted during the export, which is not complete."
            )

    def _write_user(self, user: ExportedUser) -> None:
        self._check_stop()
        self.place = f"user {user.user_id!r}"
        self._write("user", user)
        self.counts.users += 1
        self._reporter.progress(self.counts)
        self._write_sessions(user_id=user.user_id)

    def _write_sessions(self, **filters: str) -> None:
        query = {**filters, "limit": MAX_LIMIT}
        for page in list_pages(self._instance, "sessions.list", {}, ExportedSession, **query):
            for session in page.items:
                if "user_id" not in filters:
                    self.place = f"session {session.session_id!r}"
                self._write_session(session)

    def _write_session(self, session: ExportedSession) -> None:
        self._write("session", session)
        self.counts.sessions += 1
        try:
            self._write_messages(session.session_id)
        except (NotFound, Gone):
            self._reporter.warn(
                f"session {session.session_id!r} was deleted during the export; the file may have "
                "a part of it."
            )

    def _write_messages(self, session_id: str) -> None:
        ids = {"session_id": session_id}
        cursor, limit = None, _FIRST_LIMIT
        while True:
            self._check_stop()
            query = {"limit": limit, "cursor": cursor}
            page = self._instance.call("messages.list", ids, Page[ExportedMessage], query=query)
            size_bytes = sum(self._write("message", each) for each in page.items)
            self.counts.messages += len(page.items)
            self._reporter.progress(self.counts)
            cursor = page.next
            if cursor is None:
                return
            # The next page is as long as makes some megabytes, whatever the size of a message.
            limit = max(1, min(MAX_LIMIT, _PAGE_BYTES * len(page.items) // size_bytes))

    def _write_collections(self, user_ids: Sequence[str] | None) -> None:
        """Write collections with their documents: all, or those that users have documents in."""
        try:
            pages = list_pages(
                self._instance, "collections.list", {}, ExportedCollection, limit=MAX_LIMIT
            )
            for page in pages:
                for collection in page.items:
                    self._write_collection(collection, user_ids)
        except Forbidden:
            self._reporter.warn(
                "Documents are not in the file: the API key may not list collections."
            )

    def _write_collection(
        self, collection: ExportedCollection, user_ids: Sequence[str] | None
    ) -> None:
        self._check_stop()
        self.place = f"collection {collection.name!r}"
        is_written = user_ids is None
        owners: Sequence[str | None] = [None] if user_ids is None else user_ids
        if is_written:
            self._write_head(collection)
        try:
            for user_id in owners:
                for page in self._pages_of_documents(collection.name, user_id):
                    if page.items and not is_written:
                        self._write_head(collection)
                        is_written = True
                    self._write_documents(page.items)
        except NotFound:
            self._reporter.warn(
                f"{self.place} was deleted during the export; the file may have a part of it."
            )

    def _write_head(self, collection: ExportedCollection) -> None:
        self._write("collection", collection)
        self.counts.collections += 1

    def _pages_of_documents(
        self, name: str, user_id: str | None
    ) -> Iterator[Page[ExportedDocument]]:
        query = {"user_id": user_id, "include": "embedding", "limit": _DOCUMENTS_AT_ONCE}
        ids = {"name": name}
        return list_pages(self._instance, "documents.list", ids, ExportedDocument, **query)

    def _write_documents(self, documents: Iterable[ExportedDocument]) -> None:
        self._check_stop()
        for each in documents:
            self._write("document", each)
            self.counts.documents += 1
        self._reporter.progress(self.counts)

    def _write(self, kind: str, value: Any) -> int:
        try:
            return write_line(self._file, kind, value)
        except BrokenPipeError:
            raise  # the reader of a pipe has closed it: not an error of the export
        except OSError as error:
            raise StorageError(f"The export cannot be written: {error.strerror}.") from error


def _find_user(instance: Instance, user_id: str) -> ExportedUser:
    try:
        return instance.call("users.get", {"user_id": user_id}, ExportedUser)
    except NotFound as error:
        raise NotFound(f"There is no user {user_id!r}; nothing was exported.") from error
