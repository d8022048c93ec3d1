"""Metadata: the same for users, sessions and messages."""

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
    ErrorSummary,
    error_of,
    invalid,
    open_session,
)
from tests.ways import Reply, Way

KIB = 1024


class UserMetadata:
    """The metadata of a user."""

    field = "metadata"
    path: str = USER

    def __init__(self, way: Way, fresh: str) -> None:
        self.way = way
        self.ids: tuple[str, ...] = (fresh,)

    def create(self, metadata: str) -> Reply:
        """Create the resource with metadata, given as JSON text."""
        body = f'{{"user_id":{json.dumps(self.ids[0])},"metadata":{metadata}}}'
        return self.way.request("POST", USERS, content=body.encode())

    def change(self, metadata: str) -> Reply:
        """Merge metadata, given as JSON text, into the stored metadata."""
        body = f'{{"metadata":{metadata}}}'.encode()
        return self.way.request("PATCH", self.path, *self.ids, content=body)

    def read(self) -> Any:
        """Return the stored metadata."""
        return self.way.request("GET", self.path, *self.ids).json["metadata"]


class SessionMetadata(UserMetadata):
    """The metadata of a session."""

    path = SESSION

    def create(self, metadata: str) -> Reply:
        body = f'{{"session_id":{json.dumps(self.ids[0])},"metadata":{metadata}}}'
        return self.way.request("POST", SESSIONS, content=body.encode())


class MessageMetadata(UserMetadata):
    """The metadata of a message."""

    field = "messages[0].metadata"
    path = MESSAGE

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        open_session(way, fresh)

    def create(self, metadata: str) -> Reply:
        session_id = self.ids[0]
        body = (
            f'{{"messages":[{{"role": "user", "content":"Hello","metadata":{metadata}}}]}}'.encode()
        )
        reply = self.way.request("POST", MESSAGES, session_id, content=body)
        if reply.status == 201:
            self.ids = (session_id, reply.json["messages"][0]["id"])
        return reply


@pytest.fixture(
    params=[UserMetadata, SessionMetadata, MessageMetadata], ids=["user", "session", "message"]
)
def resource(request: pytest.FixtureRequest, way: Way, fresh: str) -> UserMetadata:
    """A user, a session or a message."""
    kind: type[UserMetadata] = request.param
    return kind(way, fresh)


def error_without_path(reply: Reply) -> ErrorSummary:
    """Return the error without the path inside the metadata."""
    status, code, fields = error_of(reply)
    return status, code, [re.sub(r"(?<=metadata)[.\[].*", "", field) for field in fields]


