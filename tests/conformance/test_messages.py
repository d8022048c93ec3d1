"""Messages."""

import json
import re
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    TIME,
    USER,
    UUID7,
    add_user,
    append,
    append_text,
    contents,
    delete,
    error_of,
    get_messages,
    get_session,
    get_user,
    invalid,
    moment,
    open_session,
    raw,
    search,
)
from tests.ways import Way

MIB = 1024 * 1024
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COMPLETE: dict[str, Any] = {
    "id": "75c40217-9af1-407d-b9a6-367069d29dd5",
    "role": "user",
    "name": "Jane, the captain",
    "content": "Is this the end?",
    "metadata": {"mood": {"name": "gloomy"}},
    "data": {"tool_calls": [{"id": 1}, None]},
    "token_count": 5,
    "created_at": "2020-02-29T12:00:00.123456Z",
}
UNCHANGED = {"edited_at": None, "revision": 1}
ROLES = ["system", "developer", "user", "assistant", "tool", "function", "norole"]
SYNONYMS = {"human": "user", "ai": "assistant", "model": "assistant", "bot": "assistant"}


@pytest.fixture
def session(way: Way, fresh: str) -> str:
    """The id of a new session."""
    open_session(way, fresh)
    return fresh


def test_a_message_is_appended_and_read_back(way: Way, session: str) -> None:
    appended = way.request("POST", MESSAGES, session, json={"messages": [COMPLETE]})
    assert (appended.status, appended.json["session_id"]) == (201, session)
    [message] = appended.json["messages"]
    assert message == {**COMPLETE, **UNCHANGED, "seq": 1}
    assert get_messages(way, session) == [message]
    assert way.request("GET", MESSAGE, session, COMPLETE["id"]).json == message


def test_only_the_role_and_the_content_of_a_message_are_required(way: Way, session: str) -> None:
    [message] = append(way, session, {"role": "user", "content": "Hello"})
    assert UUID7.fullmatch(message.pop("id"))
    assert TIME.fullmatch(message.pop("created_at"))
    assert message == {
        "seq": 1,
        "role": "user",
        "name": None,
        "content": "Hello",
        "edited_at": None,
        "revision": 1,
        "metadata": None,
        "data": None,
        "token_count": None,
    }


