"""Messages of model providers through the SDK: they are stored, found, changed and returned."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.conversions.legal import anthropic_messages, openai_messages, response_items
from tests.domain.conversions.test_formats import ANTHROPIC, OPENAI, RESPONSES
from userkeep import AsyncUserkeep, InvalidField, Messages, NewMessage, Page, Userkeep


@pytest.fixture(scope="module")
def client() -> Iterator[Userkeep]:
    with Userkeep.open(":memory:") as opened:
        yield opened


def added(client: Userkeep, session_id: str, *messages: NewMessage) -> Messages:
    return client.message.add(session_id, messages, user_id="jane")


def test_a_prompt_comes_back_from_all_that_has_messages(client: Userkeep) -> None:
    messages = [NewMessage.from_openai(each) for each in OPENAI]
    assert added(client, "openai", *messages).to_openai() == OPENAI
    assert client.memory.get("openai").to_openai() == OPENAI
    assert client.message.list("openai").to_openai() == OPENAI
    assert Messages(client.message.list("openai")).to_openai() == OPENAI
    page = client.message.list("openai", 2)
    rest = client.message.list("openai", cursor=page.next)
    assert page.to_openai() + rest.to_openai() == OPENAI


def test_a_session_of_many_pages_is_one_prompt(client: Userkeep) -> None:
    spoken = [{"role": "user", "content": str(number)} for number in range(250)]
    client.message.add("long", spoken, user_id="jane")
    assert client.message.list("long").to_openai() == spoken
    assert client.message.list("long", 2).to_openai() == spoken[:2]


def test_a_prompt_is_oldest_first_also_of_a_list_that_is_not(client: Userkeep) -> None:
    added(client, "order", *(NewMessage.from_openai(each) for each in OPENAI))
    newest = client.message.list("order", order="-created", limit=4)
    assert isinstance(newest, Page)
    assert newest.next is not None
    assert newest.to_openai() == OPENAI[-4:]


def test_items_and_messages_of_other_formats_come_back(client: Userkeep) -> None:
    items = [NewMessage.from_openai_responses(each) for each in RESPONSES]
    assert added(client, "responses", *items).to_openai_responses() == RESPONSES
    messages = [NewMessage.from_anthropic(each) for each in ANTHROPIC]
    assert added(client, "anthropic", *messages).to_anthropic() == {"messages": ANTHROPIC}


def test_async_clients_have_the_same_methods() -> None:
    async def main() -> None:
        async with AsyncUserkeep.open(":memory:") as client:
            messages = [NewMessage.from_openai(each) for each in OPENAI]
            appended = await client.message.add("s", messages, user_id="jane")
            assert appended.to_openai() == OPENAI
            assert (await client.memory.get("s")).to_openai() == OPENAI
            assert (await client.message.list("s")).to_openai() == OPENAI

    anyio.run(main)


def test_a_text_in_parts_is_found(client: Userkeep) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "A zeppelin over Rome"}]}
    added(client, "found", NewMessage.from_openai(message))
    hits = client.search("zeppelin", session_id="found")
    assert [each.message.data for each in hits] == [message]


def test_other_fields_can_be_given(client: Userkeep) -> None:
    text = {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "jane"}
    message = NewMessage.from_openai(
        text, id="msg_1", token_count=3, metadata={"a": 1}, name="Jane"
    )
    (stored,) = added(client, "fields", message)
    assert (stored.id, stored.token_count, stored.name) == ("msg_1", 3, "Jane")
    assert stored.metadata == {"a": 1, "data_format": "openai"}
    assert stored.data == text
    assert client.memory.get("fields").to_openai() == [text]


def test_an_original_that_was_stored_as_data_alone_comes_back(client: Userkeep) -> None:
    raw = {"role": "user", "content": None, "data": OPENAI[1]}
    appended = client.message.add("raw", raw, user_id="jane")
    assert appended.to_openai() == [OPENAI[1]]


def test_a_changed_message_is_in_the_prompt(client: Userkeep) -> None:
    (stored,) = added(client, "changed", NewMessage.from_openai(OPENAI[1]))
    client.message.update("changed", stored.id, content="What is this?")
    text = {"type": "text", "text": "What is this?"}
    changed = {"role": "user", "content": [text, OPENAI[1]["content"][1]]}
    assert client.memory.get("changed").to_openai() == [changed]


def test_data_is_stored_in_the_order_of_its_keys(client: Userkeep) -> None:
    message = {"tool_call_id": "a", "role": "tool", "content": "é"}
    (stored,) = added(client, "bytes", NewMessage.from_openai(message))
    assert json.dumps(stored.data) == json.dumps(message)


def test_an_error_names_the_number_of_the_message(client: Userkeep) -> None:
    reasoning = NewMessage.from_openai_responses({"type": "reasoning", "id": "r", "summary": []})
    messages = added(client, "error", NewMessage(role="user", content="Hi"), reasoning)
    with pytest.raises(InvalidField, match="message 2 has a part that Anthropic's messages cannot"):
        messages.to_anthropic()
    assert messages.to_anthropic(unsupported="omit")["messages"] == [
        {"role": "user", "content": "Hi"}
    ]


def test_an_image_that_is_too_large_is_not_sent() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 1_100_000}
    message = {"role": "user", "content": [{"type": "image", "source": source}]}
    with pytest.raises(InvalidField, match="Store large images and files elsewhere"):
        NewMessage.from_anthropic(message)


def test_data_that_is_too_large_is_an_error_that_says_what_to_do(client: Userkeep) -> None:
    with pytest.raises(InvalidField, match="Store large images and files elsewhere") as error:
        added(client, "large", NewMessage(role="user", data="x" * 1_100_000))
    assert error.value.fields == ("messages[0].data",)


@given(
    openai=st.lists(openai_messages, max_size=2),
    items=st.lists(response_items, max_size=2),
    anthropic=st.lists(anthropic_messages, max_size=2),
)
def test_every_message_comes_back_from_the_database(
    client: Userkeep, openai: list[Any], items: list[Any], anthropic: list[Any]
) -> None:
    hello = {"role": "user", "content": "Hello"}

    def stored(*messages: NewMessage) -> Messages:
        session_id = client.session.add().session_id
        return added(client, session_id, *messages)

    client.user.put(user_id="jane")
    assert stored(*map(NewMessage.from_openai, [hello, *openai])).to_openai() == [hello, *openai]
    got = stored(*map(NewMessage.from_openai_responses, [hello, *items])).to_openai_responses()
    assert got == [hello, *items]
    expected = {"messages": [hello, *anthropic]}
    assert stored(*map(NewMessage.from_anthropic, [hello, *anthropic])).to_anthropic() == expected
