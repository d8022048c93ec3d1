"""Metadata, by every way in: the same for users, sessions and messages."""

import json
import re
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGE,
    MESSAGES,
    SESSION,
    SESSIONS,
    USER,
    USERS,
    Refusal,
    invalid,
    open_session,
    refusal,
)
from tests.ways import Reply, Way

KIB = 1024


class OfUser:
    """What is said of a user."""

    field = "metadata"
    path: str = USER

    def __init__(self, way: Way, fresh: str) -> None:
        self.way = way
        self.ids: tuple[str, ...] = (fresh,)

    def create(self, metadata: str) -> Reply:
        """Begin with metadata, as JSON text."""
        body = f'{{"user_id":{json.dumps(self.ids[0])},"metadata":{metadata}}}'
        return self.way.request("POST", USERS, content=body.encode())

    def change(self, metadata: str) -> Reply:
        """Merge metadata, as JSON text, into what is there."""
        body = f'{{"metadata":{metadata}}}'.encode()
        return self.way.request("PATCH", self.path, *self.ids, content=body)

    def read(self) -> Any:
        """The metadata that is there."""
        return self.way.request("GET", self.path, *self.ids).json["metadata"]


class OfSession(OfUser):
    """What is said of a session."""

    path = SESSION

    def create(self, metadata: str) -> Reply:
        """See OfUser."""
        body = f'{{"session_id":{json.dumps(self.ids[0])},"metadata":{metadata}}}'
        return self.way.request("POST", SESSIONS, content=body.encode())


class OfMessage(OfUser):
    """What is said of a message."""

    field = "messages[0].metadata"
    path = MESSAGE

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        open_session(way, fresh)

    def create(self, metadata: str) -> Reply:
        """See OfUser."""
        session_id = self.ids[0]
        body = f'{{"messages":[{{"content":"Hello","metadata":{metadata}}}]}}'.encode()
        reply = self.way.request("POST", MESSAGES, session_id, content=body)
        if reply.status == 201:
            self.ids = (session_id, reply.json["messages"][0]["uuid"])
        return reply


@pytest.fixture(params=[OfUser, OfSession, OfMessage], ids=["user", "session", "message"])
def thing(request: pytest.FixtureRequest, way: Way, fresh: str) -> OfUser:
    """A user, a session or a message."""
    kind: type[OfUser] = request.param
    return kind(way, fresh)


def refusal_at(reply: Reply) -> Refusal:
    """What was wrong, without the place inside the metadata."""
    status, code, fields = refusal(reply)
    return status, code, [re.sub(r"(?<=metadata)[.\[].*", "", field) for field in fields]


