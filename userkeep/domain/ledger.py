"""The deletion ledger: what was deleted, as keyed hashes, kept outside the database.

A backup has the data of all who were deleted after it was made. With the ledger, a restored
database can be made to match: each of its entries whose subject is in the database again is
deleted again. So an entry must recognize a subject and must not reveal it.

The key of the hashes is in the database, and so in each of its backups, but not in the ledger. It
is derived from the fingerprint that the database had at first, and stays when the secret changes.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from userkeep.domain.secret import KeyedHash, derive_key
from userkeep.domain.values.times import Instant, from_datetime, to_datetime

HASH_LENGTH = 32
_CHECK_LENGTH = 16
_NONE = "-" * HASH_LENGTH
_HEADER = "userkeep-ledger 1"


class LedgerSubject(StrEnum):
    """What an entry is about."""

    USER = "user"
    SESSION = "session"
    MESSAGE = "message"
    MESSAGES = "messages"
    PROJECT = "project"
    COLLECTION = "coll"
    DOCUMENT = "document"


_SUBJECTS = frozenset(LedgerSubject)
_OF_MESSAGES = frozenset({LedgerSubject.MESSAGE, LedgerSubject.MESSAGES})
_KNOWN_BY_TIME = _OF_MESSAGES | {LedgerSubject.COLLECTION, LedgerSubject.DOCUMENT}


class DeletedPart(NamedTuple):
    """Which messages of a session a deletion is about: one, or all after a seq.

    Attributes:
        session_uuid: of the session.
        message_id: the id of the one message.
        after_seq: all messages after this one; None for one message.
    """

    session_uuid: str
    message_id: str = ""
    after_seq: int | None = None


class Deleted(NamedTuple):
    """What is recorded in the ledger.

    Attributes:
        subject: what was deleted.
        uuid: its uuid; for messages, the uuid that stands for them in the erasure.
        at: when the deletion began.
        part: which messages; None for all else, and where only the database knows of them.
        user_uuid: of a session that is deleted with its user, the user's uuid; else empty. Only of
            a session that began without a user, which a backup may have without them.
        collection_uuid: of a document that is deleted by itself, the uuid of its collection; else
            empty.
    """

    subject: str
    uuid: str
    at: Instant
    part: DeletedPart | None = None
    user_uuid: str = ""
    collection_uuid: str = ""


class EntryKey(NamedTuple):
    """By what an entry and an erasure recognize each other; see `entry_key`."""

    hash: str
    at: Instant | None


class Entry(NamedTuple):
    """An entry as it is in the file.

    Attributes:
        at: when the deletion began.
        subject: see LedgerSubject.
        hash: of the uuid.
        session_hash: of the uuid of the session, for messages, or of the collection, for documents;
            else empty.
        part: for a message the hash of its session's uuid and its id, for messages the number after
            which all are deleted, for a session that is deleted with its user the hash of the
            user's uuid; else empty.
    """

    at: Instant
    subject: str
    hash: str
    session_hash: str = ""
    part: str = ""

    @property
    def is_of_user(self) -> bool:
        """Whether it is about a session that was deleted with its user, in the user's erasure."""
        return self.subject == LedgerSubject.SESSION and self.part != ""

    @property
    def is_of_messages(self) -> bool:
        """Whether it is about messages of a session, which it names."""
        return self.subject in _OF_MESSAGES and self.session_hash != ""

    @property
    def key(self) -> EntryKey:
        """By what its erasure is recognized."""
        if self.is_of_user:
            return entry_key(LedgerSubject.USER, self.part, self.at)
        return entry_key(self.subject, self.hash, self.at)


def entry_key(subject: str, hashed: str, at: Instant) -> EntryKey:
    """Return by what an entry and an erasure recognize each other.

    A message has an id of the app, which other sessions and later messages can have too. A document
    or a collection can be imported again with its uuid. So such a deletion is known by its time as
    well.
    """
    return EntryKey(hashed, at if subject in _KNOWN_BY_TIME else None)


class LedgerMark(NamedTuple):
    """What a database knows of a ledger.

    Attributes:
        place: the machine and the path of the file.
        length: how many lines the file had.
        seen: how many of its lines are about erasures that the database has, or were replayed.
        number: all erasures up to this number are among these lines.
        at: so are all deletions of projects that began before.
        documents: so are all deletions of documents and collections up to this number.
    """

    place: str
    length: int
    seen: int
    number: int
    at: Instant
    documents: int = 0


class Header(NamedTuple):
    """The first line of a ledger: its own uuid, and which database it is about."""

    ledger_uuid: str
    database: str


class DamagedLedger(Exception):
    """A line of a ledger was changed, or is out of its place."""


class UnknownEntry(Exception):
    """A line of a ledger has an entry of a kind that this version does not know."""


