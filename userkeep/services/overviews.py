"""What people want to see at a glance: counts, activity by day, and who was active last."""

from collections import Counter
from itertools import chain
from typing import NamedTuple

from userkeep.domain.transaction import Transaction
from userkeep.domain.user import State, User
from userkeep.domain.values.paging import Position
from userkeep.domain.values.times import DAY, Instant

COUNTED = 100_000
"""Up to how many rows are counted, which takes some milliseconds."""

CHART_DAYS = 30
CALENDAR_DAYS = 53 * 7
_SESSIONS_OF_CALENDAR = 2_000
_SESSIONS_AT_ONCE = 200
_MOST_ROUNDS = 50


class Day(NamedTuple):
    """What happened on a day, counted from 1970-01-01 (UTC)."""

    number: int
    total: int


class Totals(NamedTuple):
    """How much a user has; documents are counted up to COUNTED."""

    session_count: int
    message_count: int
    document_count: int


class DocumentsOfUser(NamedTuple):
    """How many documents a user has in a collection."""

    collection: str
    total: int


class _Numbered(NamedTuple):
    collection: int
    total: int


class _Sums(NamedTuple):
    session_count: int
    message_count: int


class Counts(NamedTuple):
    """How many users and sessions a project has, up to COUNTED and one more."""

    users: int
    sessions: int


class ActiveUser(NamedTuple):
    """A user with the position of their newest session in the order of activity."""

    user: User
    position: Position


class ActiveUsers(NamedTuple):
    """A page of users by activity, and the position after which the next one begins, if any."""

    users: list[ActiveUser]
    next_after: Position | None


class _ActiveSession(NamedTuple):
    number: int
    user_id: str
    active_at: Instant


def counts(tx: Transaction) -> Counts:
    """Return how many users and sessions the project has."""
    limit = COUNTED + 1
    return Counts(
        tx.fetch_one("count_some_users", int, limit=limit) or 0,
        tx.fetch_one("count_some_sessions", int, limit=limit) or 0,
    )


def active_sessions(tx: Transaction) -> list[Day]:
    """Return how many sessions had their newest message on each of the last days, oldest first.

    Days without any are left out; so are the oldest ones, if there are too many to count.
    """
    since_at = _midnight(tx, CHART_DAYS)
    days = sorted(tx.fetch_all("sessions_by_day", Day, since_at=since_at, limit=COUNTED))
    is_cut = sum(day.total for day in days) >= COUNTED
    return days[1:] if is_cut else days


def activity_of_user(tx: Transaction, user_id: str) -> list[Day]:
    """Return how many messages a user's sessions got on each day of the last year, oldest first.

    Those of the 2,000 sessions that were active last are counted.
    """
    by_session = tx.fetch_all(
        "messages_of_user_by_day",
        _days,
        user_id=user_id,
        session_limit=_SESSIONS_OF_CALENDAR,
        since_at=_midnight(tx, CALENDAR_DAYS),
    )
    totals: Counter[int] = Counter()
    for day in chain.from_iterable(by_session):
        totals[day.number] += day.total
    return [Day(number, totals[number]) for number in sorted(totals)]


def _days(pairs: str | None) -> list[Day]:
    """Return the days of a session, from `20785 3,20786 1`."""
    return [Day(*map(int, pair.split())) for pair in (pairs or "").split(",") if pair]


def totals_of_user(tx: Transaction, user_id: str) -> Totals:
    """Return how many sessions, messages and documents a user has."""
    sums = tx.fetch_one("totals_of_user", _Sums, user_id=user_id) or _Sums(0, 0)
    values = {"user_id": user_id, "limit": COUNTED}
    documents = tx.fetch_one("count_some_documents_of_user", int, **values) or 0
    return Totals(sums.session_count, sums.message_count, documents)


def documents_of_user(tx: Transaction, user_id: str) -> list[DocumentsOfUser]:
    """Return how many documents a user has in each collection; up to COUNTED are counted."""
    values = {"user_id": user_id, "limit": COUNTED}
    found = tx.fetch_all("documents_of_user_by_collection", _Numbered, **values)
    named = [
        (tx.fetch_one("name_of_collection_number", str, collection=each.collection), each.total)
        for each in found
    ]
    # A collection that is being deleted has no name any more.
    return [DocumentsOfUser(name, total) for name, total in named if name is not None]


def users_by_activity(tx: Transaction, limit: int, after: Position | None = None) -> ActiveUsers:
    """Return the users with the newest sessions, by their newest session; not those without any.

    Args:
        limit: how many at most. A page can have fewer, or none, before the last one: if a few users
            have thousands of the newest sessions.
        after: where the page before has ended.
    """
    found: list[ActiveUser] = []
    newest: dict[str, int | None] = {}
    for _ in range(_MOST_ROUNDS):
        sessions = _active_sessions(tx, after)
        for session in sessions:
            after = Position(session.number, session.active_at)
            user_id = session.user_id
            if user_id not in newest:
                newest[user_id] = tx.fetch_one("newest_session_of_user", int, user_id=user_id)
            if newest[user_id] != session.number:
                continue
            user = tx.fetch_one("get_user", User, user_id=user_id)
            if user is not None and user.state == State.ACTIVE:
                found.append(ActiveUser(user, after))
            if len(found) == limit:
                return ActiveUsers(found, after)
        if len(sessions) < _SESSIONS_AT_ONCE:
            return ActiveUsers(found, None)
    return ActiveUsers(found, after)


def _active_sessions(tx: Transaction, after: Position | None) -> list[_ActiveSession]:
    return tx.fetch_all(
        "active_sessions_of_users",
        _ActiveSession,
        before=None if after is None else after.number,
        position_at=None if after is None else after.at,
        limit=_SESSIONS_AT_ONCE,
    )


def _midnight(tx: Transaction, days: int) -> Instant:
    """Return when the first of the last days began, which end today."""
    return Instant((tx.now // DAY - days + 1) * DAY)