def test_messages_are_numbered_in_the_order_of_arrival(way: Way, session: str) -> None:
    append(way, session, {"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    append(way, session, {"role": "user", "content": "c"})
    numbered = [(message["seq"], message["content"]) for message in get_messages(way, session)]
    assert numbered == [(1, "a"), (2, "b"), (3, "c")]


def test_each_session_has_its_own_sequence(way: Way, fresh: str) -> None:
    for name in ("one", "other"):
        open_session(way, f"{name} {fresh}")
        assert append(way, f"{name} {fresh}", {"content": "Hello"})[0]["seq"] == 1


def test_a_thousand_messages_are_appended_in_one_batch(way: Way, session: str) -> None:
    appended = append(way, session, *({"role": "user", "content": str(n)} for n in range(1, 1001)))
    assert [message["seq"] for message in appended] == list(range(1, 1001))
    assert contents(way, session) == [str(n) for n in range(1, 1001)]
    assert get_session(way, session)["message_count"] == 1000


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_must_have_from_1_to_1000_messages(way: Way, session: str, count: int) -> None:
    assert error_of(append_text(way, session, *["Hello"] * count)) == invalid("messages")
    assert contents(way, session) == []


def test_a_batch_is_appended_completely_or_not_at_all(way: Way, session: str) -> None:
    append(way, session, {"role": "user", "content": "a"})
    before = get_session(way, session)
    body = {"messages": [{"role": "user", "content": "b"}, {"role": "user", "content": "c\0"}]}
    rejected = way.request("POST", MESSAGES, session, json=body)
    assert error_of(rejected) == invalid("messages[1].content")
    assert contents(way, session) == ["a"]
    assert get_session(way, session) == before


def test_a_rejected_message_uses_no_sequence_number(way: Way, session: str) -> None:
    append(way, session, {"role": "user", "content": "a", "id": COMPLETE["id"]})
    body = {
        "messages": [
            {"role": "user", "content": "b"},
            {"role": "user", "content": "c", "id": COMPLETE["id"]},
        ]
    }
    assert way.request("POST", MESSAGES, session, json=body).status == 409
    assert append(way, session, {"content": "d"})[0]["seq"] == 2
    assert get_session(way, session)["message_count"] == 2


# The owner of the session.


def test_an_append_with_a_user_opens_the_session_and_adds_the_user(way: Way, fresh: str) -> None:
    appended = append_text(way, f"session {fresh}", "Hello", user_id=fresh)
    assert appended.status == 201
    assert contents(way, f"session {fresh}") == ["Hello"]
    session = get_session(way, f"session {fresh}")
    assert (session["user_id"], session["message_count"]) == (fresh, 1)
    assert get_user(way, fresh)["revision"] == 1


def test_an_append_opens_a_session_for_a_known_user(way: Way, fresh: str) -> None:
    user = add_user(way, fresh, first_name="Jane")
    assert append_text(way, fresh, "Hello", user_id=fresh).status == 201
    assert get_session(way, fresh)["user_id"] == fresh
    assert get_user(way, fresh) == user


def test_an_append_with_a_user_sets_the_owner_of_the_session(way: Way, session: str) -> None:
    assert append_text(way, session, "Hello", user_id=session).status == 201
    assert get_session(way, session)["user_id"] == session
    assert get_user(way, session)["user_id"] == session


def test_an_append_can_repeat_the_owner(way: Way, fresh: str) -> None:
    for text in ("Hello", "again"):
        assert append_text(way, fresh, text, user_id=fresh).status == 201
    assert contents(way, fresh) == ["Hello", "again"]
    assert get_session(way, fresh)["revision"] == 1


def test_an_append_can_omit_the_owner(way: Way, fresh: str) -> None:
    append_text(way, fresh, "Hello", user_id=fresh)
    append(way, fresh, {"role": "user", "content": "again"})
    assert contents(way, fresh) == ["Hello", "again"]
    assert get_session(way, fresh)["user_id"] == fresh


def test_an_append_without_a_user_opens_no_session(way: Way, fresh: str) -> None:
    assert error_of(append_text(way, fresh, "Hello")) == NOT_FOUND
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_appending_to_the_session_of_another_user_is_rejected(way: Way, fresh: str) -> None:
    for user in ("jane", "john"):
        add_user(way, f"{user} {fresh}")
    before = open_session(way, fresh, user_id=f"jane {fresh}")
    rejected = append_text(way, fresh, "Hello", user_id=f"john {fresh}")
    assert error_of(rejected) == NOT_FOUND
    assert get_session(way, fresh) == before


def test_a_rejected_append_adds_no_user(way: Way, fresh: str) -> None:
    append_text(way, fresh, "Hello", user_id=f"jane {fresh}")
    assert append_text(way, fresh, "Hello", user_id=f"john {fresh}").status == 404
    assert error_of(way.request("GET", USER, f"john {fresh}")) == NOT_FOUND


def test_a_rejected_append_opens_no_session(way: Way, fresh: str) -> None:
    assert error_of(append_text(way, fresh, "\0", user_id=fresh)) == invalid("messages[0].content")
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


def test_a_null_user_id_is_ignored(way: Way, session: str) -> None:
    assert append_text(way, session, "Hello", user_id=None).status == 201
    assert get_session(way, session)["user_id"] is None


# What a message can contain.


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_accepted(way: Way, session: str, role: str) -> None:
    [message] = append(way, session, {"content": "Hello", "role": role})
    assert message["role"] == role


@pytest.mark.parametrize("role", SYNONYMS)
def test_other_words_for_a_role_are_stored_as_what_they_mean(
    way: Way, session: str, role: str
) -> None:
    [message] = append(way, session, {"content": "Hello", "role": role})
    assert message["role"] == SYNONYMS[role]
    assert get_messages(way, session) == [message]
    changed = way.request("PATCH", MESSAGE, session, message["id"], json={"role": role})
    assert changed.json["role"] == SYNONYMS[role]


def test_a_message_is_found_by_the_role_that_it_was_added_with(way: Way, session: str) -> None:
    append(way, session, {"content": "red shoes"}, {"role": "ai", "content": "blue shoes"})
    for role, content in (("user", "red shoes"), ("assistant", "blue shoes")):
        [hit] = search(way, "shoes", session_id=session, roles=[role])
        assert hit["message"]["content"] == content


@pytest.mark.parametrize(
    "name", ["x" * 512, "😀" * 512, "two\nlines"], ids=["longest", "emoji", "lines"]
)
def test_a_name_can_be_any_text(way: Way, session: str, name: str) -> None:
    [message] = append(way, session, {"content": "Hello", "name": name})
    assert get_messages(way, session) == [message]
    assert message["name"] == name


def test_an_empty_name_is_none(way: Way, session: str) -> None:
    [message] = append(way, session, {"content": "Hello", "name": ""})
    assert message["name"] is None


@pytest.mark.parametrize(
    "content",
    [
        " \n\t ",
        "\x01\x1f\x7f\x85\u2028\ufeff\ufffd\uffff",
        "Ὀδυσσεύς 😀👩‍👩‍👧 e\u0301 אבג",
        "\\ \" ' \\u0000 %00 &amp; \\N ${x} $1 ? :name",
    ],
    ids=["blank", "control_characters", "many_scripts", "signs"],
)
def test_content_can_be_any_text(way: Way, session: str, content: str) -> None:
    [message] = append(way, session, {"role": "user", "content": content})
    assert get_messages(way, session) == [message]
    assert message["content"] == content


EMPTY: dict[str, dict[str, Any]] = {
    "empty": {"content": ""},
    "null": {"content": None},
    "absent": {},
}


@pytest.mark.parametrize("name", EMPTY)
def test_content_can_be_empty_if_there_is_data(way: Way, session: str, name: str) -> None:
    call = {"role": "assistant", "data": {"tool_calls": [1]}, **EMPTY[name]}
    [message] = append(way, session, call)
    assert (message["content"], message["data"]) == ("", {"tool_calls": [1]})
    assert get_messages(way, session) == [message]


@pytest.mark.parametrize("data", [{}, {"data": None}], ids=["absent", "null"])
@pytest.mark.parametrize("name", EMPTY)
def test_a_message_without_content_and_data_is_rejected(
    way: Way, session: str, name: str, data: dict[str, Any]
) -> None:
    body = {"messages": [{"role": "user", **EMPTY[name], **data}]}
    rejected = way.request("POST", MESSAGES, session, json=body)
    assert error_of(rejected) == invalid("messages[0].content")
    assert contents(way, session) == []


def test_content_can_be_escaped_in_json(way: Way, session: str) -> None:
    body = raw({"messages": [{"role": "user", "content": "é😀"}]})
    assert b"\\ud83d\\ude00" in body
    assert way.request("POST", MESSAGES, session, content=body).status == 201
    assert contents(way, session) == ["é😀"]


@pytest.mark.parametrize("content", ["x" * MIB, "é" * (MIB // 2)], ids=["ascii", "accents"])
def test_content_can_have_up_to_a_mebibyte(way: Way, session: str, content: str) -> None:
    append(way, session, {"role": "user", "content": content})
    assert contents(way, session) == [content]


@pytest.mark.parametrize(
    "content", ["x" * (MIB + 1), "é" * (MIB // 2) + "x"], ids=["ascii", "accents"]
)
def test_larger_content_is_rejected(way: Way, session: str, content: str) -> None:
    assert error_of(append_text(way, session, content)) == invalid("messages[0].content")
    assert contents(way, session) == []


@pytest.mark.parametrize("count", [0, 1, 2**31 - 1])
def test_a_client_can_set_the_token_count(way: Way, session: str, count: int) -> None:
    [message] = append(way, session, {"role": "user", "content": "Hello", "token_count": count})
    assert get_messages(way, session) == [message]
    assert message["token_count"] == count


IDS = [
    "msg_01XFDUDYJgAACzvnptvVoYEL",
    "0",
    "x" * 128,
    "é/😀 ?#",
    "😀" * 128,
    COMPLETE["id"].upper(),
]


@pytest.mark.parametrize("id_", IDS, ids=range(len(IDS)))
def test_the_id_of_a_message_can_be_any_text(way: Way, session: str, id_: str) -> None:
    [message] = append(way, session, {"content": "Hello", "id": id_})
    assert message["id"] == id_
    path = (MESSAGE, session, id_)
    assert way.request("GET", *path).json == message
    changed = way.request("PATCH", *path, json={"content": "Hi"})
    assert (changed.json["id"], changed.json["content"]) == (id_, "Hi")
    assert UUID.fullmatch(delete(way, *path)["subject_uuid"])
    assert error_of(way.request("GET", *path)) == NOT_FOUND


def test_the_longest_ids_of_a_session_and_a_message_fit_together(way: Way, fresh: str) -> None:
    longest = fresh + "😀" * (512 - len(fresh))
    open_session(way, longest)
    [message] = append(way, longest, {"content": "Hello", "id": "😀" * 128})
    assert way.request("GET", MESSAGE, longest, "😀" * 128).json == message


def test_an_id_is_unique_in_a_session(way: Way, session: str) -> None:
    append(way, session, {"content": "a", "id": "one"})
    body = {"messages": [{"role": "user", "content": "b", "id": "one"}]}
    rejected = way.request("POST", MESSAGES, session, json=body)
    assert error_of(rejected) == (409, "already_exists", ["id"])
    assert contents(way, session) == ["a"]


def test_ids_differ_by_case(way: Way, session: str) -> None:
    append(way, session, {"content": "a", "id": "one"}, {"content": "b", "id": "ONE"})
    assert way.request("GET", MESSAGE, session, "ONE").json["content"] == "b"


def test_an_id_is_unique_in_a_batch(way: Way, session: str) -> None:
    body = {"messages": [{"role": "user", "content": text, "id": "one"} for text in "ab"]}
    status, code, _ = error_of(way.request("POST", MESSAGES, session, json=body))
    assert (status, code) == (409, "already_exists")
    assert contents(way, session) == []


def test_messages_of_two_sessions_can_have_the_same_id(way: Way, fresh: str) -> None:
    for name in ("one", "other"):
        open_session(way, f"{name} {fresh}")
        append(way, f"{name} {fresh}", {"role": "user", "content": name, "id": COMPLETE["id"]})
    for name in ("one", "other"):
        found = way.request("GET", MESSAGE, f"{name} {fresh}", COMPLETE["id"])
        assert found.json["content"] == name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2020-02-29T12:00:00Z", "2020-02-29T12:00:00Z"),
        ("2020-02-29T12:00:00.5Z", "2020-02-29T12:00:00.500000Z"),
        ("2020-02-29T12:00:00.000001Z", "2020-02-29T12:00:00.000001Z"),
        ("2020-02-29T12:00:00+05:30", "2020-02-29T06:30:00Z"),
        ("2020-02-29T12:00:00", "2020-02-29T12:00:00Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00Z"),
    ],
)
def test_a_client_can_set_created_at(way: Way, session: str, given: str, kept: str) -> None:
    [message] = append(way, session, {"role": "user", "content": "Hello", "created_at": given})
    assert moment(message["created_at"]) == moment(kept)
    assert get_messages(way, session) == [message]


@pytest.mark.parametrize(
    "given", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+00:01"]
)
def test_a_time_outside_the_years_1_to_9999_is_rejected(way: Way, session: str, given: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hello", "created_at": given}]}
    rejected = way.request("POST", MESSAGES, session, json=body)
    assert error_of(rejected) == invalid("messages[0].created_at")
    assert contents(way, session) == []


def test_messages_are_in_the_order_of_arrival_regardless_of_created_at(
    way: Way, session: str
) -> None:
    times = ["2020-01-02T00:00:00Z", "2020-01-03T00:00:00Z", "2020-01-01T00:00:00Z"]
    append(way, session, *({"role": "user", "content": time, "created_at": time} for time in times))
    assert contents(way, session) == times


DATA = {
    "spaces": '{ "a" : [ 1 , 2 ] }',
    "lines": '{\n\t"a": 1\r\n}',
    "keys_in_an_order_of_their_own": '{"b":1,"a":2,"c":3}',
    "a_key_twice": '{"a":1,"a":2}',
    "numbers_as_written": "[1.0,1e2,1E+2,-0,0.10,1e-7,12345678901234567890123]",
    "escapes_as_written": '["\\u00e9","\\/","\\u0000","é"]',
    "a_text": '"text"',
    "a_number": "5",
    "false": "false",
    "an_empty_object": "{}",
    "an_empty_list": "[]",
    "nested": "[" * 64 + "]" * 64,
}


@pytest.mark.wire("a typed reader gets a value")
@pytest.mark.parametrize("name", DATA)
def test_data_is_returned_byte_for_byte(way: Way, session: str, name: str) -> None:
    body = f'{{"messages":[{{"role": "user", "content":"Hello","data":{DATA[name]}}}]}}'.encode()
    appended = way.request("POST", MESSAGES, session, content=body)
    assert appended.status == 201, appended
    id_ = appended.json["messages"][0]["id"]
    replies = [
        appended,
        way.request("GET", MESSAGES, session),
        way.request("GET", MESSAGE, session, id_),
        way.request("PATCH", MESSAGE, session, id_, json={"name": "Jane"}),
    ]
    for reply in replies:
        assert f'"data":{DATA[name]},' in reply.text


@pytest.mark.parametrize("name", DATA)
def test_data_is_returned_as_the_same_value(way: Way, session: str, name: str) -> None:
    body = f'{{"messages":[{{"role": "user", "content":"Hello","data":{DATA[name]}}}]}}'.encode()
    appended = way.request("POST", MESSAGES, session, content=body)
    assert appended.status == 201, appended
    [message] = appended.json["messages"]
    assert message["data"] == json.loads(DATA[name])
    assert get_messages(way, session) == [message]
    assert way.request("GET", MESSAGE, session, message["id"]).json == message


def test_null_data_is_returned_as_null(way: Way, session: str) -> None:
    [message] = append(way, session, {"role": "user", "content": "Hello", "data": None})
    assert message["data"] is None


def test_data_can_have_up_to_a_mebibyte(way: Way, session: str) -> None:
    longest = "x" * (MIB - 2)
    [message] = append(way, session, {"role": "user", "content": "Hello", "data": longest})
    assert message["data"] == longest
    body = {"messages": [{"role": "user", "content": "Hello", "data": longest + "x"}]}
    rejected = way.request("POST", MESSAGES, session, json=body)
    assert error_of(rejected) == invalid("messages[0].data")


@pytest.mark.parametrize("depth", [65, 500, 2_000, 100_000])
def test_data_nested_too_deeply_is_rejected(way: Way, session: str, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    body = f'{{"messages":[{{"role": "user", "content":"Hello","data":{nested}}}]}}'.encode()
    rejected = way.request("POST", MESSAGES, session, content=body)
    assert error_of(rejected) == invalid("messages[0].data")
    assert contents(way, session) == []


BAD_FIELDS: dict[str, tuple[str, Any]] = {
    "content_as_a_number": ("content", 5),
    "content_as_a_list": ("content", ["Hello"]),
    "content_with_nul": ("content", "a\0b"),
    "content_with_half_a_pair": ("content", "a\ud800b"),
    "role_as_null": ("role", None),
    "role_as_a_number": ("role", 5),
    "role_unknown": ("role", "captain"),
    "role_empty": ("role", ""),
    "role_in_another_case": ("role", "User"),
    "name_as_a_number": ("name", 5),
    "name_too_long": ("name", "x" * 513),
    "name_with_nul": ("name", "\0"),
    "name_with_half_a_pair": ("name", "\udfff"),
    "id_empty": ("id", ""),
    "id_too_long": ("id", "x" * 129),
    "id_with_a_line": ("id", "one\n"),
    "id_with_nul": ("id", "\0"),
    "id_of_a_folder": ("id", ".."),
    "id_with_half_a_pair": ("id", "\ud800"),
    "id_as_a_number": ("id", 5),
    "token_count_negative": ("token_count", -1),
    "token_count_of_32_bits": ("token_count", 2**31),
    "token_count_of_65_bits": ("token_count", 2**64),
    "token_count_with_a_fraction": ("token_count", 1.5),
    "token_count_as_text": ("token_count", "5"),
    "token_count_as_true": ("token_count", True),
    "created_at_as_a_number": ("created_at", 5),
    "created_at_on_no_day": ("created_at", "2021-02-29T12:00:00Z"),
    "created_at_as_text": ("created_at", "yesterday"),
    "created_at_empty": ("created_at", ""),
    "metadata_as_a_list": ("metadata", []),
    "metadata_as_text": ("metadata", "{}"),
}
UNKNOWN_FIELDS = {"seq": 5, "mood": "gloomy", "uuid": "x", "role_type": "user", "revision": 1}


def test_an_invalid_field_of_a_message_is_named(way: Way, session: str) -> None:
    rejected = {}
    for name, (field, value) in BAD_FIELDS.items():
        body = {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "user", "content": "Hello", field: value},
            ]
        }
        rejected[name] = error_of(way.request("POST", MESSAGES, session, content=raw(body)))
    assert rejected == {
        name: invalid(f"messages[1].{field}") for name, (field, _) in BAD_FIELDS.items()
    }
    assert contents(way, session) == []


BAD_BATCHES: dict[str, tuple[dict[str, Any], str]] = {
    "messages_as_null": ({"messages": None}, "messages"),
    "a_message_as_text": ({"messages": ["Hello"]}, "messages[0]"),
    "a_message_as_null": (
        {"messages": [{"role": "user", "content": "Hello"}, None]},
        "messages[1]",
    ),
    "user_id_as_a_number": (
        {"messages": [{"role": "user", "content": "Hello"}], "user_id": 5},
        "user_id",
    ),
    "user_id_empty": (
        {"messages": [{"role": "user", "content": "Hello"}], "user_id": ""},
        "user_id",
    ),
}
# Bodies that no typed method can send.
UNTYPED_BATCHES: dict[str, tuple[dict[str, Any], str]] = {
    "no_messages": ({}, "messages"),
    "messages_as_an_object": ({"messages": {"role": "user", "content": "Hello"}}, "messages"),
    "no_role": ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
    "unknown": (
        {"messages": [{"role": "user", "content": "Hello"}], "session_id": "x"},
        "session_id",
    ),
}


def test_an_invalid_field_of_a_batch_is_named(way: Way, session: str) -> None:
    rejected = {
        name: error_of(way.request("POST", MESSAGES, session, json=body))
        for name, (body, _) in BAD_BATCHES.items()
    }
    assert rejected == {name: invalid(field) for name, (_, field) in BAD_BATCHES.items()}
    assert contents(way, session) == []


@pytest.mark.wire("fields that no method has, or that each must have")
@pytest.mark.parametrize("name", UNTYPED_BATCHES)
def test_an_unknown_or_missing_field_of_a_batch_is_named(way: Way, session: str, name: str) -> None:
    body, field = UNTYPED_BATCHES[name]
    assert error_of(way.request("POST", MESSAGES, session, json=body)) == invalid(field)
    assert contents(way, session) == []


@pytest.mark.wire("fields that no method has")
@pytest.mark.parametrize("field", UNKNOWN_FIELDS)
def test_an_unknown_field_of_a_message_is_named(way: Way, session: str, field: str) -> None:
    before = append(way, session, COMPLETE)
    fields = {field: UNKNOWN_FIELDS[field]}
    body = {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "user", "content": "Hello", **fields},
        ]
    }
    appended = way.request("POST", MESSAGES, session, json=body)
    assert error_of(appended) == invalid(f"messages[1].{field}")
    edited = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json=fields)
    assert error_of(edited) == invalid(field)
    assert get_messages(way, session) == before


# Reading, editing and deleting one message.

BODIES: dict[str, Any] = {"GET": None, "PATCH": {}, "DELETE": None}


@pytest.mark.parametrize("method", BODIES)
def test_an_unknown_message_is_not_found(way: Way, session: str, method: str) -> None:
    body = BODIES[method]
    for id_ in (COMPLETE["id"], "1", "no uuid", "%00", "\0", "é", "x" * 600):
        assert error_of(way.request(method, MESSAGE, session, id_, json=body)) == NOT_FOUND


@pytest.mark.parametrize("method", BODIES)
def test_a_message_is_found_in_its_own_session_only(way: Way, fresh: str, method: str) -> None:
    for name in ("one", "other"):
        open_session(way, f"{name} {fresh}")
    [message] = append(way, f"one {fresh}", {"role": "user", "content": "Hello"})
    body = BODIES[method]
    rejected = way.request(method, MESSAGE, f"other {fresh}", message["id"], json=body)
    assert error_of(rejected) == NOT_FOUND
    assert contents(way, f"one {fresh}") == ["Hello"]


@pytest.mark.parametrize("method", BODIES)
def test_a_message_of_an_unknown_session_is_not_found(way: Way, fresh: str, method: str) -> None:
    body = BODIES[method]
    rejected = way.request(method, MESSAGE, fresh, COMPLETE["id"], json=body)
    assert error_of(rejected) == NOT_FOUND


CHANGES: dict[str, dict[str, Any]] = {
    "role": {"role": "assistant"},
    "name": {"name": "John"},
    "content": {"content": "It is not."},
    "data": {"data": [1, {"b": None}]},
    "token_count": {"token_count": 0},
    "metadata": {"metadata": None},
    "values_that_are_removed": {"name": None, "data": None, "token_count": None},
    "all": {
        "role": "tool",
        "name": "weather",
        "content": "",
        "data": "sunny",
        "token_count": 2,
        "metadata": None,
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_message_can_be_changed(way: Way, session: str, name: str) -> None:
    change = CHANGES[name]
    append(way, session, {"content": "before"}, COMPLETE, {"content": "after"})
    edited = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json=change)
    assert edited.status == 200
    moment(edited.json["edited_at"])
    new = {"seq": 2, "revision": 2, "edited_at": edited.json["edited_at"]}
    assert edited.json == {**COMPLETE, **new, **change}
    assert get_messages(way, session)[1] == edited.json


def test_a_change_of_a_message_to_what_is_there_changes_nothing(way: Way, session: str) -> None:
    [message] = append(way, session, COMPLETE)
    names = ("role", "name", "content", "data", "token_count", "metadata")
    same = {name: message[name] for name in names}
    changes: list[dict[str, Any]] = [{}, {"content": message["content"]}, {"metadata": {}}, same]
    for change in changes:
        edited = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json=change)
        assert (edited.status, edited.json) == (200, message)
    assert get_messages(way, session) == [message]


def test_a_streamed_message_is_completed(way: Way, session: str) -> None:
    [message] = append(way, session, {"role": "assistant", "content": "I"})
    for revision, content in enumerate(("I am", "I am here."), 2):
        change = {"content": content, "token_count": len(content.split())}
        edited = way.request("PATCH", MESSAGE, session, message["id"], json=change)
        assert (edited.json["revision"], edited.json["content"]) == (revision, content)
    [hit] = search(way, "here", session_id=session)
    assert hit["message"] == {**edited.json, "session_id": session}


@pytest.mark.parametrize("content", ["", None])
def test_a_change_to_neither_content_nor_data_is_rejected(
    way: Way, session: str, content: str | None
) -> None:
    before = append(way, session, {"content": "a", "id": "1"}, COMPLETE)
    for id_, change in (
        ("1", {"content": content}),
        (COMPLETE["id"], {"content": content, "data": None}),
    ):
        rejected = way.request("PATCH", MESSAGE, session, id_, json=change)
        assert error_of(rejected) == invalid("content")
    assert get_messages(way, session) == before
    emptied = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json={"content": content})
    assert (emptied.status, emptied.json["content"]) == (200, "")
    rejected = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json={"data": None})
    assert error_of(rejected) == invalid("content")


