"""What is equal is the same on every engine, where databases tend to differ.

Ids of the maximum size, which an index must store; texts that some collations treat as equal; times
to the microsecond; numbers, booleans and null in metadata; UUIDs in upper and lower case.
"""

import unicodedata
from datetime import datetime, timedelta
from itertools import chain
from random import Random
from typing import Any

import pytest

from tests.conformance.steps import (
    ERASURE,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    add_user,
    append,
    contents,
    delete,
    error_of,
    get_messages,
    get_session,
    get_user,
    moment,
    open_session,
    pages,
)
from tests.typed_ways import TypedWay
from tests.ways import Way

MAX_LENGTH = 512

# Random characters of four bytes in UTF-8 hardly compress. Others need more bytes after case
# folding: ΐ becomes three characters of six bytes.
FOUR_BYTES = [*map(chr, [*range(0x20000, 0x2A6DF), *range(0x1F300, 0x1F64F)])]
GROWING = [
    character
    for character in map(chr, [*range(0x80, 0xD800), *range(0xF900, 0x10000)])
    if len(character.casefold().encode()) > len(character.encode())
]


def of_four_bytes(random: Random) -> str:
    return "".join(random.choices(FOUR_BYTES, k=MAX_LENGTH))


def growing(random: Random) -> str:
    return "".join(random.choices(GROWING, k=MAX_LENGTH))


def mixed(random: Random) -> str:
    return "".join(random.choices([*FOUR_BYTES[:200], *GROWING, *"aZ é%_'\"\\/"], k=MAX_LENGTH))


@pytest.fixture(params=[of_four_bytes, growing, mixed], ids=lambda make: make.__name__)
def longest(request: pytest.FixtureRequest, fresh: str) -> str:
    """A unique text of the maximum length of an id, which does not compress."""
    text: str = request.param(Random(fresh))
    assert len(text) == MAX_LENGTH
    return text


# Ids and e-mail addresses of the maximum length.


def test_users_and_sessions_can_have_the_longest_ids(way: Way, longest: str) -> None:
    user = add_user(way, longest, email=longest, first_name=longest, last_name=longest)
    assert get_user(way, longest) == user
    assert (user["user_id"], user["email"], user["last_name"]) == (longest, longest, longest)
    session = open_session(way, longest, user_id=longest)
    [message] = append(way, longest, {"content": longest, "name": longest})
    assert way.request("GET", MEMORY, longest).json["messages"] == [message]
    assert way.request("GET", MESSAGE, longest, message["id"]).json["name"] == longest
    assert get_session(way, longest)["uuid"] == session["uuid"]
    listed = way.request("GET", SESSIONS_OF_USER, longest).json["items"]
    assert [each["session_id"] for each in listed] == [longest]
    assert delete(way, USER, longest)["subject_uuid"] == user["uuid"]
    for path in (USER, SESSION):
        assert error_of(way.request("GET", path, longest)) == NOT_FOUND


def test_users_are_found_by_the_longest_email_in_any_case(
    way: Way, fresh: str, longest: str
) -> None:
    users = [add_user(way, f"{n} {fresh}", email=longest)["user_id"] for n in range(3)]
    add_user(way, f"other {fresh}", email=longest[:-1] + "!")
    in_another_case = "".join(
        other if other.casefold() == each.casefold() and len(other) == 1 else each
        for each, other in ((each, each.swapcase()) for each in longest)
    )
    for email in (longest, in_another_case):
        found = chain.from_iterable(pages(way, USERS, email=email, limit=2))
        assert [user["user_id"] for user in found] == users


def test_the_longest_idempotency_key_is_recognized(way: Way, fresh: str) -> None:
    # It is sent as a header, which must be ASCII.
    alphabet = "".join(map(chr, range(0x21, 0x7F)))
    key = "".join(Random(fresh).choices(alphabet, k=MAX_LENGTH))
    open_session(way, fresh)
    for _ in range(2):
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        reply = way.request("POST", MESSAGES, fresh, json=body, headers={"Idempotency-Key": key})
        assert reply.status == 201
    assert contents(way, fresh) == ["Hello"]


# Similar texts.


def similar_texts(fresh: str) -> list[str]:
    """Return different texts that some collations treat as equal."""
    endings = [
        "resume", "Resume", "RESUME", "résumé", unicodedata.normalize("NFD", "résumé"), "rėsume",
        "resume ", " resume", "re sume", "resume\u00a0", "re\u00adsume", "re\u200bsume", "resum",
        "strasse", "straße", "STRASSE", "ﬁ", "fi", "\u0131", "i", "İ", "I", "K", "\u212a", "Å",
        "\u212b",        "1", "01", "1.0", "一", "壱", "a%", "a_", "a\\", "あ", "ア", "ｱ",
    ]  # fmt: skip
    assert len(set(endings)) == len(endings)
    return [f"{ending} {fresh} {ending}" for ending in endings]


