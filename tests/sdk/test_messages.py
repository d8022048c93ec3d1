"""Messages as dicts, and updates of messages."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from userkeep import AsyncUserkeep, InvalidField, NewMessage, RevisionMismatch, Userkeep

AT = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def client() -> Iterator[Userkeep]:
    """A database in memory, with an empty session s of user jane."""
    with Userkeep.open(":memory:") as opened:
        opened.session.add(session_id="s")
        yield opened


def test_a_dict_is_stored_as_a_new_message_is(client: Userkeep) -> None:
    fields: dict[str, Any] = {
        "role": "ai",
        "name": "Ada",
        "content": "Hello",
        "id": "msg_1",
        "created_at": AT,
        "metadata": {"a": [1]},
        "data": {"b": "\0"},
        "token_count": 3,
    }
    [from_dict] = client.message.add("s", fields)
    [from_new] = client.message.add("s", NewMessage(**{**fields, "id": "msg_2"}))
    assert (from_dict.role, from_dict.created_at, from_dict.data) == ("assistant", AT, {"b": "\0"})
    assert msgspec.structs.replace(from_new, id="msg_1", seq=1) == from_dict


def test_dicts_and_new_messages_can_be_mixed(client: Userkeep) -> None:
    given = MappingProxyType({"role": "user", "content": "one"})
    mixed: list[Any] = [given, NewMessage(role="assistant", content="two")]
    assert [each.content for each in client.message.add("s", mixed)] == ["one", "two"]
    assert client.message.add_bulk("s", (each for each in mixed * 600)) == 1200
    assert client.session.get("s").message_count == 1202


def test_an_async_client_takes_dicts() -> None:
    async def main() -> str:
        async with AsyncUserkeep.open(":memory:") as client:
            hello = {"role": "user", "content": "Hello"}
            await client.message.add("s", [hello], user_id="jane")
            return (await client.memory.get("s")).messages[0].content

    assert asyncio.run(main()) == "Hello"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "messages[1].role"),
        ({"content": "x"}, "messages[1].role"),
        ({"role": "captain", "content": "x"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": ""}, "messages[1].content"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": "x", "rolle": "y"}, "messages[1].rolle"),
        ({"role": "user", "content": "x", "data": {"a": {1}}}, "messages[1].data"),
        ({"role": "user", "content": "x", "data": object()}, "messages[1].data"),
        ({"role": "user", "content": "x", "metadata": {"a": object()}}, "messages[1].metadata.a"),
        ({"role": "user", "content": "x", "created_at": "now"}, "messages[1].created_at"),
        ({"role": "user", "content": "x", 5: "y"}, "messages[1]"),
        ("Hello", "messages[1]"),
        (None, "messages[1]"),
    ],
)
def test_the_error_of_a_dict_names_the_field_by_its_path(
    client: Userkeep, given: Any, field: str
) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.message.add("s", [{"role": "user", "content": "x"}, given])
    assert rejected.value.fields == (field,)
    assert client.session.get("s").message_count == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"role": "assistant", "content": None, "tool_calls": []}, "tool_calls"),
        ({"role": "user", "content": [{"type": "text", "text": "Hi"}]}, "content"),
    ],
)
def test_a_dict_of_a_models_api_is_rejected_with_the_methods_that_convert_it(
    client: Userkeep, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField, match=r"NewMessage\.from_openai.*from_anthropic") as caught:
        client.message.add("s", given)
    assert caught.value.fields == (f"messages[0].{field}",)


def test_what_is_not_a_message_is_rejected_with_its_type(client: Userkeep) -> None:
    stored: Any = client.message.add("s", {"role": "user", "content": "Hi"})[0]
    with pytest.raises(InvalidField, match="got a value of type Message"):
        client.message.add("s", stored)
    assert client.session.get("s").message_count == 1


def test_an_update_changes_the_given_fields(client: Userkeep) -> None:
    [added] = client.message.add("s", {"role": "user", "content": "x", "metadata": {"a": 1}})
    assert (added.revision, added.edited_at) == (1, None)
    data = msgspec.Raw(b'{"b":1e2}')
    updated = client.message.update(
        "s", added.id, role="bot", name="Ada", data=data, token_count=2, metadata={"c": 2}
    )
    assert (updated.role, updated.name, updated.content) == ("assistant", "Ada", "x")
    assert (updated.data, updated.token_count) == ({"b": 100.0}, 2)
    assert (updated.metadata, updated.revision) == ({"a": 1, "c": 2}, 2)
    assert updated.edited_at is not None
    cleared = client.message.update("s", added.id, name=None, data=None, token_count=None)
    assert (cleared.name, cleared.data, cleared.token_count) == (None, None, None)
    assert client.message.update("s", added.id) == cleared == client.message.get("s", added.id)


def test_an_update_of_another_revision_is_rejected(client: Userkeep) -> None:
    [added] = client.message.add("s", {"role": "user", "content": "x"})
    client.message.update("s", added.id, content="y", if_revision=1)
    with pytest.raises(RevisionMismatch):
        client.message.update("s", added.id, content="z", if_revision=1)
    assert client.message.get("s", added.id).content == "y"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"data": {"a": object()}}, "data"),
        ({"content": ""}, "content"),
        ({"content": None}, "content"),
        ({"role": "captain"}, "role"),
        ({"token_count": -1}, "token_count"),
        ({"name": "x" * 513}, "name"),
    ],
)
def test_the_error_of_an_update_names_the_field(
    client: Userkeep, change: dict[str, Any], field: str
) -> None:
    [added] = client.message.add("s", {"role": "user", "content": "x"})
    with pytest.raises(InvalidField) as rejected:
        client.message.update("s", added.id, **change)
    assert rejected.value.fields == (field,)
    assert client.message.get("s", added.id) == added


def test_lists_take_every_condition(client: Userkeep) -> None:
    roles = ["user", "assistant"] * 4
    client.message.add("s", [{"role": each, "content": "x", "created_at": AT} for each in roles])
    conditions: dict[str, Any] = {
        "after_seq": 1,
        "before_seq": 8,
        "created_after": datetime(2019, 1, 1, tzinfo=UTC),
        "created_before": datetime(2021, 1, 1, tzinfo=UTC),
        "role": "user",
        "order": "-created",
    }
    assert [each.seq for each in client.message.list("s", **conditions)] == [7, 5, 3]
    page = client.message.list("s", 2, **conditions)
    rest = client.message.list("s", 2, page.next, **conditions)
    assert [[each.seq for each in page], [each.seq for each in rest]] == [[7, 5], [3]]
