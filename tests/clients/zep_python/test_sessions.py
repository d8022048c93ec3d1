"""Sessions: created, read, updated."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from zep_python import APIError, NotFoundError, Session
from zep_python.user import CreateUserRequest


@pytest.fixture
def jane(zep, mark):
    return zep.user.add(CreateUserRequest(user_id=f"jane-{mark}"))


@pytest.fixture
def shoes(zep, jane, mark):
    return zep.memory.add_session(
        Session(session_id=f"shoes-{mark}", user_id=jane.user_id, metadata={"topic": "shoes"})
    )


def test_a_session_has_all_given_fields(shoes, jane, mark):
    assert shoes.session_id == f"shoes-{mark}"
    assert shoes.user_id == jane.user_id
    assert shoes.metadata == {"topic": "shoes"}


def test_a_session_has_the_fields_of_the_server(shoes):
    assert UUID(shoes.uuid).int
    assert shoes.id > 0
    assert abs(datetime.now(UTC) - datetime.fromisoformat(shoes.created_at)) < timedelta(minutes=1)
    assert shoes.created_at.endswith("Z")
    assert shoes.updated_at.endswith("Z")
    assert shoes.deleted_at is None


def test_a_session_can_have_only_an_id(zep, mark):
    session = zep.memory.add_session(Session(session_id=mark))
    assert session.session_id == mark
    assert (session.user_id, session.metadata) == (None, None)


def test_empty_metadata_differs_from_no_metadata(zep, mark):
    assert zep.memory.add_session(Session(session_id=mark, metadata={})).metadata == {}
    assert zep.memory.get_session(mark).metadata == {}


def test_a_session_is_returned_as_created(zep, shoes):
    assert zep.memory.get_session(shoes.session_id) == shoes


def test_an_id_is_unique(zep, shoes):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.add_session(Session(session_id=shoes.session_id))
    assert zep.memory.get_session(shoes.session_id) == shoes


@pytest.mark.parametrize("user_id", ["nobody", ""])
def test_a_session_of_an_unknown_user_is_rejected(zep, mark, user_id):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.add_session(Session(session_id=mark, user_id=user_id))
    with pytest.raises(NotFoundError):
        zep.memory.get_session(mark)


def test_an_update_merges_metadata_and_changes_nothing_else(zep, shoes):
    updated = zep.memory.update_session(Session(session_id=shoes.session_id, metadata={"n": 1}))
    assert updated == shoes.copy(
        update={"metadata": {"topic": "shoes", "n": 1}, "updated_at": updated.updated_at}
    )
    assert zep.memory.get_session(shoes.session_id) == updated


def test_an_update_without_fields_changes_only_updated_at(zep, shoes):
    touched = zep.memory.update_session(Session(session_id=shoes.session_id))
    assert datetime.fromisoformat(touched.updated_at) > datetime.fromisoformat(shoes.updated_at)
    assert touched == shoes.copy(update={"updated_at": touched.updated_at})


def test_a_returned_session_can_be_sent_as_an_update(zep, shoes):
    shoes.metadata["topic"] = "boots"
    updated = zep.memory.update_session(shoes)
    assert updated == shoes.copy(update={"updated_at": updated.updated_at})


def test_a_session_keeps_its_user(zep, shoes, mark):
    john = zep.user.add(CreateUserRequest(user_id=f"john-{mark}"))
    zep.memory.update_session(Session(session_id=shoes.session_id, user_id=john.user_id))
    assert zep.memory.get_session(shoes.session_id).user_id == shoes.user_id
    assert zep.user.get_sessions(john.user_id) == []


def test_an_unknown_session_is_not_found(zep, mark):
    with pytest.raises(NotFoundError):
        zep.memory.get_session(mark)
    with pytest.raises(NotFoundError):
        zep.memory.update_session(Session(session_id=mark, metadata={"n": 1}))
    with pytest.raises(NotFoundError):
        zep.memory.delete_memory(mark)
