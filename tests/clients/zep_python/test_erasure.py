"""Deleting a user takes everything of theirs along, and nothing brings it back by accident."""

from types import SimpleNamespace

import pytest
from zep_python import Memory, Message, NotFoundError, Session
from zep_python.user import CreateUserRequest


def said(content):
    return Memory(messages=[Message(role="user", content=content)])


@pytest.fixture
def deleted(zep, mark):
    """Jane, who had two sessions and was deleted; what is left is the ids."""
    jane = SimpleNamespace(user_id=f"jane-{mark}", sessions=[f"{mark}-1", f"{mark}-2"])
    jane.uuid = zep.user.add(CreateUserRequest(user_id=jane.user_id)).uuid
    for session_id in jane.sessions:
        zep.memory.add_session(Session(session_id=session_id, user_id=jane.user_id))
        zep.memory.add_memory(session_id, said("I live in Oslo"))
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


def test_a_deleted_user_is_on_no_list(zep, deleted):
    assert deleted.user_id not in {user.user_id for user in zep.user.list()}
    listed = {session.session_id for session in zep.memory.list_sessions()}
    assert listed.isdisjoint(deleted.sessions)


def test_others_keep_what_is_theirs(zep, mark):
    for name in ("jane", "john"):
        zep.user.add(CreateUserRequest(user_id=f"{name}-{mark}"))
        zep.memory.add_session(Session(session_id=f"{name}-{mark}", user_id=f"{name}-{mark}"))
        zep.memory.add_memory(f"{name}-{mark}", said(name))
    zep.user.delete(f"jane-{mark}")
    assert zep.user.get(f"john-{mark}").user_id == f"john-{mark}"
    [message] = zep.memory.get_memory(f"john-{mark}").messages
    assert message.content == "john"


def test_a_late_append_brings_no_session_back(zep, deleted):
    for session_id in deleted.sessions:
        with pytest.raises(NotFoundError):
            zep.memory.add_memory(session_id, said("I still live in Oslo"))
        with pytest.raises(NotFoundError):
            zep.memory.get_session(session_id)
        assert zep.memory.get_memory(session_id).messages == []


def test_a_late_annotation_is_not_found(zep, deleted):
    with pytest.raises(NotFoundError):
        zep.message.update_message_metadata(
            deleted.sessions[-1], deleted.message_uuid, {"metadata": {"lives": "Oslo"}}
        )
    with pytest.raises(NotFoundError):
        zep.memory.update_session(Session(session_id=deleted.sessions[0], metadata={"a": 1}))


def test_a_namesake_starts_with_nothing(zep, deleted):
    user = zep.user.add(CreateUserRequest(user_id=deleted.user_id))
    assert user.uuid != deleted.uuid
    assert user.metadata is None
    assert zep.user.get_sessions(user.user_id) == []

    first, second = deleted.sessions
    zep.memory.add_session(Session(session_id=first, user_id=user.user_id))
    assert zep.memory.get_memory(first).messages == []
    zep.memory.add_memory(first, said("I live in Rome"))
    assert [m.content for m in zep.memory.get_memory(first).messages] == ["I live in Rome"]

    # Only what was made anew is free again: a late writer to the other session is still late.
    with pytest.raises(NotFoundError):
        zep.memory.add_memory(second, said("I still live in Oslo"))


def test_a_session_made_anew_needs_no_user(zep, deleted):
    session_id = deleted.sessions[0]
    zep.memory.add_session(Session(session_id=session_id))
    zep.memory.add_memory(session_id, said("Hello"))
    assert [m.content for m in zep.memory.get_memory(session_id).messages] == ["Hello"]


def test_a_user_can_be_deleted_again_and_again(zep, mark):
    for _ in range(3):
        zep.user.add(CreateUserRequest(user_id=mark))
        zep.memory.add_session(Session(session_id=mark, user_id=mark))
        zep.memory.add_memory(mark, said("Hello"))
        zep.user.delete(mark)
        with pytest.raises(NotFoundError):
            zep.user.get(mark)
        with pytest.raises(NotFoundError):
            zep.memory.add_memory(mark, said("Hello?"))


def test_a_user_with_a_thousand_messages_is_deleted_in_one_call(zep, mark):
    zep.user.add(CreateUserRequest(user_id=mark))
    for session_id in (f"{mark}-1", f"{mark}-2"):
        zep.memory.add_session(Session(session_id=session_id, user_id=mark))
        words = [Message(role="user", content=f"{n} of Oslo") for n in range(500)]
        zep.memory.add_memory(session_id, Memory(messages=words))
    zep.user.delete(mark)
    for session_id in (f"{mark}-1", f"{mark}-2"):
        assert zep.message.get_session_messages(session_id) == []
