"""Metadata: one set of rules for users, sessions and messages."""

import pytest
from zep_python import Memory, Message, Session
from zep_python.user import CreateUserRequest, UpdateUserRequest


class AUser:
    def __init__(self, zep, mark):
        self.zep = zep
        self.id = mark

    def create(self, metadata):
        self.zep.user.add(CreateUserRequest(user_id=self.id, metadata=metadata))

    def update(self, metadata):
        return self.zep.user.update(UpdateUserRequest(user_id=self.id, metadata=metadata)).metadata

    def read(self):
        return self.zep.user.get(self.id).metadata


class ASession:
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


class AMessage:
    def __init__(self, zep, mark):
        self.zep = zep
        self.session = mark

    def create(self, metadata):
        message = Message(role="user", content="Hello", metadata=metadata)
        self.zep.memory.add_memory(self.session, Memory(messages=[message]))
        [stored] = self.zep.message.get_session_messages(self.session)
        self.id = stored.uuid

    def update(self, metadata):
        # This client sends the dictionary itself as the body, so callers wrap it.
        body = {"metadata": metadata}
        return self.zep.message.update_message_metadata(self.session, self.id, body).metadata

    def read(self):
        return self.zep.message.get_session_message(self.session, self.id).metadata


@pytest.fixture(params=[AUser, ASession, AMessage])
def thing(request, zep, mark):
    return request.param(zep, mark)


@pytest.fixture(params=[ASession, AMessage])
def enriched(request, zep, mark):
    """What Zep itself writes `system` into."""
    return request.param(zep, mark)


def test_any_json_is_kept(thing):
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
    thing.create(metadata)
    assert thing.read() == metadata


def test_objects_merge_key_by_key(thing):
    thing.create({"wears": {"hat": "red", "shoes": {"size": 9}}, "lives": "Oslo"})
    merged = thing.update({"wears": {"coat": "blue", "shoes": {"laces": True}}})
    assert merged == thing.read()
    assert merged == {
        "wears": {"hat": "red", "coat": "blue", "shoes": {"size": 9, "laces": True}},
        "lives": "Oslo",
    }


def test_lists_are_replaced(thing):
    thing.create({"likes": ["tea", "coffee"]})
    assert thing.update({"likes": ["milk"]}) == {"likes": ["milk"]} == thing.read()


def test_null_is_stored(thing):
    thing.create({"likes": "tea", "deep": {"likes": "tea"}})
    merged = thing.update({"likes": None, "deep": {"likes": None}})
    assert merged == {"likes": None, "deep": {"likes": None}} == thing.read()


def test_a_value_of_another_kind_replaces(thing):
    thing.create({"a": {"b": 1}, "c": 2})
    assert thing.update({"a": 3, "c": {"d": 4}}) == {"a": 3, "c": {"d": 4}} == thing.read()


def test_false_zero_and_empty_text_overwrite(thing):
    thing.create({"a": True, "b": 1, "c": "text", "d": [1]})
    empty = {"a": False, "b": 0, "c": "", "d": []}
    assert thing.update(empty) == empty == thing.read()


def test_an_empty_update_changes_nothing(thing):
    thing.create({"likes": "tea"})
    assert thing.update({}) == {"likes": "tea"} == thing.read()


def test_an_update_without_metadata_changes_nothing(thing):
    thing.create({"likes": "tea"})
    assert thing.update(None) == {"likes": "tea"} == thing.read()


def test_metadata_may_come_later(thing):
    thing.create(None)
    assert not thing.read()
    assert thing.update({"likes": "tea"}) == {"likes": "tea"} == thing.read()


def test_an_update_leaves_what_the_server_wrote_under_system(enriched):
    enriched.create({"system": {"intent": "greeting"}})
    merged = enriched.update({"system": {"intent": "mine"}, "deep": {"system": "ordinary"}})
    assert merged == {"system": {"intent": "greeting"}, "deep": {"system": "ordinary"}}
    assert merged == enriched.read()


def test_a_user_has_no_system_keys(zep, mark):
    user = AUser(zep, mark)
    user.create({"system": {"theme": "dark"}})
    assert user.update({"system": {"theme": "light"}}) == {"system": {"theme": "light"}}
