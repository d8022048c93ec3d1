"""Deleting a user deletes all sessions and messages, and late writes do not recreate them."""

from types import SimpleNamespace

import pytest
from zep_python import Memory, Message, NotFoundError, Session
from zep_python.user import CreateUserRequest


def memory_of(content):
    return Memory(messages=[Message(role="user", content=content)])


@pytest.fixture
def deleted(zep, mark):
    """The ids of a deleted user who had two sessions."""
    jane = SimpleNamespace(user_id=f"jane-{mark}", sessions=[f"{mark}-1", f"{mark}-2"])
    jane.uuid = zep.user.add(CreateUserRequest(user_id=jane.user_id)).uuid
    for session_id in jane.sessions:
        zep.memory.add_session(Session(session_id=session_id, user_id=jane.user_id))
        zep.memory.add_memory(session_id, memory_of("I live in Oslo"))
        jane.message_uuid = zep.memory.get_memory(session_id).messages[0].uuid
    zep.user.delete(jane.user_id)
    return jane


def test_a_deleted_user_is_gone_with_all_sessions_and_messages(zep, deleted):
    with pytest.raises(NotFoundError):
        zep.user.get(deleted.user_id)
    assert zep.user.get_sessions(deleted.user_id) == []
    for session_id in deleted.sessions:
        with pytest.raises(NotFoundError):
            zep.memory.get_session(session_id)
        assert zep.memory.get_memory(session_id).messages == []
        assert zep.message.get_session_messages(session_id) == []
    with pytest.raises(NotFoundError):
        zep.message.get_session_message(deleted.sessions[-1], deleted.message_uuid)


def test_a_deleted_user_is_in_no_list(zep, deleted):
    assert deleted.user_id not in {user.user_id for user in zep.user.list()}
    listed = {session.session_id for session in zep.memory.list_sessions()}
    assert listed.isdisjoint(deleted.sessions)


def test_data_of_other_users_remains(zep, mark):
    for name in ("jane", "john"):
        zep.user.add(CreateUserRequest(user_id=f"{name}-{mark}"))
        zep.memory.add_session(Session(session_id=f"{name}-{mark}", user_id=f"{name}-{mark}"))
        zep.memory.add_memory(f"{name}-{mark}", memory_of(name))
    zep.user.delete(f"jane-{mark}")
    assert zep.user.get(f"john-{mark}").user_id == f"john-{mark}"
    [message] = zep.memory.get_memory(f"john-{mark}").messages
    assert message.content == "john"


def test_a_late_append_recreates_no_session(zep, deleted):
    for session_id in deleted.sessions:
        with pytest.raises(NotFoundError):
            zep.memory.add_memory(session_id, memory_of("I still live in Oslo"))
        with pytest.raises(NotFoundError):
            zep.memory.get_session(session_id)
        assert zep.memory.get_memory(session_id).messages == []


def test_a_late_update_is_not_found(zep, deleted):
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(
            deleted.sessions[-1], deleted.message_uuid, {"metadata": {"lives": "Oslo"}}
        )
    with pytest.raises(NotFoundError):
        zep.memory.update_session(Session(session_id=deleted.sessions[0], metadata={"a": 1}))


def test_a_reused_user_id_starts_empty(zep, deleted):
    user = zep.user.add(CreateUserRequest(user_id=deleted.user_id))
    assert user.uuid != deleted.uuid
    assert user.metadata is None
    assert zep.user.get_sessions(user.user_id) == []

    first, second = deleted.sessions
    zep.memory.add_session(Session(session_id=first, user_id=user.user_id))
    assert zep.memory.get_memory(first).messages == []
    zep.memory.add_memory(first, memory_of("I live in Rome"))
    assert [m.content for m in zep.memory.get_memory(first).messages] == ["I live in Rome"]

    # Only the id that was created again is free: a late write to the other session is rejected.
    with pytest.raises(NotFoundError):
        zep.memory.add_memory(second, memory_of("I still live in Oslo"))


def test_a_session_can_be_created_again_without_a_user(zep, deleted):
    session_id = deleted.sessions[0]
    zep.memory.add_session(Session(session_id=session_id))
    zep.memory.add_memory(session_id, memory_of("Hello"))
    assert [m.content for m in zep.memory.get_memory(session_id).messages] == ["Hello"]


def test_a_user_can_be_created_and_deleted_repeatedly(zep, mark):
    for _ in range(3):
        zep.user.add(CreateUserRequest(user_id=mark))
        zep.memory.add_session(Session(session_id=mark, user_id=mark))
        zep.memory.add_memory(mark, memory_of("Hello"))
        zep.user.delete(mark)
        with pytest.raises(NotFoundError):
            zep.user.get(mark)
        with pytest.raises(NotFoundError):
            zep.memory.add_memory(mark, memory_of("Hello?"))


def test_a_user_with_a_thousand_messages_is_deleted_in_one_call(zep, mark):
    zep.user.add(CreateUserRequest(user_id=mark))
    for session_id in (f"{mark}-1", f"{mark}-2"):
        zep.memory.add_session(Session(session_id=session_id, user_id=mark))
        messages = [Message(role="user", content=f"{n} of Oslo") for n in range(500)]
        zep.memory.add_memory(session_id, Memory(messages=messages))
    zep.user.delete(mark)
    for session_id in (f"{mark}-1", f"{mark}-2"):
        assert zep.message.get_session_messages(session_id) == []
