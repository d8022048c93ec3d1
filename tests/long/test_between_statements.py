"""What another server does between two statements of an operation does not lead it astray.

On PostgreSQL each statement sees what was committed before it, so the second may find another world
than the first. Here that world is made: right after one query, the other server has its turn.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import fresh_settings
from tests.deleting import advanced
from tests.long.looking import deadlocks, gaps, orphans
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Gone
from userkeep.domain.message import NewMessage
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser, UserFields
from userkeep.instance import Instance, open_instance
from userkeep.services import erasures, messages, sessions, users


class Interrupted:
    """A transaction in which something else happens, once, right after one query."""

    def __init__(self, tx: Transaction, query: str, meanwhile: Callable[[], object]) -> None:
        self._tx = tx
        self._query = query
        self._meanwhile = [meanwhile]

    def fetch_one(self, query: str, kind: Any, /, **values: Any) -> Any:
        found = self._tx.fetch_one(query, kind, **values)
        if query == self._query and self._meanwhile:
            self._meanwhile.pop()()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


class Servers:
    """Two on one database: `here` runs what is interrupted, `there` what happens meanwhile."""

    def __init__(self, here: Instance, there: Instance) -> None:
        self._here = here
        self._there = there

    def here(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """What an operation gives."""
        return self._here.engine.write(scoped(self._here.scope, operation, **arguments))

    def interrupted(
        self,
        after: str,
        meanwhile: Callable[[], object],
        operation: Callable[..., Any],
        **arguments: Any,
    ) -> Any:
        """What an operation gives during which something else happens."""
        perform = scoped(self._here.scope, operation, **arguments)

        def run(tx: Transaction) -> Any:
            return perform(Interrupted(tx, after, meanwhile))

        return self._here.engine.write(run)

    def there(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """What an operation of the other server gives."""
        return self._there.engine.write(scoped(self._there.scope, operation, **arguments))

    def finish(self, erasure: Erasure) -> Erasure:
        """Carry out an erasure on the other server."""
        while not erasure.is_finished:
            erasure = advanced(self._there.engine, self._there.scope, erasure)
        return erasure


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Two servers on a fresh database, in which nothing is left astray at the end."""
    settings = fresh_settings("postgres", tmp_path)
    here, there = open_instance(settings), open_instance(settings)
    yield Servers(here, there)
    here.close()
    there.close()
    assert orphans(settings.database_url) == {}
    assert gaps(settings.database_url) == []
    assert deadlocks(settings.database_url) == 0


APPEND: dict[str, Any] = {
    "session_id": "chat",
    "new": [NewMessage(content="fetch_one"), NewMessage(content="two")],
    "may_open_session": True,
}


def live_and_be_deleted(servers: Servers) -> None:
    """Jane comes, talks in the session, and is deleted."""
    servers.there(users.add, new=NewUser(user_id="jane"))
    servers.there(messages.append, user_id="jane", **APPEND)
    servers.finish(servers.there(erasures.begin_user, user_id="jane"))


def clear(servers: Servers) -> None:
    """The session alone is deleted."""
    servers.finish(servers.there(erasures.begin_session, session_id="chat"))


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
@pytest.mark.parametrize("user_id", ["jane", None])
def test_a_session_that_another_opens_meanwhile_is_appended_to(
    servers: Servers, query: str, user_id: str | None
) -> None:
    if user_id:
        servers.here(users.add, new=NewUser(user_id=user_id))
    opening = partial(servers.there, messages.append, **APPEND)
    append = partial(servers.interrupted, query, opening, messages.append)
    appended = append(user_id=user_id, **APPEND)
    assert [message.seq for message in appended] == [3, 4]
    assert servers.here(sessions.get, session_id="chat").user_id == user_id


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
def test_a_session_that_is_cleared_meanwhile_is_opened_again_with_its_owner(
    servers: Servers, query: str
) -> None:
    servers.here(users.add, new=NewUser(user_id="jane"))
    servers.here(sessions.add, new=NewSession(session_id="chat", user_id="jane"))
    append = partial(servers.interrupted, query, partial(clear, servers), messages.append)
    if query == "reserve_seqs":
        servers.here(erasures.begin_session, session_id="chat")
    append(user_id="jane", **APPEND)
    assert servers.here(sessions.get, session_id="chat").user_id == "jane"


@pytest.mark.parametrize("query", ["reserve_seqs", "get_session"])
def test_a_late_append_opens_no_session_that_was_opened_and_deleted_with_its_user_meanwhile(
    servers: Servers, query: str
) -> None:
    whole_life = partial(live_and_be_deleted, servers)
    with pytest.raises(Gone):
        servers.interrupted(query, whole_life, messages.append, **APPEND)


def test_a_late_append_adds_no_user_who_was_added_and_deleted_meanwhile(servers: Servers) -> None:
    whole_life = partial(live_and_be_deleted, servers)
    new = APPEND | {"session_id": "another"}
    with pytest.raises(Gone):
        servers.interrupted("lock_user_shared", whole_life, messages.append, user_id="jane", **new)


def test_who_is_deleted_while_their_id_is_asked_for_again_does_not_exist(servers: Servers) -> None:
    servers.here(users.add, new=NewUser(user_id="jane"))
    erasure = servers.here(erasures.begin_user, user_id="jane")
    finishing = partial(servers.finish, erasure)
    with pytest.raises(Gone):
        servers.interrupted("add_user", finishing, users.add, new=NewUser(user_id="jane"))
    servers.here(users.add, new=NewUser(user_id="jane"))


def test_who_is_added_and_deleted_while_they_are_put_is_gone(servers: Servers) -> None:
    def be_added() -> None:
        servers.there(users.add, new=NewUser(user_id="jane"))

    def be_deleted() -> None:
        servers.finish(servers.there(erasures.begin_user, user_id="jane"))

    def put(tx: Transaction, **arguments: Any) -> Any:
        return users.put(Interrupted(tx, "add_user", be_deleted), **arguments)

    with pytest.raises(Gone):
        servers.interrupted("lock_user", be_added, put, user_id="jane", fields=UserFields())


def test_a_session_that_is_deleted_while_its_id_is_asked_for_again_does_not_exist(
    servers: Servers,
) -> None:
    new = NewSession(session_id="chat")
    servers.here(sessions.add, new=new)
    finishing = partial(servers.finish, servers.here(erasures.begin_session, session_id="chat"))
    with pytest.raises(Gone):
        servers.interrupted("add_session", finishing, sessions.add, new=new)
    servers.here(sessions.add, new=new)


def test_the_erasure_of_a_user_spares_who_takes_over_the_id_of_a_session_meanwhile(
    servers: Servers,
) -> None:
    for user_id in ("jane", "john"):
        servers.here(users.add, new=NewUser(user_id=user_id))
    servers.here(sessions.add, new=NewSession(session_id="chat", user_id="jane"))
    of_session = servers.here(erasures.begin_session, session_id="chat")
    of_jane = servers.here(erasures.begin_user, user_id="jane")

    def take_over() -> None:
        servers.finish(of_session)
        servers.there(messages.append, user_id="john", **APPEND)

    query = "next_deleting_session_of_user"
    deleted = servers.interrupted(query, take_over, erasures.advance, uuid=of_jane.uuid)
    assert (deleted.is_finished, deleted.message_count) == (True, 0)
    found = servers.here(messages.select, session_id="chat")
    assert [message.content for message in found] == ["fetch_one", "two"]