def test_an_edit_does_not_change_the_session(way: Way, session: str) -> None:
    append(way, session, COMPLETE)
    before = get_session(way, session)
    way.request("PATCH", MESSAGE, session, COMPLETE["id"], json={"content": "Never mind."})
    after = get_session(way, session)
    for stays in ("message_count", "revision"):
        assert after[stays] == before[stays]


BAD_CHANGES = {name: bad for name, bad in BAD_FIELDS.items() if bad[0] not in {"id", "created_at"}}


def test_an_invalid_field_of_an_edit_is_named(way: Way, session: str) -> None:
    before = append(way, session, COMPLETE)
    path = (MESSAGE, session, COMPLETE["id"])
    rejected = {
        name: error_of(way.request("PATCH", *path, content=raw({field: value})))
        for name, (field, value) in BAD_CHANGES.items()
    }
    assert rejected == {name: invalid(field) for name, (field, _) in BAD_CHANGES.items()}
    assert get_messages(way, session) == before


@pytest.mark.wire("fields that no method has")
def test_other_fields_cannot_be_edited(way: Way, session: str) -> None:
    before = append(way, session, COMPLETE)
    for field, value in {"id": "x", "created_at": COMPLETE["created_at"], "revision": 1}.items():
        rejected = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json={field: value})
        assert error_of(rejected) == invalid(field)
    assert get_messages(way, session) == before


