"""Filters of the lists of users and sessions."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.conformance.listed import Sessions, Users
from tests.conformance.steps import (
    SESSIONS,
    USERS,
    add_user,
    delete,
    error_of,
    invalid,
    moment,
    open_session,
)
from tests.ways import HttpWay, Way


@pytest.fixture(params=[Users, Sessions], ids=["users", "sessions"])
def rows(request: pytest.FixtureRequest, way: Way, fresh: str) -> Users:
    """The users or sessions of one test."""
    kind: type[Users] = request.param
    return kind(way, fresh)


# E-mail addresses and owners.


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("jane@example.com", "jane@example.com"),
        ("Jane@Example.COM", "jane@example.com"),
        ("jane@example.com", "JANE@EXAMPLE.COM"),
        ("ÉLODIE@straße.de", "élodie@STRASSE.DE"),
        ("jane+a b&c=%20@example.com", "jane+a b&c=%20@example.com"),
        ("null", "NULL"),
    ],
)
def test_users_are_found_by_email_in_any_case(
    way: Way, fresh: str, stored: str, asked: str
) -> None:
    add_user(way, f"jane {fresh}", email=f"{fresh}{stored}")
    add_user(way, f"john {fresh}", email=f"{fresh} john@example.com")
    found = way.request("GET", USERS, params={"email": f"{fresh}{asked}"})
    assert [user["user_id"] for user in found.json["items"]] == [f"jane {fresh}"]
    assert found.json["items"][0]["email"] == f"{fresh}{stored}"


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (" {}@example.com\t", "{}@example.com"),
        ("{}@example.com", "\u3000{}@example.com\n"),
        ("{}-İpek@example.com", "{}-İPEK@EXAMPLE.COM"),
        ("{}-İPEK@example.com", "{}-ipek@example.com"),
        ("{}-ipek@example.com", "{}-I\u0307PEK@example.com"),
        ("{}-\u0131rmak@example.com", "{}-IRMAK@example.com"),
        ("{}-\u00e9lodie@example.com", "{}-E\u0301LODIE@example.com"),
        ("{}-e\u0301lodie@example.com", "{}-\u00c9lodie@example.com"),
        ("{}-\u03ac@example.gr", "{}-\u0391\u0301@example.gr"),
    ],
)
def test_an_email_is_found_in_each_form_and_kept_as_it_was_given(
    way: Way, fresh: str, stored: str, asked: str
) -> None:
    email = stored.format(fresh)
    user = add_user(way, fresh, email=email)
    assert user["email"] == email
    found = way.request("GET", USERS, params={"email": asked.format(fresh), "count": True}).json
    assert [each["user_id"] for each in found["items"]] == [fresh]
    assert (found["items"][0]["email"], found["count"]) == (email, 1)


def test_users_can_have_the_same_email(way: Way, fresh: str) -> None:
    for name in "ab":
        add_user(way, f"{name} {fresh}", email=fresh)
    found = way.request("GET", USERS, params={"email": fresh.upper()})
    assert [user["user_id"] for user in found.json["items"]] == [f"{name} {fresh}" for name in "ab"]


def test_part_of_an_email_matches_no_user(way: Way, fresh: str) -> None:
    add_user(way, fresh, email=f"{fresh}@example.com")
    for part in (fresh, f"{fresh}%", f"{fresh}@example.co_", "%"):
        assert way.request("GET", USERS, params={"email": part}).json["items"] == []


def test_users_are_found_by_their_current_email(way: Way, fresh: str) -> None:
    add_user(way, fresh, email=f"{fresh}@before")
    way.request("PATCH", "/v1/users/{}", fresh, json={"email": f"{fresh}@PATCHED"})
    assert way.request("GET", USERS, params={"email": f"{fresh}@before"}).json["items"] == []
    [found] = way.request("GET", USERS, params={"email": f"{fresh}@patched"}).json["items"]
    assert found["user_id"] == fresh
    way.request("PUT", "/v1/users/{}", fresh, json={"email": f"{fresh}@PUT"})
    assert way.request("GET", USERS, params={"email": f"{fresh}@patched"}).json["items"] == []
    [found] = way.request("GET", USERS, params={"email": f"{fresh}@put"}).json["items"]
    assert found["user_id"] == fresh


def test_sessions_are_found_by_their_owner(way: Way, fresh: str) -> None:
    for name in ("jane", "john"):
        add_user(way, f"{name} {fresh}")
        open_session(way, f"of {name} {fresh}", user_id=f"{name} {fresh}")
    found = way.request("GET", SESSIONS, params={"user_id": f"jane {fresh}"})
    assert [session["session_id"] for session in found.json["items"]] == [f"of jane {fresh}"]


def test_the_owner_filter_is_case_sensitive(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh, user_id=fresh)
    found = way.request("GET", SESSIONS, params={"user_id": fresh.upper()})
    assert found.json["items"] == []


@pytest.mark.parametrize("user_id", ["unknown", "", "\0", "x" * 600, "null"])
def test_an_unknown_owner_has_no_sessions(way: Way, user_id: str) -> None:
    found = way.request("GET", SESSIONS, params={"user_id": user_id})
    assert (found.status, found.json) == (200, {"items": [], "next": None})


# Times.


def test_rows_are_found_by_creation_time(rows: Users) -> None:
    a, b, c = (moment(rows.add(name)["created_at"]) for name in "abc")
    assert rows.find(created_after=a.isoformat()) == ["b", "c"]
    assert rows.find(created_before=c.isoformat()) == ["a", "b"]
    assert rows.find(created_after=a.isoformat(), created_before=c.isoformat()) == ["b"]
    a_little = timedelta(microseconds=1)
    around_b = {"created_after": b - a_little, "created_before": b + a_little}
    assert rows.find(**{name: at.isoformat() for name, at in around_b.items()}) == ["b"]


def test_a_time_can_have_any_utc_offset(rows: Users) -> None:
    created_at = rows.add("a")["created_at"]
    for sign, found in (("+", ["a"]), ("-", [])):
        earlier_or_later = created_at.replace("Z", f"{sign}05:30")
        assert rows.find(created_after=earlier_or_later) == found


def test_a_time_without_an_offset_is_in_utc(rows: Users) -> None:
    created_at = rows.add("a")["created_at"].removesuffix("Z")
    assert rows.find(created_after=created_at) == []
    before = (moment(f"{created_at}Z") - timedelta(microseconds=1)).replace(tzinfo=None)
    assert rows.find(created_after=before.isoformat()) == ["a"]


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_a_time_can_be_in_any_year(rows: Users, year: str) -> None:
    rows.add("a")
    parameter = "created_after" if year == "0001" else "created_before"
    assert rows.find(**{parameter: f"{year}-06-01T00:00:00Z"}) == ["a"]


def test_a_date_is_its_beginning_in_utc(rows: Users) -> None:
    first = rows.add("a", created_at="2020-02-29T00:00:00Z")
    second = rows.add("b", created_at="2020-02-29")
    assert moment(first["created_at"]) == moment(second["created_at"])
    assert rows.find(created_after="2020-02-28") == ["a", "b"]
    assert rows.find(created_after="2020-02-29") == []


INVALID_TIMES = [
    "", "yesterday", "2021-02-29", "2021-02-29T00:00:00Z", "2020-01-01T25:00:00Z", "null", "1e300",
    "2027", "20270101", "0", "-1", "1.5", "253402300800", "2027-01", "2027-W01-1", "2027-01-01Z",
    " 2027-01-01", "2027-01-01T11:30:00 02:00",
]  # fmt: skip


@pytest.mark.parametrize("parameter", ["created_after", "created_before"])
def test_an_invalid_time_is_named(rows: Users, parameter: str) -> None:
    rejected = {
        date: error_of(rows.way.request("GET", rows.path, params={parameter: date}))
        for date in INVALID_TIMES
    }
    assert rejected == dict.fromkeys(INVALID_TIMES, invalid(parameter))


# Metadata.

STORED: dict[str, Any] = {
    "one": 1,
    "one_point_oh": 1.0,
    "one_and_a_half": 1.5,
    "text_one": "1",
    "true": True,
    "false": False,
    "text_true": "true",
    "null": None,
    "text_null": "null",
    "zero": 0,
    "empty_text": "",
    "text": "Paris",
    "other_text": "paris",
    "code": "01234",
    "quotes": 'O\'Hara "x" \\ %_*',
    "emoji": "😀",
    "empty_object": {},
    "empty_list": [],
    "list": [1],
    "greatest": 2**63 - 1,
    "nearly_greatest": 2**63 - 2,
}


FOUND = {
    "1": ["one", "one_point_oh"],
    "1.0": ["one", "one_point_oh"],
    "1e0": ["one", "one_point_oh"],
    "1.5": ["one_and_a_half"],
    '"1"': ["text_one"],
    "true": ["true"],
    "false": ["false"],
    '"true"': ["text_true"],
    "null": ["null"],
    '"null"': ["text_null"],
    "0": ["zero"],
    "-0.0": ["zero"],
    "": ["empty_text"],
    '""': ["empty_text"],
    "Paris": ["text"],
    '"Paris"': ["text"],
    "01234": ["code"],
    'O\'Hara "x" \\ %_*': ["quotes"],
    "😀": ["emoji"],
    '"\\ud83d\\ude00"': ["emoji"],
    str(2**63 - 1): ["greatest"],
    str(2**63 - 2): ["nearly_greatest"],
    "True": [],
    "Pari": [],
    "Paris ": [],
    "2": [],
    str(2**70): [],
    "1e400": [],
    "NaN": [],
}


ALSO_FOUND_IN_ADDRESSES = {"1": ["text_one"], "true": ["text_true"], "null": ["text_null"]}
"""The texts: a value in an address has no type; an argument of a typed method has."""


def test_rows_are_found_by_a_value_of_their_metadata(rows: Users) -> None:
    for name, value in STORED.items():
        rows.add(name, metadata={"city": value})
    rows.add("empty", metadata={})
    rows.add("none")
    texts = ALSO_FOUND_IN_ADDRESSES if isinstance(rows.way, HttpWay) else {}
    expected = {asked: [*found, *texts.get(asked, [])] for asked, found in FOUND.items()}
    assert {asked: rows.find(**{"metadata.city": asked}) for asked in FOUND} == expected


def test_a_path_goes_into_objects(rows: Users) -> None:
    rows.add("deep", metadata={"address": {"city": {"name": "Paris"}}})
    rows.add("flat", metadata={"address": {"city": "Paris"}})
    rows.add("dotted", metadata={"address.city": "Paris"})
    rows.add("in_a_list", metadata={"address": [{"city": "Paris"}]})
    assert rows.find(**{"metadata.address.city": "Paris"}) == ["flat"]
    assert rows.find(**{"metadata.address.city.name": "Paris"}) == ["deep"]


@pytest.mark.wire("an argument of a method cannot be repeated")
def test_all_conditions_on_one_field_must_match(rows: Users) -> None:
    rows.add("number", metadata={"zip": 12345})
    rows.add("text", metadata={"zip": "12345"})
    found = {
        values: rows.find(**{"metadata.zip": list(values)})
        for values in (("12345",), ("12345", '"12345"'), ("12345", "12345.0"), ("12345", "1"))
    }
    assert list(found.values()) == [["number", "text"], ["text"], ["number"], []]


def test_all_conditions_must_match(rows: Users) -> None:
    rows.add("a", metadata={"x": 1, "y": "2"})
    rows.add("b", metadata={"x": 1, "y": "3"})
    rows.add("c", metadata={"x": 2, "y": "2"})
    assert rows.find(**{"metadata.x": "1", "metadata.y": '"2"'}) == ["a"]
    assert rows.find(**{"metadata.x": "2", "metadata.y": '"3"'}) == []


KEYS = [
    "a b", "é", "😀", "O'Hara", "$", "[0]", "#", "*", "%", "&x=y", "a+b", "a/b", "0", "-1", "A",
    "null", "metadata", "a\tb", "a\nb", "x" * 300,
]  # fmt: skip


def test_a_key_without_quotes_can_be_any_text_without_dots_and_backslashes(rows: Users) -> None:
    for number, key in enumerate(KEYS):
        rows.add(f"{number}", metadata={key: 1, "a": [1], "n": {"0": 1}})
        rows.add(f"in {number}", metadata={"in": {key: 1}})
    for number, key in enumerate(KEYS):
        assert rows.find(**{f"metadata.{key}": "1"}) == [f"{number}"], key
        assert rows.find(**{f"metadata.in.{key}": "1"}) == [f"in {number}"], key


QUOTED_KEYS = ["a.b", "a", "", ".", '"', 'x"y', "x\\y", '.\\"', "a\nb", "é.😀", "$[0]", "1.5"]


def test_a_key_in_quotes_can_be_any_text(rows: Users) -> None:
    for number, key in enumerate(QUOTED_KEYS):
        rows.add(f"{number}", metadata={key: {key: "x", "c": ["x"]}, "p": {"q": "x"}})
    for number, key in enumerate(QUOTED_KEYS):
        quoted = json.dumps(key)
        assert rows.find(**{f"metadata.{quoted}.{quoted}": "x"}) == [f"{number}"], key
        is_in = {"field": f"metadata.{quoted}.c", "any": {"field": ".", "op": "eq", "value": "x"}}
        assert rows.find(filter=json.dumps(is_in)) == [f"{number}"], key
    assert len(rows.find(**{'metadata."p".q': "x"})) == len(QUOTED_KEYS)


def test_a_path_of_quoted_keys_can_be_deeper_than_any_metadata(rows: Users) -> None:
    rows.add("a", metadata={'"': {'"': 1}})
    path = '."\\""' * 100
    assert rows.find(**{f"metadata{path}": "1"}) == []
    assert rows.find(**{f"metadata{path[:10]}": "1"}) == ["a"]


def test_rows_are_found_by_their_current_metadata(rows: Users) -> None:
    rows.add("a", metadata={"x": 1, "y": 1})
    change = {"metadata": {"x": 2, "y": None}}
    rows.way.request("PATCH", rows.subject, f"{rows.fresh}/a", json=change)
    found = [rows.find(**asked) for asked in ({"metadata.x": "1"}, {"metadata.x": "2"})]
    assert found == [[], ["a"]]
    assert rows.find(**{"metadata.y": "1"}) == []
    assert rows.find(**{"metadata.y": "null"}) == []


def test_conditions_and_times_work_with_pages(rows: Users) -> None:
    first = rows.add("first", metadata={"x": 1})
    for name in "abcde":
        rows.add(name, metadata={"x": 1 if name in "ace" else 2})
    asked = {"metadata.x": "1", "created_after": first["created_at"], "limit": 1}
    assert rows.find(**asked) == ["a", "c", "e"]
    assert rows.find(**asked, order="-created") == ["e", "c", "a"]


@pytest.mark.parametrize(
    ("asked", "with_others"),
    [
        ({"metadata.x": "1"}, {"metadata.x": "2"}),
        ({"metadata.x": "1"}, {"metadata.x": '"1"'}),
        ({"metadata.x": "1"}, {"metadata.y": "1"}),
        ({"metadata.x": "1"}, {}),
        ({"created_after": "2020-01-01T00:00:00Z"}, {"created_after": "2020-01-01T00:00:01Z"}),
        ({"created_after": "2020-01-01T00:00:00Z"}, {}),
    ],
)
def test_a_cursor_is_rejected_with_other_filters(
    rows: Users, asked: dict[str, str], with_others: dict[str, str]
) -> None:
    for name in "ab":
        rows.add(name, metadata={"x": 1})
    page = rows.way.request("GET", rows.path, params={**rows.filters, **asked, "limit": 1})
    cursor = {"cursor": page.json["next"]}
    on = rows.way.request("GET", rows.path, params={**rows.filters, **asked, **cursor})
    assert on.status == 200
    rejected = rows.way.request("GET", rows.path, params={**rows.filters, **with_others, **cursor})
    assert error_of(rejected) == (400, "bad_request", ["cursor"])


def test_a_deleted_row_is_not_found(rows: Users) -> None:
    for name in "ab":
        rows.add(name, metadata={"x": 1})
    delete(rows.way, rows.subject, f"{rows.fresh}/a")
    assert rows.find(**{"metadata.x": "1"}) == ["b"]


def test_an_invalid_path_is_named(rows: Users) -> None:
    for path in (
        "", ".a", "a.", "a..b", 'a"b', "a\\b", "a\0b", '"a', '"a"b', '"a".', '"\\x"', '"\\u0000"',
        '"\\ud800"',
    ):  # fmt: skip
        rejected = rows.way.request("GET", rows.path, params={f"metadata.{path}": "1"})
        assert error_of(rejected) == invalid(f"metadata.{path}")
    rejected = rows.way.request("GET", rows.path, params={"metadata": "1"})
    assert error_of(rejected) == invalid("metadata")


def test_a_value_that_cannot_be_compared_is_named(rows: Users) -> None:
    for value in ("{}", "[]", '{"a": 1}', "[1]", '"a\\u0000b"', "a\0b"):
        rejected = rows.way.request("GET", rows.path, params={"metadata.a": value})
        assert error_of(rejected) == invalid("metadata.a")


@pytest.mark.parametrize("depth", [65, 500, 2_000, 10_000])
def test_a_nested_value_is_rejected_at_any_depth(rows: Users, depth: int) -> None:
    value = "[" * depth + "]" * depth
    rejected = rows.way.request("GET", rows.path, params={"metadata.a": value})
    assert error_of(rejected) == invalid("metadata.a")


@pytest.mark.parametrize("depth", [64, 2_000])
def test_a_path_can_be_deeper_than_any_metadata(rows: Users, depth: int) -> None:
    rows.add("a", metadata={"a": {"a": 1}})
    assert rows.find(**{f"metadata.{'.'.join('a' * depth)}": "1"}) == []


def test_an_unpaired_surrogate_is_compared_as_text(rows: Users) -> None:
    rows.add("a", metadata={"x": json.dumps("\ud800")})
    assert rows.find(**{"metadata.x": json.dumps("\ud800")}) == ["a"]
