"""Messages: paged, read one by one, annotated."""

from uuid import uuid4

import pytest
from zep_python import APIError, Memory, Message, NotFoundError


@pytest.fixture
def talk(zep, mark):
    """A session of five messages."""
    messages = [
        Message(role="user", content=str(n), token_count=n, metadata={"n": n}) for n in range(5)
    ]
    zep.memory.add_memory(mark, Memory(messages=messages))
    return mark


def test_messages_are_listed_oldest_first(zep, talk):
    messages = zep.message.get_session_messages(talk)
    assert [message.content for message in messages] == list("01234")
    assert messages == zep.memory.get_memory(talk).messages


def test_the_cursor_is_a_page_from_one(zep, talk):
    def page(number):
        messages = zep.message.get_session_messages(talk, limit=2, cursor=number)
        return "".join(message.content for message in messages)

    assert [page(1), page(2), page(3), page(4)] == ["01", "23", "4", ""]


def test_without_a_limit_all_messages_are_listed(zep, mark):
    everything = [Message(role="user", content=str(n)) for n in range(1_200)]
    zep.memory.add_memory(mark, Memory(messages=everything))
    messages = zep.message.get_session_messages(mark, limit=None)
    assert [message.content for message in messages] == [m.content for m in everything]


def test_an_unknown_session_has_no_messages(zep, mark):
    assert zep.message.get_session_messages(mark) == []


def test_a_message_is_read_as_it_is_listed(zep, talk):
    for message in zep.message.get_session_messages(talk):
        assert zep.message.get_session_message(talk, message.uuid) == message


def test_an_unknown_message_is_not_found(zep, talk, mark):
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(talk, str(uuid4()))
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(f"{mark}-unknown", str(uuid4()))
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(talk, str(uuid4()), {"metadata": {"a": 1}})
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(talk, str(uuid4()), {})


def test_a_message_is_found_only_in_its_session(zep, talk, mark):
    zep.memory.add_memory(f"{mark}-other", Memory(messages=[Message(role="user", content="Hi")]))
    [elsewhere] = zep.message.get_session_messages(f"{mark}-other")
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(talk, elsewhere.uuid)


def test_a_broken_message_id_is_refused(zep, talk):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.message.get_session_message(talk, "not-a-uuid")
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.message.update_message_metadata(talk, "not-a-uuid", {"metadata": {"a": 1}})


def test_annotating_a_message_changes_nothing_else(zep, talk):
    before = zep.message.get_session_messages(talk)
    annotated = zep.message.update_message_metadata(
        talk, before[3].uuid, {"metadata": {"mood": "calm"}}
    )
    assert annotated == before[3].copy(update={"metadata": {"n": 3, "mood": "calm"}})
    assert annotated.token_count == 3
    before[3] = annotated
    assert zep.message.get_session_messages(talk) == before


def test_an_annotation_without_its_wrapping_changes_nothing(zep, talk):
    before = zep.message.get_session_messages(talk)
    assert zep.message.update_message_metadata(talk, before[3].uuid, {"mood": "calm"}) == before[3]
    assert zep.message.get_session_messages(talk) == before


def test_a_message_as_read_can_be_sent_back_as_an_update(zep, talk):
    message = zep.message.get_session_messages(talk)[3]
    echo = message.dict() | {"role": "ai", "content": "changed", "metadata": {"mood": "calm"}}
    updated = zep.message.update_message_metadata(talk, message.uuid, echo)
    assert updated == message.copy(update={"metadata": {"n": 3, "mood": "calm"}})