def test_an_edit_with_too_large_content_is_rejected(way: Way, session: str) -> None:
    before = append(way, session, COMPLETE)
    change = {"content": "x" * (MIB + 1)}
    rejected = way.request("PATCH", MESSAGE, session, COMPLETE["id"], json=change)
    assert error_of(rejected) == invalid("content")
    assert get_messages(way, session) == before


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_the_sequence_number_of_a_deleted_message_is_not_reused(
    way: Way, session: str, place: int
) -> None:
    messages = append(way, session, *({"role": "user", "content": text} for text in "abc"))
    delete(way, MESSAGE, session, messages[place]["id"])
    append(way, session, {"role": "user", "content": "d"})
    numbers = [message["seq"] for message in get_messages(way, session)]
    assert numbers == [number for number in (1, 2, 3, 4) if number != place + 1]


def test_message_count_excludes_deleted_messages(way: Way, session: str) -> None:
    counts = [get_session(way, session)["message_count"]]
    messages = append(
        way, session, {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    )
    counts.append(get_session(way, session)["message_count"])
    delete(way, MESSAGE, session, messages[0]["id"])
    counts.append(get_session(way, session)["message_count"])
    append(way, session, {"role": "user", "content": "c"})
    counts.append(get_session(way, session)["message_count"])
    assert counts == [0, 2, 1, 2]


def test_the_id_of_a_deleted_message_can_be_reused(way: Way, session: str) -> None:
    append(way, session, COMPLETE)
    delete(way, MESSAGE, session, COMPLETE["id"])
    assert append(way, session, COMPLETE) == [{**COMPLETE, **UNCHANGED, "seq": 2}]


def test_json_in_content_is_plain_text(way: Way, session: str) -> None:
    content = json.dumps({"messages": [{"role": "user", "content": "\\ud800", "seq": 5}]})
    append(way, session, {"role": "user", "content": content})
    assert contents(way, session) == [content]
