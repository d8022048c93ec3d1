"""Messages and memory on `/api/v1`."""

import pytest

from tests.compat.steps import append, messages_of, ok
from tests.http.doors import InProcess

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
ZERO_TIME = "0001-01-01T00:00:00Z"
NO_SUMMARY = {
    "uuid": ZERO_UUID,
    "created_at": ZERO_TIME,
    "content": "",
    "recent_message_uuid": ZERO_UUID,
    "token_count": 0,
}


def contents(doors: InProcess, query: str) -> list[str]:
    return [message["content"] for message in messages_of(doors, "long", query)]


@pytest.fixture
def long(doors: InProcess) -> list[str]:
    """What is said in the session `long`: 2,500 messages, sent at once."""
    said = [f"message {number}" for number in range(2_500)]
    append(doors, "long", *said)
    return said


def test_all_messages_of_a_long_session_come_oldest_first(
    doors: InProcess, long: list[str]
) -> None:
    answer = doors.send("GET", "/api/v1/sessions/long/messages")
    page = answer.json
    assert [message["content"] for message in page["messages"]] == long
    assert (page["total_count"], page["row_count"]) == (2_500, 2_500)
    assert page.keys() == {"messages", "total_count", "row_count"}
    assert answer.pieces > 2, "it is streamed in batches"
    assert answer.headers["x-zep-version"]


def test_pages_of_any_size_follow_each_other(doors: InProcess, long: list[str]) -> None:
    for limit in (999, 1_000, 1_001, 1_250, 2_499, 2_500, 2_501):
        for page in (1, 2, 3):
            wanted = long[(page - 1) * limit : page * limit]
            told = ok(
                doors.send("GET", f"/api/v1/sessions/long/messages?limit={limit}&cursor={page}")
            )
            assert [message["content"] for message in told["messages"]] == wanted, (limit, page)
            assert told["row_count"] == len(wanted)
            assert told["total_count"] == (2_500 if wanted else 0)


def test_the_cursor_is_a_page_and_none_or_0_is_the_first(doors: InProcess, long: list[str]) -> None:
    assert contents(doors, "?limit=3&cursor=2") == long[3:6]
    for query in ("?limit=3", "?limit=3&cursor=", "?limit=3&cursor=0", "?limit=3&cursor=-4"):
        assert contents(doors, query) == long[:3]


def test_without_a_limit_every_page_is_everything(doors: InProcess, long: list[str]) -> None:
    for query in ("?limit=0", "?limit=-1&cursor=1", "?limit=", "?limit=0&cursor=2"):
        assert contents(doors, query) == long


def test_where_a_number_cannot_be_read_the_first_100_come(
    doors: InProcess, long: list[str]
) -> None:
    for query in ("?limit=x", "?limit=7&cursor=x", "?limit=1.5&cursor=2", "?limit=9e9"):
        assert contents(doors, query) == long[:100]


def test_lastn_gives_that_many_of_the_newest(doors: InProcess, long: list[str]) -> None:
    for query, count in (("?lastn=3", 3), ("?lastn=1500", 1_500), ("?lastn=9999999", 2_500)):
        memory = ok(doors.send("GET", f"/api/v1/sessions/long/memory{query}"))
        assert [message["content"] for message in memory["messages"]] == long[-count:]


def test_a_memory_without_lastn_is_the_newest_twelve(doors: InProcess, long: list[str]) -> None:
    for query in ("", "?lastn=", "?lastn=0"):
        memory = ok(doors.send("GET", f"/api/v1/sessions/long/memory{query}"))
        assert [message["content"] for message in memory["messages"]] == long[-12:]
        assert memory["summary"] == NO_SUMMARY


def test_the_memory_of_an_unknown_session_is_empty(doors: InProcess) -> None:
    for query in ("", "?lastn=5"):
        memory = ok(doors.send("GET", f"/api/v1/sessions/nobody/memory{query}"))
        assert memory == {"messages": [], "summary": NO_SUMMARY}


def test_an_unknown_session_has_no_messages(doors: InProcess) -> None:
    for query in ("", "?limit=10", "?limit=10&cursor=4", "?limit=5000"):
        page = ok(doors.send("GET", f"/api/v1/sessions/nobody/messages{query}"))
        assert page == {"messages": [], "total_count": 0, "row_count": 0}


def test_appending_opens_the_session_for_nobody(doors: InProcess) -> None:
    append(doors, "new", "Hello")
    session = ok(doors.send("GET", "/api/v1/sessions/new"))
    assert (session["user_id"], session["metadata"]) == (None, None)
    assert [message["content"] for message in messages_of(doors, "new")] == ["Hello"]


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": []}, None, {"metadata": {}}])
def test_appending_nothing_opens_the_session_too(doors: InProcess, body: object) -> None:
    raw = b"null" if body is None else body
    answer = doors.send("POST", "/api/v1/sessions/empty/memory", raw)
    assert (answer.status, answer.text) == (200, "OK")
    assert ok(doors.send("GET", "/api/v1/sessions/empty"))["session_id"] == "empty"
    assert messages_of(doors, "empty") == []


