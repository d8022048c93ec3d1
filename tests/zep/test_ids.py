"""Ids that zep-python does not support, and invalid ids."""

from uuid import UUID, uuid4

import pytest

from userkeep.zep import Memory, Message, NotFoundError, Session
from userkeep.zep.user import CreateUserRequest, UpdateUserRequest

any_id = pytest.mark.parametrize(
    "name",
    ["a/b", "/a/", "a//b", "../a", "a?b=c", "a#b", "a%2Fb", "%", "a/..", ".a", " a ", "x" * 512],
)
blank = pytest.mark.parametrize("name", ["", " ", "\t", None, ".", ".."])


@any_id
def test_users_can_have_any_id(zep, mark, name):
    name = name.replace("a", mark) if "x" not in name else mark + name[len(mark) :]
    user = zep.user.add(CreateUserRequest(user_id=name))
    assert user.user_id == name
    assert zep.user.get(name) == user
    assert zep.user.update(UpdateUserRequest(user_id=name, email="a@b.co")).uuid == user.uuid
    zep.memory.add_session(Session(session_id=mark, user_id=name))
    assert [session.session_id for session in zep.user.get_sessions(name)] == [mark]
    zep.user.delete(name)
    with pytest.raises(NotFoundError):
        zep.user.get(name)


@any_id
def test_sessions_can_have_any_id(zep, mark, name):
    name = name.replace("a", mark) if "x" not in name else mark + name[len(mark) :]
    session = zep.memory.add_session(Session(session_id=name))
    zep.memory.add_memory(name, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(name).uuid == session.uuid
    [message] = zep.memory.get_memory(name).messages
    assert zep.message.get_session_messages(name) == [message]
    assert zep.message.get_session_message(name, message.uuid) == message
    annotated = zep.message.update_message_metadata(name, message.uuid, {"metadata": {"a": 1}})
    assert annotated.metadata == {"a": 1}
    assert zep.memory.update_session(Session(session_id=name)).session_id == name
    assert zep.memory.delete_memory(name) == "OK"
    with pytest.raises(NotFoundError):
        zep.memory.get_session(name)


def test_an_id_can_be_given_as_uuid_or_number(zep):
    for id_ in (uuid4(), uuid4().int):
        zep.user.add(CreateUserRequest(user_id=str(id_)))
        assert zep.user.get(id_).user_id == str(id_)


@blank
def test_blank_ids_are_rejected_before_sending(zep, mark, name):
    calls = [
        lambda: zep.user.get(name),
        lambda: zep.user.delete(name),
        lambda: zep.user.get_sessions(name),
        lambda: zep.memory.get_session(name),
        lambda: zep.memory.get_memory(name),
        lambda: zep.memory.add_memory(name, Memory()),
        lambda: zep.memory.delete_memory(name),
        lambda: zep.message.get_session_messages(name),
        lambda: zep.message.get_session_message(mark, name),
        lambda: zep.message.update_message_metadata(name, str(UUID(int=1)), {}),
    ]
    if name is not None:
        calls += [
            lambda: zep.user.add(CreateUserRequest(user_id=name)),
            lambda: zep.user.update(UpdateUserRequest(user_id=name)),
            lambda: zep.memory.add_session(Session(session_id=name)),
            lambda: zep.memory.update_session(Session(session_id=name)),
        ]
    before = len(zep.user.list()), len(zep.memory.list_sessions())
    for call in calls:
        with pytest.raises(ValueError, match="_id "):
            call()
    assert (len(zep.user.list()), len(zep.memory.list_sessions())) == before


def test_ids_that_are_impossible_in_a_url_are_rejected(zep):
    for name in ("\ud800", "x" * 70_000):
        with pytest.raises(ValueError, match=r"surrogates|too long"):
            zep.user.get(name)


def test_chunk_size_must_be_positive(zep):
    for size in (0, -1):
        with pytest.raises(ValueError, match="chunk_size"):
            list(zep.user.list_chunked(size))
        with pytest.raises(ValueError, match="chunk_size"):
            list(zep.memory.list_all_sessions(size))


def test_both_names_of_chunk_size_are_accepted(zep, mark):
    for number in range(3):
        zep.user.add(CreateUserRequest(user_id=f"{mark}-{number}"))
    by_each = [
        [len(chunk) for chunk in zep.user.list_chunked(**{name: 2})]
        for name in ("chunk_size", "chunkSize")
    ]
    assert by_each[0] == by_each[1]
    assert set(by_each[0]) <= {1, 2}
