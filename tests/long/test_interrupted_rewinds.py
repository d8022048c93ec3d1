"""A process ends between hiding messages and deleting them: nothing of them is seen, and all go."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import fresh_settings
from userkeep import NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.domain.transaction import scoped
from userkeep.instance import Instance
from userkeep.services import erasures


@pytest.fixture(params=["sqlite file", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return fresh_settings(request.param, tmp_path)


def _open(settings: Settings) -> Userkeep:
    return Userkeep.open(settings.database_url, secret_file=settings.secret_file)


@pytest.fixture
def client(settings: Settings) -> Iterator[Userkeep]:
    """A database with a session of ten messages, of which all but two are hidden."""
    with closing(_open(settings)) as client:
        texts = [f"number {number}" for number in range(10)]
        new = [NewMessage(role="user", content=text) for text in texts]
        client.message.add("chat", new, user_id="jane")
        opened: Instance = client._transport.opened  # type: ignore[attr-defined]
        begin = scoped(opened.scope, erasures.begin_messages, "chat", after_seq=2)
        opened.engine.write(begin)
        yield client


def _contents(client: Userkeep) -> list[str]:
    return [message.content for message in client.message.list("chat")]


def test_hidden_messages_are_in_no_answer(client: Userkeep) -> None:
    assert _contents(client) == ["number 0", "number 1"]
    assert len(client.memory.get("chat").messages) == 2
    assert client.session.get("chat").message_count == 2
    for scope in ({}, {"user_id": "jane"}, {"session_id": "chat"}):
        assert len(client.search("number", limit=100, **scope)) == 2  # type: ignore[arg-type]
        assert len(client.search(limit=100, **scope)) == 2  # type: ignore[arg-type]


def test_a_new_process_completes_the_deletion(client: Userkeep, settings: Settings) -> None:
    [running] = client.erasure.list()
    assert (running.state, running.counts.messages) == ("deleting", 8)
    client.close()
    with closing(_open(settings)) as again:
        assert again.erasure.get(running.id).state == "deleted"
        assert again.erasure.get(running.id).counts.messages == 8
        assert _contents(again) == ["number 0", "number 1"]
        again.erasure.purge(running.id)
        assert not again.erasure.verify(running.id, search_terms=["number 9"]).found


def test_deleting_the_session_deletes_hidden_messages_too(client: Userkeep) -> None:
    erasure = client.session.delete("chat", purge="now")
    assert (erasure.state, erasure.counts.messages) == ("purged", 2)
    assert not client.erasure.verify(erasure.id, search_terms=["number 9"]).found


def test_deleting_the_user_deletes_hidden_messages_too(client: Userkeep) -> None:
    erasure = client.user.delete("jane", purge="now")
    assert (erasure.state, erasure.counts.messages) == ("purged", 2)
    assert not client.erasure.verify(erasure.id, search_terms=["number 9"]).found