def nested(depth: int) -> str:
    """An object that is nested so deeply."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


# What metadata may be.


@pytest.mark.parametrize(
    "metadata",
    [
        {"text": 'Ὀδυσσεύς 😀 \u2028 \x7f \x01 " \\ /', "empty": ""},
        {"integers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]},
        {"numbers": [0.5, -1.25e-7, 1e300, 5e-324, 1.7976931348623157e308, 0.1]},
        {"others": [True, False, None]},
        {"null": None, "false": False, "zero": 0, "empty": {}, "list": []},
        {"deep": {"er": {"still": [{"a": [[]]}]}}},
        {"": 1, " ": 2, "a.b": 3, "$x": 4, "é": 5, 'a"b': 6, "a\\b": 7, "a\nb": 8, "__proto__": 9},
        {},
    ],
    ids=["texts", "integers", "numbers", "others", "falsy", "nesting", "keys", "empty"],
)
def test_metadata_is_any_json_object(thing: OfUser, metadata: dict[str, Any]) -> None:
    text = json.dumps(metadata, ensure_ascii=False)
    assert thing.create(text).status in {200, 201}
    assert thing.read() == metadata
    assert json.dumps(thing.read(), sort_keys=True) == json.dumps(metadata, sort_keys=True)


def test_metadata_may_be_absent_null_or_empty(way: Way, fresh: str) -> None:
    ways_to_say: dict[str, Any] = {
        "absent": {},
        "null": {"metadata": None},
        "empty": {"metadata": {}},
    }
    for name, said in ways_to_say.items():
        expected: Any = {} if name == "empty" else None
        user = way.request("POST", USERS, json={"user_id": f"{name} {fresh}", **said})
        session = way.request("POST", SESSIONS, json={"session_id": f"{name} {fresh}", **said})
        assert (user.json["metadata"], session.json["metadata"]) == (expected, expected)


def test_of_a_key_that_comes_twice_the_last_counts(thing: OfUser) -> None:
    thing.create('{"a":1,"b":2,"a":3}')
    assert thing.read() == {"a": 3, "b": 2}


def test_metadata_has_up_to_64_kib(thing: OfUser) -> None:
    longest = "x" * (64 * KIB - len('{"a":""}'))
    assert thing.create(f'{{"a":"{longest}"}}').status == 201
    assert thing.read() == {"a": longest}


def test_metadata_of_more_is_refused(thing: OfUser) -> None:
    too_long = "x" * (64 * KIB - len('{"a":""}') + 1)
    assert refusal_at(thing.create(f'{{"a":"{too_long}"}}')) == invalid(thing.field)


def test_the_limit_counts_bytes(thing: OfUser) -> None:
    assert refusal_at(thing.create(f'{{"a":"{"é" * 32 * KIB}"}}')) == invalid(thing.field)


def test_metadata_cannot_grow_beyond_the_limit(thing: OfUser) -> None:
    half = "x" * 33 * KIB
    thing.create(f'{{"a":"{half}"}}')
    assert refusal_at(thing.change(f'{{"b":"{half}"}}')) == invalid("metadata")
    assert thing.read() == {"a": half}
    assert thing.change(f'{{"a":null,"b":"{half}"}}').status == 200
    assert thing.read() == {"b": half}


def test_metadata_is_nested_up_to_64_levels(thing: OfUser) -> None:
    assert thing.create(nested(64)).status == 201
    assert thing.read() == json.loads(nested(64))


def test_lists_count_as_levels(thing: OfUser) -> None:
    assert refusal_at(thing.create('{"a":' + "[" * 64 + "]" * 64 + "}")) == invalid(thing.field)


DEPTHS = [65, 100, 500, 900, 950, 960, 970, 980, 990, 1_000, 2_000, 100_000]


def test_metadata_that_is_nested_more_deeply_is_refused(thing: OfUser) -> None:
    refused = {depth: refusal_at(thing.create(nested(depth))) for depth in DEPTHS}
    assert refused == dict.fromkeys(DEPTHS, invalid(thing.field))


def test_a_change_that_is_nested_more_deeply_is_refused(thing: OfUser) -> None:
    thing.create('{"a":1}')
    refused = {depth: refusal_at(thing.change(nested(depth))) for depth in DEPTHS}
    assert refused == dict.fromkeys(DEPTHS, invalid("metadata"))
    assert thing.read() == {"a": 1}


def test_a_change_cannot_nest_what_is_there_too_deeply(thing: OfUser) -> None:
    thing.create(nested(40))
    deeper = '{"a":' * 40 + nested(30) + "}" * 40
    assert refusal_at(thing.change(deeper)) == invalid("metadata")
    assert thing.read() == json.loads(nested(40))


BAD = {
    "a_list": "[]",
    "a_text": '"a"',
    "a_number": "5",
    "true": "true",
    "nul_in_a_text": '{"a":"b\\u0000c"}',
    "nul_in_a_key": '{"a\\u0000b":1}',
    "nul_far_inside": '{"a":[{"b":["\\u0000"]}]}',
    "half_a_pair_in_a_text": '{"a":"b\\ud800c"}',
    "other_half_of_a_pair": '{"a":"\\udc00"}',
    "a_pair_the_wrong_way_round": '{"a":"\\udc00\\ud800"}',
    "half_a_pair_in_a_key": '{"a\\ud800":1}',
    "half_a_pair_far_inside": '{"a":[{"b":["\\ud800"]}]}',
    "an_integer_of_65_bits": f'{{"a":{2**63}}}',
    "a_negative_integer_of_65_bits": f'{{"a":{-(2**63) - 1}}}',
    "an_integer_of_65_bits_far_inside": f'{{"a":[{{"b":[{2**64}]}}]}}',
    "an_integer_of_400_digits": f'{{"a":{10**400}}}',
    "a_number_that_is_too_great": '{"a":1e400}',
}


def test_bad_metadata_is_named(thing: OfUser) -> None:
    refused = {name: refusal_at(thing.create(text)) for name, text in BAD.items()}
    assert refused == dict.fromkeys(BAD, invalid(thing.field))


def test_a_bad_change_of_metadata_is_named(thing: OfUser) -> None:
    thing.create('{"x":{"y":1}}')
    refused = {name: refusal_at(thing.change(text)) for name, text in BAD.items()}
    assert refused == dict.fromkeys(BAD, invalid("metadata"))
    assert thing.read() == {"x": {"y": 1}}


def test_the_place_inside_metadata_is_named(thing: OfUser) -> None:
    for name in ("nul_far_inside", "half_a_pair_far_inside", "an_integer_of_65_bits_far_inside"):
        assert refusal(thing.create(BAD[name])) == invalid(f"{thing.field}.a[0].b[0]")


@pytest.mark.wire("bodies that are no JSON")
def test_what_is_no_json_cannot_be_read(thing: OfUser) -> None:
    for text in ("{", '{"a":NaN}', '{"a":Infinity}', '{"a":01}', "{'a':1}", "{}}"):
        assert refusal(thing.create(text)) == (400, "bad_request", [])


# How a change merges: RFC 7396.

RFC_7396: list[tuple[Any, Any, Any]] = [
    # Before, change, after. The examples of its appendix A that are about objects:
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    # And what else may happen:
    ({"a": 1}, {}, {"a": 1}),
    ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3}}}, {"a": {"b": {"c": 3, "d": 2}}}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ({"a": {"b": 1}}, {"a": []}, {"a": []}),
    ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
    ({"a": 1}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
    ({"a": [1, 2, 3]}, {"a": [4]}, {"a": [4]}),
    ({"a": 1}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
    ({"a": 1}, {"A": 2}, {"a": 1, "A": 2}),
    ({"a": 1, "": 2}, {"": None}, {"a": 1}),
    ({"a": 1}, {"b": None}, {"a": 1}),
    ({"a": True}, {"a": False}, {"a": False}),
    ({"a.b": 1, "a": {"b": 2}}, {"a": {"b": 3}}, {"a.b": 1, "a": {"b": 3}}),
]  # fmt: skip


def test_a_change_merges(thing: OfUser) -> None:
    before, change, after = (dict(enumerate(column)) for column in zip(*RFC_7396, strict=True))
    thing.create(json.dumps(before))
    expected = {str(number): merged for number, merged in after.items()}
    changed = thing.change(json.dumps(change))
    assert (changed.status, changed.json["metadata"]) == (200, expected)
    assert thing.read() == expected


def test_a_change_merges_at_the_top_too(thing: OfUser) -> None:
    thing.create('{"a":{"b":1},"c":null,"d":[1],"e":2}')
    thing.change('{"a":{"f":3},"d":null,"e":null,"g":null,"h":{"i":null}}')
    assert thing.read() == {"a": {"b": 1, "f": 3}, "c": None, "h": {}}


def test_a_change_of_null_removes_all_metadata(thing: OfUser) -> None:
    thing.create('{"a":1}')
    changed = thing.change("null")
    assert (changed.status, changed.json["metadata"]) == (200, None)
    assert thing.read() is None


def test_a_change_makes_metadata_where_there_was_none(thing: OfUser) -> None:
    thing.create("null")
    assert thing.change('{"a":1,"b":null}').status == 200
    assert thing.read() == {"a": 1}


def test_an_empty_change_makes_empty_metadata_of_none(thing: OfUser) -> None:
    thing.create("null")
    thing.change("{}")
    assert thing.read() == {}


def test_put_replaces_metadata(way: Way, fresh: str) -> None:
    way.request("PUT", USER, fresh, json={"metadata": {"a": {"b": 1}, "c": None}})
    replaced = way.request("PUT", USER, fresh, json={"metadata": {"a": {"d": None}}})
    assert replaced.json["metadata"] == {"a": {"d": None}}
    assert way.request("PUT", USER, fresh, json={}).json["metadata"] is None