def test_similar_texts_are_different_user_ids(way: Way, fresh: str) -> None:
    ids = similar_texts(fresh)
    uuids = {id_: add_user(way, id_, email=fresh, first_name=id_)["uuid"] for id_ in ids}
    assert len({*uuids.values()}) == len(ids)
    for id_ in ids:
        assert get_user(way, id_)["first_name"] == id_
    listed = chain.from_iterable(pages(way, USERS, email=fresh, limit=7))
    assert [user["user_id"] for user in listed] == ids, "lists are in the order of creation"
    delete(way, USER, ids[0])
    left = chain.from_iterable(pages(way, USERS, email=fresh, limit=50))
    assert [user["user_id"] for user in left] == ids[1:]


def test_similar_texts_are_different_session_and_owner_ids(way: Way, fresh: str) -> None:
    ids = similar_texts(fresh)
    for id_ in ids:
        add_user(way, id_)
        open_session(way, id_, user_id=id_)
        append(way, id_, {"role": "user", "content": id_})
    for id_ in ids:
        assert contents(way, id_) == [id_]
        listed = way.request("GET", SESSIONS, params={"user_id": id_}).json["items"]
        assert [session["session_id"] for session in listed] == [id_]


def test_lists_are_in_the_order_of_creation_regardless_of_ids(way: Way, fresh: str) -> None:
    random = Random(fresh)
    add_user(way, fresh)
    ids = [mixed(random)[:400] for _ in range(12)]
    ids += [
        f"{fresh} {end}" for end in ("z", "a", "Z", "9", "10", "é", "é ", "", "~", "\U0010fffd")
    ]
    for id_ in ids:
        open_session(way, id_, user_id=fresh)
    for order, expected in (("created", ids), ("-created", ids[::-1])):
        listed = chain.from_iterable(pages(way, SESSIONS, user_id=fresh, order=order, limit=5))
        assert [session["session_id"] for session in listed] == expected


# Times.

TIMES = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000001Z", "0999-12-31T23:59:59.999999Z",
    "1582-10-10T12:00:00Z", "1752-09-05T00:00:00.5Z", "1899-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z",
    "1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z", "2000-02-29T00:00:00.1Z",
    "2016-12-31T23:59:59.999999Z", "2026-11-22T11:22:02.57675Z", "2038-01-19T03:14:08.000001Z",
    "9999-12-31T23:59:59.999999Z",
]  # fmt: skip


def test_times_of_messages_have_microsecond_precision_in_all_years(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, *({"role": "user", "content": time, "created_at": time} for time in TIMES))
    kept = [moment(message["created_at"]) for message in get_messages(way, fresh)]
    assert kept == [moment(time) for time in TIMES]


def test_random_times_of_messages_are_returned_unchanged(way: Way, fresh: str) -> None:
    random = Random(fresh)
    first = datetime(1, 1, 1)
    span_us = (datetime.max - first) // timedelta(microseconds=1)
    times = [first + timedelta(microseconds=random.randrange(span_us)) for _ in range(300)]
    given = [f"{time.isoformat(timespec='microseconds')}Z" for time in times]
    open_session(way, fresh)
    append(way, fresh, *({"role": "user", "content": time, "created_at": time} for time in given))
    kept = [message["created_at"] for message in get_messages(way, fresh)]
    assert [moment(time) for time in kept] == [moment(time) for time in given]


@pytest.mark.parametrize("path", [USERS, SESSIONS])
def test_time_filters_have_microsecond_precision(way: Way, fresh: str, path: str) -> None:
    filters = {"email": fresh} if path == USERS else {"user_id": fresh}
    rows = []
    add_user(way, fresh)
    for n in range(6):
        id_ = f"{n} {fresh}"
        row = (
            add_user(way, id_, email=fresh)
            if path == USERS
            else open_session(way, id_, user_id=fresh)
        )
        rows.append((id_, moment(row["created_at"])))
    for around in range(6):
        for shift_us in (-1, 0, 1):
            limit = rows[around][1] + timedelta(microseconds=shift_us)
            expected = {
                "created_after": [id_ for id_, at in rows if at > limit],
                "created_before": [id_ for id_, at in rows if at < limit],
            }
            for name, ids in expected.items():
                found = way.request("GET", path, params={**filters, name: limit.isoformat()})
                assert [row.get("session_id", row["user_id"]) for row in found.json["items"]] == ids


# Metadata: which values are equal.

VALUES: dict[str, Any] = {
    "one": 1,
    "one_as_a_double": 1.0,
    "one_as_text": "1",
    "one_as_a_doubles_text": "1.0",
    "true": True,
    "false": False,
    "zero": 0,
    "empty": "",
    "null": None,
    "null_as_text": "null",
    "true_as_text": "true",
    "a_list_of_one": [1],
    "an_object": {"b": 1},
    "a_list_of_objects": [{"b": 1}],
    "a_list_of_lists": [[1]],
    "great": 2**53,
    "greater": 2**53 + 1,
    "greatest": 2**63 - 1,
    "least": -(2**63),
    "great_as_a_double": 1e300,
    "tenth": 0.1,
    "tiny": 5e-324,
    "space": " ",
    "spaces_around": " 1 ",
}

