"""Memory: appending messages to a session, and reading the newest for a prompt."""

import asyncio
from uuid import UUID, uuid4

import pytest
from zep_python import APIError, Memory, Message, NotFoundError, Session, ZepClient


def memory_of(*contents, role="user"):
    return Memory(messages=[Message(role=role, content=content) for content in contents])


def contents(memory):
    return [message.content for message in memory.messages]


def test_memory_is_returned_as_added(zep, mark):
    added = [
        Message(role="user", content="I wear size 9 shoes", metadata={"topic": "shoes", "n": 1}),
        Message(role="ai", content="Noted"),
    ]
    assert zep.memory.add_memory(mark, Memory(messages=added)) == "OK"

    question, answer = zep.memory.get_memory(mark).messages
    assert (question.role, question.content) == ("user", "I wear size 9 shoes")
    assert question.metadata == {"topic": "shoes", "n": 1}
    assert (answer.role, answer.content) == ("ai", "Noted")
    assert answer.metadata is None
    assert UUID(question.uuid) != UUID(answer.uuid)
    assert question.created_at.endswith("Z")
    assert question.token_count == 0


def test_contents_and_roles_are_stored_unchanged(zep, mark):
    texts = [" \n", "", 'Zoë\'s 東京 🙂 \\ "<b>" \t', "long " * 20_000]
    messages = [Message(role=f"a rôle {n}", content=text) for n, text in enumerate(texts)]
    messages.append(Message(role="", content="without a role"))
    zep.memory.add_memory(mark, Memory(messages=messages))
    assert [(m.role, m.content) for m in zep.memory.get_memory(mark).messages] == [
        (m.role, m.content) for m in messages
    ]


def test_messages_are_in_order_oldest_first(zep, mark):
    zep.memory.add_memory(mark, memory_of("1", "2"))
    zep.memory.add_memory(mark, memory_of("3"))
    zep.memory.add_memory(mark, memory_of("4", "5"))
    assert contents(zep.memory.get_memory(mark)) == ["1", "2", "3", "4", "5"]


def test_memory_has_the_newest_twelve_messages_by_default(zep, mark):
    zep.memory.add_memory(mark, memory_of(*map(str, range(30))))
    newest = [str(n) for n in range(30)]
    assert contents(zep.memory.get_memory(mark)) == newest[-12:]
    assert contents(zep.memory.get_memory(mark, lastn=0)) == newest[-12:]
    assert contents(zep.memory.get_memory(mark, lastn=2)) == newest[-2:]
    assert contents(zep.memory.get_memory(mark, lastn=20)) == newest[-20:]
    assert contents(zep.memory.get_memory(mark, lastn=5_000)) == newest


def test_a_negative_lastn_is_rejected(zep, mark):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.get_memory(mark, lastn=-1)


def test_a_missing_summary_is_an_empty_one(zep, mark):
    zep.memory.add_memory(mark, memory_of("Hello"))
    summary = zep.memory.get_memory(mark).summary
    assert (summary.content, summary.token_count) == ("", 0)
    assert UUID(summary.uuid).int == UUID(summary.recent_message_uuid).int == 0


def test_the_memory_of_an_unknown_session_is_empty(zep, mark):
    memory = zep.memory.get_memory(mark)
    assert memory.messages == []
    assert memory.summary.content == ""
    with pytest.raises(NotFoundError):
        zep.memory.get_session(mark)


def test_appending_creates_an_unknown_session(zep, mark):
    zep.memory.add_memory(mark, memory_of("Hello"))
    session = zep.memory.get_session(mark)
    assert (session.session_id, session.user_id, session.metadata) == (mark, None, None)


def test_appending_nothing_creates_the_session(zep, mark):
    assert zep.memory.add_memory(mark, Memory()) == "OK"
    assert zep.memory.get_session(mark).session_id == mark
    assert zep.memory.get_memory(mark).messages == []


def test_appending_keeps_the_metadata_of_the_session(zep, mark):
    session = zep.memory.add_session(Session(session_id=mark, metadata={"topic": "shoes"}))
    zep.memory.add_memory(mark, memory_of("Hello"))
    after = zep.memory.get_session(mark)
    assert (after.uuid, after.metadata) == (session.uuid, session.metadata)


def test_a_client_can_set_uuid_and_token_count(zep, mark):
    own = Message(role="user", content="Hello", uuid=str(uuid4()), token_count=7)
    zep.memory.add_memory(mark, Memory(messages=[own]))
    [message] = zep.memory.get_memory(mark).messages
    assert (message.uuid, message.token_count) == (own.uuid, 7)


def test_the_time_of_a_message_is_when_it_was_added(zep, mark):
    past = Message(role="user", content="Hello", created_at="2001-02-03T04:05:06Z")
    zep.memory.add_memory(mark, Memory(messages=[past]))
    [message] = zep.memory.get_memory(mark).messages
    assert message.created_at > "2025"


def test_a_uuid_is_unique_in_a_session(zep, mark):
    own = Message(role="user", content="Hello", uuid=str(uuid4()))
    zep.memory.add_memory(mark, Memory(messages=[own]))
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.add_memory(mark, Memory(messages=[*memory_of("before").messages, own]))
    assert contents(zep.memory.get_memory(mark)) == ["Hello"]


def test_an_invalid_uuid_is_rejected(zep, mark):
    own = Message(role="user", content="Hello", uuid="not a uuid")
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.add_memory(mark, Memory(messages=[own]))


def test_returned_memory_can_be_added_to_another_session(zep, mark):
    zep.memory.add_memory(mark, memory_of("1", "2"))
    zep.memory.add_memory(f"{mark}-copy", zep.memory.get_memory(mark))
    assert contents(zep.memory.get_memory(f"{mark}-copy")) == ["1", "2"]


def test_a_cleared_session_is_gone(zep, mark):
    zep.memory.add_memory(mark, memory_of("Hello"))
    assert zep.memory.delete_memory(mark) == "OK"
    assert zep.memory.get_memory(mark).messages == []
    with pytest.raises(NotFoundError):
        zep.memory.get_session(mark)
    with pytest.raises(NotFoundError):
        zep.memory.delete_memory(mark)


def test_a_cleared_session_can_be_appended_to_again(zep, mark):
    zep.memory.add_memory(mark, memory_of("before"))
    zep.memory.delete_memory(mark)
    zep.memory.add_memory(mark, memory_of("after"))
    assert contents(zep.memory.get_memory(mark)) == ["after"]


def test_a_cleared_session_can_be_created_again(zep, mark):
    first = zep.memory.add_session(Session(session_id=mark, metadata={"topic": "shoes"}))
    zep.memory.delete_memory(mark)
    second = zep.memory.add_session(Session(session_id=mark))
    assert second.uuid != first.uuid
    assert second.metadata is None


def test_concurrent_appends_are_all_stored(url, api_key, mark):
    async def append_all():
        async with ZepClient(url, api_key) as client:
            await asyncio.gather(
                *(client.memory.aadd_memory(mark, memory_of(f"{n}?", f"{n}!")) for n in range(40))
            )
            return await client.message.aget_session_messages(mark)

    stored = [message.content for message in asyncio.run(append_all())]
    assert sorted(stored[::2]) == sorted(f"{n}?" for n in range(40))
    # Messages of one request stay together.
    assert [answer[:-1] for answer in stored[1::2]] == [question[:-1] for question in stored[::2]]
