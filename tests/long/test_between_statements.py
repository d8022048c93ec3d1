"""Changes by another server between two statements of an operation do no harm.

On PostgreSQL each statement sees what was committed before it, so the second statement can see
another state than the first. These tests create that state: right after one query, the other server
performs its operation.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import fresh_settings
from tests.deleting import advanced
from tests.long.inspection import deadlocks, gaps, orphans
from tests.prepared import prepared
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Gone
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser, UserFields
from userkeep.instance import Instance, open_instance
from userkeep.services import erasures, messages, sessions, users


class Interrupted:
    """A transaction that calls a function once, right after one query."""

    def __init__(self, tx: Transaction, query: str, between: Callable[[], object]) -> None:
        self._tx = tx
        self._query = query
        self._between = [between]

    def fetch_one(self, query: str, kind: Any, /, **values: Any) -> Any:
        found = self._tx.fetch_one(query, kind, **values)
        if query == self._query and self._between:
            self._between.pop()()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


class Servers:
    """Two servers on one database: `first` is interrupted, `second` changes data in between."""

    def __init__(self, first: Instance, second: Instance) -> None:
        self._first = first
        self._second = second

    def first(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Perform an operation on the first server."""
        return self._first.engine.write(scoped(self._first.scope, operation, **arguments))

    def interrupted(
        self,
        after: str,
        between: Callable[[], object],
        operation: Callable[..., Any],
        **arguments: Any,
    ) -> Any:
        """Perform an operation on the first server; call `between` after one of its queries."""

        def run(tx: Transaction) -> Any:
            bound = tx.in_scope(self._first.scope)
            return operation(Interrupted(bound, after, between), **arguments)

        return self._first.engine.write(run)

    def second(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Perform an operation on the second server."""
        return self._second.engine.write(scoped(self._second.scope, operation, **arguments))

    def finish(self, erasure: Erasure) -> Erasure:
        """Complete an erasure on the second server."""
        while not erasure.is_finished:
            erasure = advanced(self._second.engine, self._second.scope, erasure)
        return erasure


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Two servers on a fresh database, which is consistent at the end."""
    settings = fresh_settings("postgres", tmp_path)
    first, second = open_instance(settings), open_instance(settings)
    yield Servers(first, second)
    first.close()
    second.close()
    assert orphans(settings.database_url) == {}
    assert gaps(settings.database_url) == []
    assert deadlocks(settings.database_url) == 0


APPEND: dict[str, Any] = {
    "session_id": "chat",
    "new": prepared("one", "two"),
    "may_create": True,
}


def create_and_delete_jane(servers: Servers) -> None:
    """Create a user, append to the session and delete the user."""
    servers.second(users.add, new=NewUser(user_id="jane"))
    servers.second(messages.append, user_id="jane", **APPEND)
    servers.finish(servers.second(erasures.begin_user, user_id="jane"))


def delete_session(servers: Servers) -> None:
    """Delete the session only."""
    servers.finish(servers.second(erasures.begin_session, session_id="chat"))


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
@pytest.mark.parametrize("user_id", ["jane", None])
def test_a_session_created_concurrently_is_appended_to(
    servers: Servers, query: str, user_id: str | None
) -> None:
    if user_id:
        servers.first(users.add, new=NewUser(user_id=user_id))
    create = partial(servers.second, messages.append, **APPEND)
    append = partial(servers.interrupted, query, create, messages.append)
    appended = append(user_id=user_id, **APPEND)
    assert [message.seq for message in appended] == [3, 4]
    assert servers.first(sessions.get, session_id="chat").user_id == user_id


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
def test_a_session_deleted_concurrently_is_not_created_again(servers: Servers, query: str) -> None:
    servers.first(users.add, new=NewUser(user_id="jane"))
    servers.first(sessions.add, new=NewSession(session_id="chat", user_id="jane"))
    append = partial(servers.interrupted, query, partial(delete_session, servers), messages.append)
    if query == "reserve_seqs":
        servers.first(erasures.begin_session, session_id="chat")
    with pytest.raises(Gone):
        append(user_id="jane", **APPEND)


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
def test_a_late_append_recreates_no_session_deleted_concurrently_with_its_user(
    servers: Servers, query: str
) -> None:
    between = partial(create_and_delete_jane, servers)
    with pytest.raises(Gone):
        servers.interrupted(query, between, messages.append, **APPEND)


def test_a_late_append_recreates_no_user_deleted_concurrently(servers: Servers) -> None:
    between = partial(create_and_delete_jane, servers)
    new = APPEND | {"session_id": "another"}
    with pytest.raises(Gone):
        servers.interrupted("lock_user_shared", between, messages.append, user_id="jane", **new)


def test_creating_a_user_during_its_deletion_fails(servers: Servers) -> None:
    servers.first(users.add, new=NewUser(user_id="jane"))
    erasure = servers.first(erasures.begin_user, user_id="jane")
    finishing = partial(servers.finish, erasure)
    with pytest.raises(Gone):
        servers.interrupted("add_user", finishing, users.add, new=NewUser(user_id="jane"))
    servers.first(users.add, new=NewUser(user_id="jane"))


def test_putting_a_user_created_and_deleted_concurrently_fails(servers: Servers) -> None:
    def add_jane() -> None:
        servers.second(users.add, new=NewUser(user_id="jane"))

    def delete_jane() -> None:
        servers.finish(servers.second(erasures.begin_user, user_id="jane"))

    def put(tx: Transaction, **arguments: Any) -> Any:
        return users.put(Interrupted(tx, "add_user", delete_jane), **arguments)

    with pytest.raises(Gone):
        servers.interrupted("lock_user", add_jane, put, user_id="jane", fields=UserFields())


def test_creating_a_session_during_its_deletion_fails(
    servers: Servers,
) -> None:
    new = NewSession(session_id="chat")
    servers.first(sessions.add, new=new)
    finishing = partial(servers.finish, servers.first(erasures.begin_session, session_id="chat"))
    with pytest.raises(Gone):
        servers.interrupted("add_session", finishing, sessions.add, new=new)
    servers.first(sessions.add, new=new)


def test_deleting_a_user_keeps_a_session_whose_id_is_reused_concurrently(
    servers: Servers,
) -> None:
    for user_id in ("jane", "john"):
        servers.first(users.add, new=NewUser(user_id=user_id))
    servers.first(sessions.add, new=NewSession(session_id="chat", user_id="jane"))
    of_session = servers.first(erasures.begin_session, session_id="chat")
    of_jane = servers.first(erasures.begin_user, user_id="jane")

    def reuse_session_id() -> None:
        servers.finish(of_session)
        servers.second(sessions.add, new=NewSession(session_id="chat", user_id="john"))
        servers.second(messages.append, user_id="john", **APPEND)

    query = "next_deleting_session_of_user"
    deleted = servers.interrupted(query, reuse_session_id, erasures.advance, uuid=of_jane.uuid)
    assert (deleted.is_finished, deleted.message_count) == (True, 0)
    found, _ = servers.first(messages.select, session_id="chat")
    assert [message.content for message in found] == ["one", "two"]
