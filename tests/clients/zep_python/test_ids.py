"""Ids with any characters. The HTTP library of the client encodes them."""

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
        # Because of the space, the library also encodes the percent sign.
        "a b%2Fc",
    ],
)


@names
def test_a_user_is_found_by_any_id(zep, mark, name):
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
def test_a_session_is_found_by_any_id(zep, mark, name):
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
def test_a_session_created_by_appending_has_the_given_id(zep, mark, name):
    name = f"{mark}-{name}"
    zep.memory.add_memory(name, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(name).session_id == name


def test_an_encoded_slash_finds_the_user_with_a_slash(zep, mark):
    user = zep.user.add(CreateUserRequest(user_id=f"{mark}/b"))
    encoded = f"{mark}%2Fb"
    assert zep.user.get(encoded) == user
    assert zep.user.update(UpdateUserRequest(user_id=encoded, email="a@b.co")).uuid == user.uuid
    zep.memory.add_session(Session(session_id=mark, user_id=user.user_id))
    assert [session.session_id for session in zep.user.get_sessions(encoded)] == [mark]
    zep.user.delete(encoded)
    with pytest.raises(NotFoundError):
        zep.user.get(encoded)


def test_an_encoded_slash_finds_the_session_with_a_slash(zep, mark):
    session = zep.memory.add_session(Session(session_id=f"{mark}/s"))
    encoded = f"{mark}%2Fs"
    zep.memory.add_memory(encoded, Memory(messages=[Message(role="user", content="Hello")]))
    assert zep.memory.get_session(encoded).uuid == session.uuid
    [message] = zep.memory.get_memory(encoded).messages
    assert zep.message.get_session_message(encoded, message.uuid) == message
    zep.memory.delete_memory(encoded)
    with pytest.raises(NotFoundError):
        zep.memory.get_session(encoded)


def test_an_id_that_looks_encoded_is_found(zep, mark):
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


def test_ids_are_case_sensitive(zep, mark):
    lower = zep.user.add(CreateUserRequest(user_id=f"{mark}-jane"))
    upper = zep.user.add(CreateUserRequest(user_id=f"{mark}-JANE"))
    assert zep.user.get(f"{mark}-jane") == lower
    assert zep.user.get(f"{mark}-JANE") == upper
