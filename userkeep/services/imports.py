"""Imports: add users, sessions and messages as an export has them, and compare what exists.

Nothing that exists is changed. What a file has in another way is reported, field by field. Messages
keep their positions, so one that was deleted returns to where it was.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec import UNSET

from userkeep.domain.errors import AlreadyExists, Conflict, Gone, InvalidField
from userkeep.domain.imports import (
    CheckedImport,
    ImportedMessage,
    ImportedSession,
    ImportedUser,
    Version,
)
from userkeep.domain.message import Message, check_created_at
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.ids import check_uuid
from userkeep.domain.values.json_text import is_same_json
from userkeep.domain.values.metadata import decode_json, encode_json, encode_metadata
from userkeep.domain.values.past import check_past
from userkeep.domain.values.times import Instant, from_datetime
from userkeep.services import messages, quotas, sessions, tombstones, users

Result = Literal["added", "present", "differs"]

_IDS_AT_ONCE = 25
"""How many stored messages are compared at a time; each has up to 2 MiB."""

_MAX_TRIES = 3


class Outcome(NamedTuple):
    """What happened to a user or session.

    Attributes:
        result: whether it was added, or exists as it is in the file, or in another way.
        differing: the fields in which it differs.
    """

    result: Result
    differing: list[str]


_WAS_DELETED = (
    "This {noun} was deleted, and an import does not restore it. To create a new {noun} of it, "
    "import it as new."
)

ADDED = Outcome("added", [])


class MessageConflict(NamedTuple):
    """A message that was not added.

    Attributes:
        id: its id.
        differing: the fields in which the existing message differs; without any, its position is
            taken by another message.
    """

    id: str
    differing: list[str]


class SessionOutcome(NamedTuple):
    """What happened to a session and to messages of it.

    Attributes:
        session: what happened to the session. If it differs, its messages were not looked at.
        added, present: how many messages were added, and how many exist as they are in the file.
        conflicts: all others.
        after_seq: the position of the last of the messages.
    """

    session: Outcome
    added: int = 0
    present: int = 0
    conflicts: Sequence[MessageConflict] = ()
    after_seq: int = 0


class PreparedImport(NamedTuple):
    """A message to import: checked, with its index entry."""

    checked: CheckedImport
    entry: IndexEntry


class _Placed(NamedTuple):
    message: Message
    entry: IndexEntry


class _Used(NamedTuple):
    project_id: int
    id: str


def prepare(analyzer: Analyzer, given: Sequence[ImportedMessage]) -> list[PreparedImport]:
    """Check messages to import, and make their index entries, before the transaction.

    Raises:
        InvalidField: naming the field, by its path (`messages[3].content`).
    """
    checked = [_checked(each, f"messages[{index}]") for index, each in enumerate(given)]
    ids = {each.message.id for each in checked}
    if len(ids) < len(checked):
        raise InvalidField("messages has an id twice. Send each message once.", "messages")
    return [
        PreparedImport(
            each, make_entry(analyzer, each.message.name, each.message.role, each.message.content)
        )
        for each in checked
    ]


def uuid_to_keep(
    tx: Transaction, project_id: int, new: ImportedUser | ImportedSession
) -> str | None:
    """Return the uuid that a user or a session to import keeps; None for a new one.

    No two users, or sessions, of an instance have the same. Where another project has it, or had
    it, a copy is made here, with a uuid of its own. What is there is not revealed.

    Args:
        tx: one that sees all projects, before it is bound to one.
        project_id: the project of the import.
        new: the user or session.

    Raises:
        AlreadyExists: another one of the project has it. Gone: it was deleted.
        InvalidField: it is no uuid.
    """
    if new.uuid is None:
        return None
    uuid = check_uuid(new.uuid, "uuid")
    tx.defer("lock_uuid", uuid=uuid)
    if isinstance(new, ImportedUser):
        used = tx.fetch_all("users_with_uuid", _Used, uuid=uuid)
        return _kept_uuid(tx, "user", uuid, _Used(project_id, new.user_id), used)
    used = tx.fetch_all("sessions_with_uuid", _Used, uuid=uuid)
    return _kept_uuid(tx, "session", uuid, _Used(project_id, new.session_id), used)


def add_user(tx: Transaction, new: ImportedUser, *, as_new: bool) -> Outcome:
    """Add a user, or compare the existing one.

    Args:
        new: the user. Its uuid is from `uuid_to_keep`.
        as_new: whether to create a user whose id was deleted a short time ago.

    Raises:
        Gone: the user is being deleted, or was. InvalidField: naming the field.
    """
    new.check()
    if tx.fetch_one("get_user", User, user_id=new.user_id) is None:
        added = users.insert(tx, new, _version(tx, new))
        if added is not None:
            _check_or_remove_tombstones(tx, new.user_id, ("user",), as_new=as_new)
            return ADDED
    # Of a concurrent write, which is seen only now; or Gone.
    existing = users.lock_shared(tx, new.user_id)
    return compare(existing, _fields_of_user(new, as_new=as_new))


def add_session(
    tx: Transaction, new: ImportedSession, prepared: Sequence[PreparedImport], *, as_new: bool
) -> SessionOutcome:
    """Add a session or compare the existing one, and then its messages.

    Args:
        new: the session. Its uuid is from `uuid_to_keep`.
        prepared: the messages, from `prepare`.
        as_new: whether to create a session whose id was deleted a short time ago.

    Raises:
        NotFound: there is no such user. Gone: the user or the session is being deleted, or was.
        Conflict: a message with one of the ids is being deleted. InvalidField: naming the field.
        QuotaExceeded: the user would have too much.
    """
    new.check()
    counted = quotas.lock_owner(tx, new.session_id, new.user_id)
    session, is_new = _locked_session(tx, new, as_new=as_new)
    outcome = ADDED if is_new else compare(session, _fields_of_session(new, as_new=as_new))
    if outcome.result == "differs":
        return SessionOutcome(outcome)
    stored = {} if is_new else _stored(tx, new.session_id, prepared)
    conflicts, missing = [], []
    for each in prepared:
        message = stored.get(str(each.checked.message.id))
        if message is None:
            missing.append(each)
        elif differing := differing_fields(message, each.checked.known):
            conflicts.append(MessageConflict(message.id, differing))
    present = len(prepared) - len(missing) - len(conflicts)
    places = _Places(tx, session, prepared, stored, new.after_seq, is_new=is_new)
    placed, without_place = places.assign(tx)
    conflicts += [MessageConflict(id_, []) for id_ in without_place]
    if placed:
        _insert(tx, session, new, placed, is_new=is_new)
    if counted is not None and placed:
        has_got_owner = not counted.is_theirs and not is_new
        added_bytes = None if has_got_owner else sum(each.message.text_bytes for each in placed)
        quotas.check(tx, counted, added_messages=len(placed), added_bytes=added_bytes)
    return SessionOutcome(outcome, len(placed), present, conflicts, places.after_seq)


def _checked(given: ImportedMessage, field: str) -> CheckedImport:
    edited_at = given.edited_at
    return CheckedImport(
        given.checked(field, may_be_empty=True),
        given.seq,
        given.revision,
        None if edited_at is None else check_created_at(edited_at, f"{field}.edited_at"),
    )


def _kept_uuid(
    tx: Transaction, noun: str, uuid: str, own: _Used, used: Sequence[_Used]
) -> str | None:
    projects = tx.fetch_all("projects_of_deleted", int, uuid=uuid, subject=noun)
    if own.project_id in projects:
        raise Gone(_WAS_DELETED.format(noun=noun))
    if any(each.project_id == own.project_id and each != own for each in used):
        raise AlreadyExists(f"The uuid {uuid} is that of another {noun}.", "uuid")
    is_of_another_project = projects or any(each != own for each in used)
    return None if is_of_another_project else uuid


def _check_or_remove_tombstones(
    tx: Transaction, id_: str, kinds: Sequence[tombstones.Kind], *, as_new: bool
) -> None:
    # After the insert: before it, others could create and delete what has this id.
    for kind in kinds:
        if as_new:
            tombstones.remove(tx, kind, id_)
        elif tombstones.expiry(tx, kind, id_) is not None:
            raise Gone(_WAS_DELETED.format(noun=tombstones.NOUNS[kind]))


def _version(tx: Transaction, new: ImportedUser | ImportedSession) -> Version:
    updated_at = new.updated_at
    return Version(
        new.uuid,
        1 if new.revision is None else new.revision,
        None if updated_at is None else not_later(tx, check_past(updated_at, "updated_at", tx.now)),
    )


def not_later(tx: Transaction, moment: Instant) -> Instant:
    """Return a time; one in the future counts as now, because the clock continues from the last."""
    return min(moment, tx.now)


def _fields_of_user(new: ImportedUser, *, as_new: bool) -> dict[str, Any]:
    """Return what a file knows of a user. A later update of the same values is no difference."""
    known = {
        "uuid": UNSET if new.uuid is None else new.uuid,
        "email": new.email,
        "first_name": new.first_name,
        "last_name": new.last_name,
        "metadata": encode_metadata(new.metadata),
        "created_at": _time_of_creation(new, as_new=as_new),
        "do_not_embed": _known_flag(new),
    }
    return {name: value for name, value in known.items() if value is not UNSET}


def _fields_of_session(new: ImportedSession, *, as_new: bool) -> dict[str, Any]:
    """Return what a file knows of a session. Appends change its other times."""
    ended_at = None if new.ended_at is None else from_datetime(new.ended_at)
    known = {
        "uuid": UNSET if new.uuid is None else new.uuid,
        "user_id": new.user_id,
        "title": new.title,
        "metadata": encode_metadata(new.metadata),
        "created_at": _time_of_creation(new, as_new=as_new),
        "ended_at": ended_at if new.has_end else UNSET,
        "do_not_embed": _known_flag(new),
    }
    return {name: value for name, value in known.items() if value is not UNSET}


def _time_of_creation(new: ImportedUser | ImportedSession, *, as_new: bool) -> Any:
    """Return the time to compare: that of another one, which was created here, is no difference."""
    return UNSET if new.created_at is None or as_new else from_datetime(new.created_at)


def _known_flag(new: ImportedUser | ImportedSession) -> Any:
    """Return the flag to compare: a file has it only where it is set."""
    return 1 if new.do_not_embed is True else UNSET


def compare(existing: Any, known: dict[str, Any]) -> Outcome:
    """Compare what exists with what a file knows of it, by the names of the stored fields."""
    differing = differing_fields(existing, known)
    return Outcome("differs" if differing else "present", differing)


def differing_fields(existing: Any, known: dict[str, Any]) -> list[str]:
    """Return the names of the fields in which a stored row is not as known."""
    return [
        name
        for name, value in known.items()
        if getattr(existing, name) != value
        and not (name == "metadata" and _is_same_object(existing.metadata, value))
    ]


def _is_same_object(stored: str | None, given: str | None) -> bool:
    if stored is None or given is None:
        return False
    return is_same_json(decode_json(stored), decode_json(given))


def _locked_session(tx: Transaction, new: ImportedSession, *, as_new: bool) -> tuple[Session, bool]:
    """Return a session, locked, and whether this transaction has created it."""
    owner = None if new.user_id is None else sessions.lock_owner(tx, new.user_id)
    for _ in range(_MAX_TRIES):
        if tx.fetch_one("get_session", Session, session_id=new.session_id) is not None:
            return sessions.lock(tx, new.session_id), False
        active_at = None
        if new.active_at is not None:
            active_at = not_later(tx, check_past(new.active_at, "active_at", tx.now))
        begun = sessions.NO_MESSAGES._replace(active_at=active_at)
        added = sessions.insert(tx, new.session_id, owner, new, begun, _version(tx, new))
        if added is not None:
            kinds: Sequence[tombstones.Kind] = ("session", "session alone")
            _check_or_remove_tombstones(tx, new.session_id, kinds, as_new=as_new)
            return added, True
    raise Conflict("Too many concurrent changes of this session. Try again.")


def _stored(
    tx: Transaction, session_id: str, prepared: Sequence[PreparedImport]
) -> dict[str, Message]:
    """Return those of the messages that the session has, by their ids."""
    ids = [str(each.checked.message.id) for each in prepared]
    stored: dict[str, Message] = {}
    for first in range(0, len(ids), _IDS_AT_ONCE):
        tx.check_deadline()
        some = encode_json(ids[first : first + _IDS_AT_ONCE]).decode()
        for each in tx.fetch_all("messages_with_ids", Message, session_id=session_id, ids=some):
            if each.seq < 0:
                raise Conflict("Messages of this session are being deleted. Try again later.")
            stored[each.id] = each
    return stored


class _Places:
    """The positions of messages: those of the file, or free ones behind the message before."""

    def __init__(
        self,
        tx: Transaction,
        session: Session,
        prepared: Sequence[PreparedImport],
        stored: dict[str, Message],
        after_seq: int,
        *,
        is_new: bool,
    ) -> None:
        self.after_seq = after_seq
        self._prepared = prepared
        self._stored = stored
        self._last_seq = session.last_seq
        self._greatest = 0
        self._used: set[int] = set()
        if not is_new and len(stored) < len(prepared):
            of_session = {"session_id": session.session_id}
            self._greatest = tx.fetch_one("greatest_seq", _number, **of_session) or 0
            wanted = [seq for each in self._candidates() for seq in (each, -each)]
            numbers = encode_json(wanted).decode()
            found = tx.fetch_all("used_seqs", int, numbers=numbers, **of_session)
            self._used = {abs(seq) for seq in found}

    def assign(self, tx: Transaction) -> tuple[list[_Placed], list[str]]:
        """Return the messages that are missing, with their positions, and the ids of the others."""
        placed, without_place = [], []
        for each in self._prepared:
            checked = each.checked
            stored = self._stored.get(str(checked.message.id))
            if stored is not None:
                self.after_seq = stored.seq
                continue
            seq = self._place(checked.seq)
            if seq is None:
                without_place.append(str(checked.message.id))
                continue
            message = checked.message.to_message(seq, "", tx.now)
            message.revision = checked.revision or 1
            message.edited_at = checked.edited_at
            placed.append(_Placed(message, each.entry))
        return placed, without_place

    def _candidates(self) -> set[int]:
        candidates, before, run = set(), self.after_seq, 0
        for each in self._prepared:
            stored = self._stored.get(str(each.checked.message.id))
            seq = stored.seq if stored is not None else each.checked.seq
            if seq is not None:
                before, run = seq, 0
            else:
                run += 1
            if stored is None:
                candidates.add(before + run)
        return candidates

    def _place(self, given: int | None) -> int | None:
        if given is not None:
            seq = given
        elif self.after_seq >= self._greatest:
            seq = self._last_seq + 1
        else:
            seq = self.after_seq + 1
        if seq in self._used:
            return None
        self._used.add(seq)
        self.after_seq = seq
        self._greatest = max(self._greatest, seq)
        self._last_seq = max(self._last_seq, seq)
        return seq


def _insert(
    tx: Transaction,
    session: Session,
    new: ImportedSession,
    placed: Sequence[_Placed],
    *,
    is_new: bool,
) -> None:
    session_id = session.session_id
    search_scope = tx.fetch_one("search_scope", int, session_id=session_id) or 0
    rows = [
        messages.row(session_id, each.message, each.entry, search_scope)
        | {"revision": each.message.revision, "edited_at": each.message.edited_at}
        for each in placed
    ]
    if tx.execute_many("add_imported_message", rows) != len(rows):
        raise Conflict("The messages of this session have changed. Try again.")
    tx.search_index.add(
        session_id, search_scope, [(each.message.seq, each.entry) for each in placed]
    )
    tx.defer(
        "count_imported_messages",
        session_id=session_id,
        last_seq=max(session.last_seq, *(each.message.seq for each in placed)),
        count=len(placed),
        length=sum(each.entry.length for each in placed),
        active_at=_active_at(tx, session, new, placed),
        updated_at=session.updated_at if is_new else _updated_at(tx, session, new),
    )


def _active_at(
    tx: Transaction, session: Session, new: ImportedSession, placed: Sequence[_Placed]
) -> Instant:
    if new.active_at is not None:
        return max(session.active_at, not_later(tx, from_datetime(new.active_at)))
    latest = not_later(tx, max(each.message.created_at for each in placed))
    return latest if session.message_count == 0 else max(session.active_at, latest)


def _updated_at(tx: Transaction, session: Session, new: ImportedSession) -> Instant:
    """Return the time of the last change: a session that was imported in part keeps its own."""
    is_as_imported = (
        new.updated_at is not None and from_datetime(new.updated_at) == session.updated_at
    )
    return session.updated_at if is_as_imported else tx.now


def _number(value: int | None) -> int:
    return value or 0