FOUND: dict[str, list[str]] = {
    "1": ["one", "one_as_a_double", "one_as_text"],
    "1.0": ["one", "one_as_a_double", "one_as_a_doubles_text"],
    "10e-1": ["one", "one_as_a_double"],
    '"1"': ["one_as_text"],
    '"1.0"': ["one_as_a_doubles_text"],
    "true": ["true", "true_as_text"],
    "false": ["false"],
    "0": ["zero"],
    "-0": ["zero"],
    '""': ["empty"],
    "null": ["null", "null_as_text"],
    '"null"': ["null_as_text"],
    '"true"': ["true_as_text"],
    str(2**53): ["great"],
    str(2**53 + 1): ["greater"],
    str(2**63 - 1): ["greatest"],
    str(-(2**63)): ["least"],
    "1e300": ["great_as_a_double"],
    "0.1": ["tenth"],
    "0.10": ["tenth"],
    "5e-324": ["tiny"],
    '" "': ["space"],
    '" 1 "': ["spaces_around"],
    "01": [],
    "yes": [],
}


def test_a_value_in_an_address_finds_the_same_value_and_if_not_quoted_the_same_text(
    way: Way, fresh: str
) -> None:
    for name, value in VALUES.items():
        add_user(way, f"{name} {fresh}", email=fresh, metadata={"a": value, "n": {"a": value}})
    add_user(way, f"absent {fresh}", email=fresh, metadata={"b": 1})
    add_user(way, f"empty object {fresh}", email=fresh, metadata={})
    add_user(way, f"none {fresh}", email=fresh)

    def find(path: str, value: str) -> list[str]:
        found = way.request("GET", USERS, params={"email": fresh, f"metadata.{path}": value})
        assert found.status == 200, found
        return [user["user_id"].removesuffix(f" {fresh}") for user in found.json["items"]]

    expected = FOUND
    if isinstance(way, TypedWay):  # its values have types: a number is not the text of it
        texts = {value for value in FOUND if not value.startswith('"')}
        expected = {
            value: [name for name in names if value not in texts or not name.endswith("_text")]
            for value, names in FOUND.items()
        }
    assert {value: find("a", value) for value in FOUND} == expected
    assert {value: find("n.a", value) for value in FOUND} == expected


def test_a_path_does_not_go_through_lists(way: Way, fresh: str) -> None:
    metadata: dict[str, Any] = {
        "list": [{"b": 1}],
        "lists": [[{"b": 1}]],
        "inside": {"list": [{"b": 1}]},
        "object": {"b": 1, "0": 1},
        "text": "b",
        "number": 1,
        "null": None,
    }
    add_user(way, fresh, email=fresh, metadata=metadata)
    found = {
        path
        for path in (
            "list.b", "lists.b", "inside.list.b", "list.0.b", "list.0", "text.b", "number.b",
            "null.b", "object.b", "object.0", "list.*", "object.*", "list.last",
        )
        if way.request("GET", USERS, params={"email": fresh, f"metadata.{path}": "1"}).json["items"]
    }  # fmt: skip
    assert found == {"object.b", "object.0"}


def test_numbers_in_metadata_keep_their_value_and_type(way: Way, fresh: str) -> None:
    numbers = [
        0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1.5, -1.5e-300, 1e22, 1e23,
        1.7976931348623157e308, 5e-324, 123456789012345680.5, 1e15, 1e16, 1e17, 12345678901234567,
    ]  # fmt: skip
    add_user(way, fresh, metadata={"numbers": numbers})
    open_session(way, fresh, metadata={"numbers": numbers})
    for kept in (get_user(way, fresh), get_session(way, fresh)):
        assert kept["metadata"]["numbers"] == numbers


# UUIDs.


def test_an_erasure_is_found_by_its_uuid_in_either_case(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    deleted = delete(way, USER, fresh)
    for path in (deleted["id"], deleted["id"].upper()):
        assert way.request("GET", ERASURE, path).json == deleted


INVALID_UUIDS = [
    "nonsense", "0", "-", "null", "%", "'", "0" * 32, "{00000000-0000-0000-0000-000000000000}",
    "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000",
    "g0000000-0000-0000-0000-000000000000", " 00000000-0000-0000-0000-000000000000",
    "00000000-0000-0000-0000-000000000000 ", "00000000_0000_0000_0000_000000000000",
    "0000000-00000-0000-0000-000000000000", "urn:uuid:00000000-0000-0000-0000-000000000000",
    "\u0660" * 8 + "-0000-0000-0000-000000000000", "x" * 600,
    "00000000-0000-0000-0000-000000000000",
]  # fmt: skip


def test_an_unknown_or_invalid_id_is_not_found(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, {"role": "user", "content": "Hello"})
    for invalid_uuid in INVALID_UUIDS:
        for method, body in (("GET", None), ("PATCH", {"content": "Hi"}), ("DELETE", None)):
            reply = way.request(method, MESSAGE, fresh, invalid_uuid, json=body)
            assert error_of(reply) == NOT_FOUND, (method, invalid_uuid)
        assert error_of(way.request("GET", ERASURE, invalid_uuid)) == NOT_FOUND, invalid_uuid
    assert contents(way, fresh) == ["Hello"]
