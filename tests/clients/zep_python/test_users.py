"""Users: created, read, updated, deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from zep_python import APIError, NotFoundError, Session
from zep_python.user import CreateUserRequest, UpdateUserRequest


@pytest.fixture
def jane(zep, mark):
    return zep.user.add(
        CreateUserRequest(
            user_id=f"jane-{mark}",
            email="jane@example.com",
            first_name="Jane",
            last_name="Smith",
            metadata={"foo": "bar"},
        )
    )


def test_a_user_has_all_given_fields(jane, mark):
    assert jane.user_id == f"jane-{mark}"
    assert jane.email == "jane@example.com"
    assert jane.first_name == "Jane"
    assert jane.last_name == "Smith"
    assert jane.metadata == {"foo": "bar"}


def test_a_user_has_the_fields_of_the_server(jane):
    assert jane.uuid.int
    assert jane.id > 0
    assert abs(datetime.now(UTC) - jane.created_at) < timedelta(minutes=1)
    assert jane.updated_at >= jane.created_at
    assert jane.deleted_at is None


def test_a_user_can_have_only_an_id(zep, mark):
    user = zep.user.add(CreateUserRequest(user_id=mark))
    assert user.user_id == mark
    assert (user.email, user.first_name, user.last_name, user.metadata) == (None,) * 4


def test_a_user_is_returned_as_created(zep, jane):
    assert zep.user.get(jane.user_id) == jane


def test_user_numbers_increase(zep, jane, mark):
    john = zep.user.add(CreateUserRequest(user_id=f"john-{mark}"))
    assert john.id > jane.id


def test_texts_are_stored_unchanged(zep, mark):
    name = ' Zoë\n\t"O\'Neill" \\ 東京 🙂 </p> '
    zep.user.add(CreateUserRequest(user_id=mark, first_name=name, email="not an address"))
    assert zep.user.get(mark).first_name == name
    assert zep.user.get(mark).email == "not an address"


def test_an_update_changes_only_the_given_fields(zep, jane):
    updated = zep.user.update(UpdateUserRequest(user_id=jane.user_id, email="j@example.org"))
    assert updated == jane.copy(update={"email": "j@example.org", "updated_at": updated.updated_at})
    assert zep.user.get(jane.user_id) == updated


def test_an_update_changes_updated_at(zep, jane):
    updated = zep.user.update(UpdateUserRequest(user_id=jane.user_id))
    assert updated.updated_at > jane.updated_at
    assert updated.created_at == jane.created_at


def test_an_empty_text_in_an_update_changes_nothing(zep, jane):
    updated = zep.user.update(
        UpdateUserRequest(user_id=jane.user_id, email="", first_name="", last_name="")
    )
    assert (updated.email, updated.first_name, updated.last_name) == (
        "jane@example.com",
        "Jane",
        "Smith",
    )


def test_a_returned_user_can_be_sent_as_an_update(zep, jane):
    # Without the uuid: the client cannot encode it as JSON.
    everything = jane.dict(exclude={"uuid"})
    updated = zep.user.update(UpdateUserRequest(**everything))
    assert updated == jane.copy(update={"updated_at": updated.updated_at})


def test_an_id_is_unique(zep, jane):
    with pytest.raises(APIError, match="'status_code': 400") as caught:
        zep.user.add(CreateUserRequest(user_id=jane.user_id, first_name="Other"))
    assert jane.user_id in caught.value.response_data["message"]
    assert zep.user.get(jane.user_id) == jane


def test_a_user_without_an_id_is_rejected(zep):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.user.add(CreateUserRequest(user_id=""))


def test_an_unknown_user_is_not_found(zep, mark):
    with pytest.raises(NotFoundError):
        zep.user.get(mark)
    with pytest.raises(NotFoundError):
        zep.user.update(UpdateUserRequest(user_id=mark, email="j@example.org"))
    with pytest.raises(NotFoundError):
        zep.user.delete(mark)


def test_a_deleted_user_is_not_found(zep, jane):
    zep.user.delete(jane.user_id)
    with pytest.raises(NotFoundError):
        zep.user.get(jane.user_id)
    with pytest.raises(NotFoundError):
        zep.user.delete(jane.user_id)


def test_an_empty_id_deletes_nothing(zep, jane):
    with pytest.raises(APIError, match="'status_code': 405"):
        zep.user.delete("")
    assert zep.user.get(jane.user_id) == jane


def test_the_sessions_of_a_user_are_listed(zep, jane, mark):
    names = {f"{mark}-{n}" for n in range(3)}
    made = [
        zep.memory.add_session(Session(session_id=name, user_id=jane.user_id, metadata={"n": name}))
        for name in names
    ]
    zep.memory.add_session(Session(session_id=f"{mark}-of-nobody"))

    sessions = zep.user.get_sessions(jane.user_id)
    assert {session.session_id for session in sessions} == names
    assert {session.uuid for session in sessions} == {session.uuid for session in made}
    assert all(session.user_id == jane.user_id for session in sessions)
    assert all(session.metadata == {"n": session.session_id} for session in sessions)


def test_an_unknown_user_has_no_sessions(zep, mark):
    assert zep.user.get_sessions(mark) == []