def test_appending_moves_the_time_of_the_session(doors: InProcess) -> None:
    before = ok(doors.send("POST", "/api/v1/sessions", {"session_id": "s"}))
    append(doors, "s", "Hello")
    after = ok(doors.send("GET", "/api/v1/sessions/s"))
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


def test_role_and_content_may_be_anything_and_missing(doors: InProcess) -> None:
    sent = [{}, {"role": "", "content": ""}, {"role": "pirate", "content": "Arr é 😀\n"}, None]
    answer = doors.send("POST", "/api/v1/sessions/s/memory", {"messages": sent})
    assert answer.status == 200
    told = [(message["role"], message["content"]) for message in messages_of(doors, "s")]
    assert told == [("", ""), ("", ""), ("pirate", "Arr é 😀\n"), ("", "")]


def test_all_messages_of_one_request_have_its_time_and_no_time_of_change(doors: InProcess) -> None:
    append(doors, "s", "one", "two")
    append(doors, "s", "three")
    one, two, three = messages_of(doors, "s")
    assert one["created_at"] == two["created_at"] < three["created_at"]
    assert {message["updated_at"] for message in (one, two, three)} == {ZERO_TIME}


def test_uuid_and_token_count_are_the_clients_and_the_time_is_not(doors: InProcess) -> None:
    uuid = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
    message = {
        "uuid": uuid.upper(),
        "token_count": 7,
        "role": "user",
        "content": "Hello",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00+02:00",
    }
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    told = ok(doors.send("GET", f"/api/v1/sessions/s/messages/{uuid}"))
    assert (told["uuid"], told["token_count"]) == (uuid, 7)
    assert told["created_at"] > "2026"
    assert told["updated_at"] == ZERO_TIME


def test_metadata_of_a_message_is_left_out_where_there_is_none(doors: InProcess) -> None:
    sent = [{"content": "a"}, {"content": "b", "metadata": {}}, {"content": "c", "metadata": None}]
    sent.append({"content": "d", "metadata": {"system": {"intent": "x"}, "n": None}})
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": sent})
    told = messages_of(doors, "s")
    assert [message.get("metadata") for message in told[:3]] == [None, None, None]
    assert all("metadata" not in message for message in told[:3])
    assert told[3]["metadata"] == {"system": {"intent": "x"}, "n": None}


def test_a_change_of_a_message_changes_its_metadata_alone(doors: InProcess) -> None:
    uuid = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
    other = "1b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a11"
    messages = [
        {"uuid": uuid, "role": "user", "content": "Hi", "token_count": 7, "metadata": {"a": {}}},
        {"uuid": other, "role": "ai", "content": "Ho"},
    ]
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": messages})
    before = messages_of(doors, "s")
    change = {
        "uuid": other,
        "role": "x",
        "content": "x",
        "token_count": 0,
        "metadata": {"a": {"b": None}, "system": {"no": 1}},
    }
    told = ok(doors.send("PATCH", f"/api/v1/sessions/s/messages/{uuid}", change))
    assert told == before[0] | {"metadata": {"a": {"b": None}}}
    assert messages_of(doors, "s") == [told, before[1]]


def test_a_message_is_found_in_its_own_session_alone(doors: InProcess) -> None:
    append(doors, "a", "Hello")
    append(doors, "b", "Hello")
    (message,) = messages_of(doors, "a")
    assert doors.send("GET", f"/api/v1/sessions/a/messages/{message['uuid']}").status == 200
    for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}})):
        answer = doors.send(method, f"/api/v1/sessions/b/messages/{message['uuid']}", body)
        assert answer.status == 404


@pytest.mark.parametrize("uuid", ["nope", "0", ZERO_UUID[:-1], ZERO_UUID + "0", "%20", "a%2Fb"])
def test_what_is_no_uuid_is_refused(shared: InProcess, uuid: str) -> None:
    append(shared, "s", "Hello")
    for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}})):
        assert shared.send(method, f"/api/v1/sessions/s/messages/{uuid}", body).status == 400


def test_a_page_far_beyond_the_end_is_empty(doors: InProcess, long: list[str]) -> None:
    for limit, page in ((10, 10_000), (1, 2**63 - 1), (2**31, 2**31), (2**63 - 1, 2**63 - 1)):
        told = doors.send("GET", f"/api/v1/sessions/long/messages?limit={limit}&cursor={page}")
        assert told.status == 200, (limit, page, told.text)
        assert told.json == {"messages": [], "total_count": 0, "row_count": 0}
