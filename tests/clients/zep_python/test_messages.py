"""Messages: paginated, read one by one, updated."""

from uuid import uuid4

import pytest
from zep_python import APIError, Memory, Message, NotFoundError


@pytest.fixture
def session_id(zep, mark):
    """The id of a session with five messages."""
    messages = [
        Message(role="user", content=str(n), token_count=n, metadata={"n": n}) for n in range(5)
    ]
    zep.memory.add_memory(mark, Memory(messages=messages))
    return mark


def test_messages_are_listed_oldest_first(zep, session_id):
    messages = zep.message.get_session_messages(session_id)
    assert [message.content for message in messages] == list("01234")
    assert messages == zep.memory.get_memory(session_id).messages


def test_the_cursor_is_a_page_number_from_one(zep, session_id):
    def page(number):
        messages = zep.message.get_session_messages(session_id, limit=2, cursor=number)
        return "".join(message.content for message in messages)

    assert [page(1), page(2), page(3), page(4)] == ["01", "23", "4", ""]


def test_without_a_limit_all_messages_are_listed(zep, mark):
    sent = [Message(role="user", content=str(n)) for n in range(1_200)]
    zep.memory.add_memory(mark, Memory(messages=sent))
    messages = zep.message.get_session_messages(mark, limit=None)
    assert [message.content for message in messages] == [m.content for m in sent]


def test_an_unknown_session_has_no_messages(zep, mark):
    assert zep.message.get_session_messages(mark) == []


def test_a_message_is_returned_as_listed(zep, session_id):
    for message in zep.message.get_session_messages(session_id):
        assert zep.message.get_session_message(session_id, message.uuid) == message


def test_an_unknown_message_is_not_found(zep, session_id, mark):
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(session_id, str(uuid4()))
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(f"{mark}-unknown", str(uuid4()))
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(session_id, str(uuid4()), {"metadata": {"a": 1}})
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(session_id, str(uuid4()), {})


def test_a_message_is_found_only_in_its_session(zep, session_id, mark):
    zep.memory.add_memory(f"{mark}-other", Memory(messages=[Message(role="user", content="Hi")]))
    [other] = zep.message.get_session_messages(f"{mark}-other")
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(session_id, other.uuid)


def test_an_invalid_message_id_is_rejected(zep, session_id):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.message.get_session_message(session_id, "not-a-uuid")
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.message.update_message_metadata(session_id, "not-a-uuid", {"metadata": {"a": 1}})


def test_updating_metadata_changes_nothing_else(zep, session_id):
    before = zep.message.get_session_messages(session_id)
    updated = zep.message.update_message_metadata(
        session_id, before[3].uuid, {"metadata": {"mood": "calm"}}
    )
    assert updated == before[3].copy(update={"metadata": {"n": 3, "mood": "calm"}})
    assert updated.token_count == 3
    before[3] = updated
    assert zep.message.get_session_messages(session_id) == before


def test_metadata_without_its_wrapper_changes_nothing(zep, session_id):
    before = zep.message.get_session_messages(session_id)
    assert (
        zep.message.update_message_metadata(session_id, before[3].uuid, {"mood": "calm"})
        == before[3]
    )
    assert zep.message.get_session_messages(session_id) == before


def test_a_returned_message_can_be_sent_as_an_update(zep, session_id):
    message = zep.message.get_session_messages(session_id)[3]
    echo = message.dict() | {"role": "ai", "content": "changed", "metadata": {"mood": "calm"}}
    updated = zep.message.update_message_metadata(session_id, message.uuid, echo)
    assert updated == message.copy(update={"metadata": {"n": 3, "mood": "calm"}})
