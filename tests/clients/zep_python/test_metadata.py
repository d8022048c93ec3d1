"""Metadata has the same rules for users, sessions and messages."""

import pytest
from zep_python import Memory, Message, Session
from zep_python.user import CreateUserRequest, UpdateUserRequest


class UserMetadata:
    def __init__(self, zep, mark):
        self.zep = zep
        self.id = mark

    def create(self, metadata):
        self.zep.user.add(CreateUserRequest(user_id=self.id, metadata=metadata))

    def update(self, metadata):
        return self.zep.user.update(UpdateUserRequest(user_id=self.id, metadata=metadata)).metadata

    def read(self):
        return self.zep.user.get(self.id).metadata


class SessionMetadata:
    def __init__(self, zep, mark):
        self.zep = zep
        self.id = mark

    def create(self, metadata):
        self.zep.memory.add_session(Session(session_id=self.id, metadata=metadata))

    def update(self, metadata):
        changed = Session(session_id=self.id, metadata=metadata)
        return self.zep.memory.update_session(changed).metadata

    def read(self):
        return self.zep.memory.get_session(self.id).metadata


class MessageMetadata:
    def __init__(self, zep, mark):
        self.zep = zep
        self.session = mark

    def create(self, metadata):
        message = Message(role="user", content="Hello", metadata=metadata)
        self.zep.memory.add_memory(self.session, Memory(messages=[message]))
        [stored] = self.zep.message.get_session_messages(self.session)
        self.id = stored.uuid

    def update(self, metadata):
        # The client sends the dictionary as the body, so callers wrap it.
        body = {"metadata": metadata}
        return self.zep.message.update_message_metadata(self.session, self.id, body).metadata

    def read(self):
        return self.zep.message.get_session_message(self.session, self.id).metadata


@pytest.fixture(params=[UserMetadata, SessionMetadata, MessageMetadata])
def resource(request, zep, mark):
    return request.param(zep, mark)


@pytest.fixture(params=[SessionMetadata, MessageMetadata])
def with_system(request, zep, mark):
    """A resource in whose metadata Zep writes `system` itself."""
    return request.param(zep, mark)


def test_any_json_is_stored(resource):
    metadata = {
        "text": "Zoë's 東京 🙂 \\ \" \n",
        "": "an empty key",
        "yes": True,
        "none": None,
        "whole": 2**53 + 1,
        "negative": -7,
        "real": 0.1,
        "list": [1, [2, {"three": None}], []],
        "deep": {"er": {"est": {}}},
    }
    resource.create(metadata)
    assert resource.read() == metadata


def test_objects_are_merged_by_key(resource):
    resource.create({"wears": {"hat": "red", "shoes": {"size": 9}}, "lives": "Oslo"})
    merged = resource.update({"wears": {"coat": "blue", "shoes": {"laces": True}}})
    assert merged == resource.read()
    assert merged == {
        "wears": {"hat": "red", "coat": "blue", "shoes": {"size": 9, "laces": True}},
        "lives": "Oslo",
    }


def test_lists_are_replaced(resource):
    resource.create({"likes": ["tea", "coffee"]})
    assert resource.update({"likes": ["milk"]}) == {"likes": ["milk"]} == resource.read()


def test_null_is_stored(resource):
    resource.create({"likes": "tea", "deep": {"likes": "tea"}})
    merged = resource.update({"likes": None, "deep": {"likes": None}})
    assert merged == {"likes": None, "deep": {"likes": None}} == resource.read()


def test_a_value_of_another_type_replaces_the_old_one(resource):
    resource.create({"a": {"b": 1}, "c": 2})
    assert resource.update({"a": 3, "c": {"d": 4}}) == {"a": 3, "c": {"d": 4}} == resource.read()


def test_false_zero_and_empty_text_replace_values(resource):
    resource.create({"a": True, "b": 1, "c": "text", "d": [1]})
    empty = {"a": False, "b": 0, "c": "", "d": []}
    assert resource.update(empty) == empty == resource.read()


def test_an_empty_update_changes_nothing(resource):
    resource.create({"likes": "tea"})
    assert resource.update({}) == {"likes": "tea"} == resource.read()


def test_an_update_without_metadata_changes_nothing(resource):
    resource.create({"likes": "tea"})
    assert resource.update(None) == {"likes": "tea"} == resource.read()


def test_metadata_can_be_added_later(resource):
    resource.create(None)
    assert not resource.read()
    assert resource.update({"likes": "tea"}) == {"likes": "tea"} == resource.read()


def test_an_update_keeps_the_system_metadata(with_system):
    with_system.create({"system": {"intent": "greeting"}})
    merged = with_system.update({"system": {"intent": "mine"}, "deep": {"system": "ordinary"}})
    assert merged == {"system": {"intent": "greeting"}, "deep": {"system": "ordinary"}}
    assert merged == with_system.read()


def test_system_metadata_of_a_user_is_ordinary(zep, mark):
    user = UserMetadata(zep, mark)
    user.create({"system": {"theme": "dark"}})
    assert user.update({"system": {"theme": "light"}}) == {"system": {"theme": "light"}}