def nested(depth: int) -> str:
    """Return an object of this many levels."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


# Valid and invalid metadata.


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
def test_metadata_can_be_any_json_object(resource: UserMetadata, metadata: dict[str, Any]) -> None:
    text = json.dumps(metadata, ensure_ascii=False)
    assert resource.create(text).status in {200, 201}
    assert resource.read() == metadata
    assert json.dumps(resource.read(), sort_keys=True) == json.dumps(metadata, sort_keys=True)


def test_metadata_can_be_absent_null_or_empty(way: Way, fresh: str) -> None:
    spellings: dict[str, Any] = {
        "absent": {},
        "null": {"metadata": None},
        "empty": {"metadata": {}},
    }
    for name, fields in spellings.items():
        expected: Any = {} if name == "empty" else None
        user = way.request("POST", USERS, json={"user_id": f"{name} {fresh}", **fields})
        session = way.request("POST", SESSIONS, json={"session_id": f"{name} {fresh}", **fields})
        assert (user.json["metadata"], session.json["metadata"]) == (expected, expected)


def test_the_last_value_of_a_duplicate_key_is_kept(resource: UserMetadata) -> None:
    resource.create('{"a":1,"b":2,"a":3}')
    assert resource.read() == {"a": 3, "b": 2}


def test_metadata_can_have_up_to_64_kib(resource: UserMetadata) -> None:
    longest = "x" * (64 * KIB - len('{"a":""}'))
    assert resource.create(f'{{"a":"{longest}"}}').status == 201
    assert resource.read() == {"a": longest}


def test_larger_metadata_is_rejected(resource: UserMetadata) -> None:
    too_long = "x" * (64 * KIB - len('{"a":""}') + 1)
    assert error_without_path(resource.create(f'{{"a":"{too_long}"}}')) == invalid(resource.field)


def test_the_limit_is_in_bytes(resource: UserMetadata) -> None:
    assert error_without_path(resource.create(f'{{"a":"{"é" * 32 * KIB}"}}')) == invalid(
        resource.field
    )


def test_metadata_cannot_grow_beyond_the_limit(resource: UserMetadata) -> None:
    half = "x" * 33 * KIB
    resource.create(f'{{"a":"{half}"}}')
    assert error_without_path(resource.change(f'{{"b":"{half}"}}')) == invalid("metadata")
    assert resource.read() == {"a": half}
    assert resource.change(f'{{"a":null,"b":"{half}"}}').status == 200
    assert resource.read() == {"b": half}


def test_metadata_can_be_nested_up_to_64_levels(resource: UserMetadata) -> None:
    assert resource.create(nested(64)).status == 201
    assert resource.read() == json.loads(nested(64))


def test_lists_count_as_levels(resource: UserMetadata) -> None:
    assert error_without_path(resource.create('{"a":' + "[" * 64 + "]" * 64 + "}")) == invalid(
        resource.field
    )


DEPTHS = [65, 100, 500, 900, 950, 960, 970, 980, 990, 1_000, 2_000, 100_000]


def test_metadata_nested_too_deeply_is_rejected(resource: UserMetadata) -> None:
    rejected = {depth: error_without_path(resource.create(nested(depth))) for depth in DEPTHS}
    assert rejected == dict.fromkeys(DEPTHS, invalid(resource.field))


def test_a_change_nested_too_deeply_is_rejected(resource: UserMetadata) -> None:
    resource.create('{"a":1}')
    rejected = {depth: error_without_path(resource.change(nested(depth))) for depth in DEPTHS}
    assert rejected == dict.fromkeys(DEPTHS, invalid("metadata"))
    assert resource.read() == {"a": 1}


def test_a_change_that_results_in_too_deep_nesting_is_rejected(resource: UserMetadata) -> None:
    resource.create(nested(40))
    deeper = '{"a":' * 40 + nested(30) + "}" * 40
    assert error_without_path(resource.change(deeper)) == invalid("metadata")
    assert resource.read() == json.loads(nested(40))


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


def test_invalid_metadata_is_named(resource: UserMetadata) -> None:
    rejected = {name: error_without_path(resource.create(text)) for name, text in BAD.items()}
    assert rejected == dict.fromkeys(BAD, invalid(resource.field))


def test_an_invalid_change_of_metadata_is_named(resource: UserMetadata) -> None:
    resource.create('{"x":{"y":1}}')
    rejected = {name: error_without_path(resource.change(text)) for name, text in BAD.items()}
    assert rejected == dict.fromkeys(BAD, invalid("metadata"))
    assert resource.read() == {"x": {"y": 1}}


def test_the_path_inside_metadata_is_named(resource: UserMetadata) -> None:
    for name in ("nul_far_inside", "half_a_pair_far_inside", "an_integer_of_65_bits_far_inside"):
        assert error_of(resource.create(BAD[name])) == invalid(f"{resource.field}.a[0].b[0]")


@pytest.mark.wire("bodies that are no JSON")
def test_invalid_json_is_rejected(resource: UserMetadata) -> None:
    for text in ("{", '{"a":NaN}', '{"a":Infinity}', '{"a":01}', "{'a':1}", "{}}"):
        assert error_of(resource.create(text)) == (400, "bad_request", [])


# How a change merges: RFC 7396.

RFC_7396: list[tuple[Any, Any, Any]] = [
    # Before, change, after. Those examples of appendix A that are objects:
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
    # Further cases:
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


def test_a_change_is_merged(resource: UserMetadata) -> None:
    before, change, after = (dict(enumerate(column)) for column in zip(*RFC_7396, strict=True))
    resource.create(json.dumps(before))
    expected = {str(number): merged for number, merged in after.items()}
    changed = resource.change(json.dumps(change))
    assert (changed.status, changed.json["metadata"]) == (200, expected)
    assert resource.read() == expected


def test_a_change_is_merged_at_the_top_level(resource: UserMetadata) -> None:
    resource.create('{"a":{"b":1},"c":null,"d":[1],"e":2}')
    resource.change('{"a":{"f":3},"d":null,"e":null,"g":null,"h":{"i":null}}')
    assert resource.read() == {"a": {"b": 1, "f": 3}, "c": None, "h": {}}


def test_a_change_of_null_removes_all_metadata(resource: UserMetadata) -> None:
    resource.create('{"a":1}')
    changed = resource.change("null")
    assert (changed.status, changed.json["metadata"]) == (200, None)
    assert resource.read() is None


def test_a_change_creates_missing_metadata(resource: UserMetadata) -> None:
    resource.create("null")
    assert resource.change('{"a":1,"b":null}').status == 200
    assert resource.read() == {"a": 1}


def test_an_empty_change_creates_empty_metadata(resource: UserMetadata) -> None:
    resource.create("null")
    resource.change("{}")
    assert resource.read() == {}


def test_put_replaces_metadata(way: Way, fresh: str) -> None:
    way.request("PUT", USER, fresh, json={"metadata": {"a": {"b": 1}, "c": None}})
    replaced = way.request("PUT", USER, fresh, json={"metadata": {"a": {"d": None}}})
    assert replaced.json["metadata"] == {"a": {"d": None}}
    assert way.request("PUT", USER, fresh, json={}).json["metadata"] is None