class LedgerFormat:
    """Reads and writes the lines of a ledger, which all have the same length.

    Args:
        key: 32 bytes; see `ledger_key`.
        created_at: when the database was created, by which it is known.
    """

    LINE_BYTES = 27 + 1 + 8 + 3 * (1 + HASH_LENGTH) + 1 + _CHECK_LENGTH + 1

    def __init__(self, key: bytes, created_at: Instant) -> None:
        self._hash = KeyedHash(key, "ledger entries")
        self._line_hash = KeyedHash(key, "ledger lines")
        self.database = self.hash("database", str(created_at))

    def hash(self, *parts: str) -> str:
        """Return the hash by which something is recognized."""
        return self._hash(*parts)[:HASH_LENGTH]

    def hash_of(self, uuid: str) -> str:
        """Return the hash of the uuid of a subject."""
        return self.hash(uuid.lower())

    def message_hash(self, session_uuid: str, message_id: str) -> str:
        """Return the hash of a message."""
        return self.hash(session_uuid.lower(), message_id)

    def entry(self, deleted: Deleted) -> Entry:
        """Return the entry of a deletion."""
        subject, part = deleted.subject, deleted.part
        hashed = self.hash_of(deleted.uuid)
        if deleted.user_uuid:
            return Entry(deleted.at, subject, hashed, part=self.hash_of(deleted.user_uuid))
        if deleted.collection_uuid:
            return Entry(deleted.at, subject, hashed, self.hash_of(deleted.collection_uuid))
        if part is None:
            return Entry(deleted.at, subject, hashed)
        session_hash = self.hash_of(part.session_uuid)
        if part.after_seq is not None:
            after = f"{part.after_seq:0{HASH_LENGTH}d}"
            return Entry(deleted.at, LedgerSubject.MESSAGES, hashed, session_hash, after)
        message = self.message_hash(part.session_uuid, part.message_id)
        return Entry(deleted.at, subject, hashed, session_hash, message)

    def line(self, number: int, entry: Entry) -> bytes:
        """Return an entry as the line with this number; the header is line 0."""
        at = to_datetime(entry.at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        parts = (entry.hash, entry.session_hash or _NONE, entry.part or _NONE)
        return self._checked(number, f"{at} {entry.subject:<8} {' '.join(parts)}")

    def header_line(self, header: Header) -> bytes:
        """Return the first line of a ledger."""
        length = self.LINE_BYTES - _CHECK_LENGTH - 2
        return self._checked(0, f"{_HEADER} {header.ledger_uuid} {header.database}".ljust(length))

    def is_unfinished_header(self, content: bytes) -> bool:
        """Return whether this is the beginning of a first line, and not all of it."""
        begin = _HEADER.encode("ascii")
        return len(content) < self.LINE_BYTES and content[: len(begin)] == begin[: len(content)]

    def read_header(self, line: bytes) -> Header:
        """Return what the first line says. Only one of the same database can be checked.

        Raises:
            DamagedLedger: it is none of a ledger.
        """
        text = line.decode("ascii", "replace")
        parts = text.removeprefix(_HEADER).split()
        if not text.startswith(_HEADER) or len(parts) != 3:
            raise DamagedLedger
        header = Header(parts[0], parts[1])
        if header.database == self.database:
            self._check(0, text)
        return header

    def read(self, number: int, line: bytes) -> Entry:
        """Return the entry of the line with this number.

        Raises:
            DamagedLedger: the line was changed, or is not at its place. UnknownEntry: a newer
                version wrote it.
        """
        text = line.decode("ascii", "replace")
        self._check(number, text)
        time_text, subject, *hashes = text.split()[:-1]
        if subject not in _SUBJECTS:
            raise UnknownEntry
        at = from_datetime(datetime.fromisoformat(time_text))
        return Entry(at, subject, *(("" if each == _NONE else each) for each in hashes))

    def _checked(self, number: int, text: str) -> bytes:
        return f"{text} {self._check_of(number, text)}\n".encode("ascii")

    def _check(self, number: int, text: str) -> None:
        content, check = text[: -_CHECK_LENGTH - 2], text[-_CHECK_LENGTH - 1 : -1]
        if self._check_of(number, content) != check:
            raise DamagedLedger

    def _check_of(self, number: int, text: str) -> str:
        return self._line_hash(str(number), text)[:_CHECK_LENGTH]


def ledger_key(stored: str | None, fingerprint: str) -> bytes:
    """Return the key of a database's ledger.

    Args:
        stored: the key as the database has it, if its secret was ever changed.
        fingerprint: of its secret.
    """
    if stored is not None:
        return bytes.fromhex(stored)
    return derive_key(bytes.fromhex(fingerprint), "ledger of erasures")
