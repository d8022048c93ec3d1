"""Ids as people choose them. The client leaves their encoding to its HTTP library."""

import pytest
from zep_python import Memory, Message, NotFoundError, Session
from zep_python.user import CreateUserRequest, UpdateUserRequest

names = pytest.mark.parametrize(
    "name",
    [
        "jane smith",
        "jürgen 東京 🙂",
        "jane@example.com",
        "a+b",
        "a.b",
        "a:b;c=d,e&f",
        "(a)*!~'$",
        '{"a"}|<b>^`',
        "100%",
        "50% off",
        "a\\b",
        # The space makes the library encode the percent sign too.
        "a b%2Fc",
    ],
)


@names
def test_a_user_is_reached_by_the_id_it_was_given(zep, mark, name):
    name = f"{mark}-{name}"
    user = zep.user.add(CreateUserRequest(user_id=name))
    assert user.user_id == name
    assert zep.user.get(name) == user
    zep.memory.add_session(Session(session_id=mark, user_id=name))
    assert [session.user_id for session in zep.user.get_sessions(name)] == [name]
    assert zep.user.update(UpdateUserRequest(user_id=name, email="a@b.co")).uuid == user.uuid
    zep.user.delete(name)
    with pytest.raises(NotFoundError):
        zep.user.get(name)


@names
def test_a_session_is_reached_by_the_id_it_was_given(zep, mark, name):
    name = f"{mark}-{name}"
    session = zep.memory.add_session(Session(session_id=name))
    assert zep.memory.get_session(name) == session
    zep.memory.add_memory(name, Memory(messages=[Message(role="user", content="Hello")]))
    [message] = zep.memory.get_memory(name).messages
    assert zep.message.get_session_messages(name) == [message]
    assert zep.message.get_session_message(name, message.uuid) == message
    assert zep.memory.update_session(session).uuid == session.uuid
    zep.memory.delete_memory(name)
    with pytest.raises(NotFoundError):
        zep.memory.get_session(name)


@names
def test_a_session_made_by_appending_has_the_id_it_was_given(zep, mark, name):
    name = f"{mark}-{name}"
    zep.memory.add_memory(name, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(name).session_id == name


def test_an_encoded_slash_reaches_the_user_with_a_slash(zep, mark):
    user = zep.user.add(CreateUserRequest(user_id=f"{mark}/b"))
    encoded = f"{mark}%2Fb"
    assert zep.user.get(encoded) == user
    assert zep.user.update(UpdateUserRequest(user_id=encoded, email="a@b.co")).uuid == user.uuid
    zep.memory.add_session(Session(session_id=mark, user_id=user.user_id))
    assert [session.session_id for session in zep.user.get_sessions(encoded)] == [mark]
    zep.user.delete(encoded)
    with pytest.raises(NotFoundError):
        zep.user.get(encoded)


def test_an_encoded_slash_reaches_the_session_with_a_slash(zep, mark):
    session = zep.memory.add_session(Session(session_id=f"{mark}/s"))
    encoded = f"{mark}%2Fs"
    zep.memory.add_memory(encoded, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(encoded).uuid == session.uuid
    [message] = zep.memory.get_memory(encoded).messages
    assert zep.message.get_session_message(encoded, message.uuid) == message
    zep.memory.delete_memory(encoded)
    with pytest.raises(NotFoundError):
        zep.memory.get_session(encoded)


def test_an_id_that_only_looks_encoded_is_reached_too(zep, mark):
    name = f"{mark}%2Fb"
    user = zep.user.add(CreateUserRequest(user_id=name))
    session = zep.memory.add_session(Session(session_id=name, user_id=name))
    assert zep.user.get(name) == user
    assert zep.user.update(UpdateUserRequest(user_id=name, email="a@b.co")).uuid == user.uuid
    assert [found.uuid for found in zep.user.get_sessions(name)] == [session.uuid]
    zep.memory.add_memory(name, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(name).uuid == session.uuid
    [message] = zep.memory.get_memory(name).messages
    assert zep.message.get_session_message(name, message.uuid) == message
    zep.user.delete(name)
    with pytest.raises(NotFoundError):
        zep.user.get(name)
    assert zep.memory.get_memory(name).messages == []


def test_ids_are_told_apart_by_case(zep, mark):
    small = zep.user.add(CreateUserRequest(user_id=f"{mark}-jane"))
    large = zep.user.add(CreateUserRequest(user_id=f"{mark}-JANE"))
    assert zep.user.get(f"{mark}-jane") == small
    assert zep.user.get(f"{mark}-JANE") == large
