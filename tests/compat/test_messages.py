"""Messages and memory on `/api/v1`."""

from datetime import datetime

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.clients import InProcessClient

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
ZERO_TIME = "0001-01-01T00:00:00Z"
NO_SUMMARY = {
    "uuid": ZERO_UUID,
    "created_at": ZERO_TIME,
    "content": "",
    "recent_message_uuid": ZERO_UUID,
    "token_count": 0,
}


def contents(client: InProcessClient, query: str) -> list[str]:
    return [message["content"] for message in messages_of(client, "long", query)]


@pytest.fixture
def long(client: InProcessClient) -> list[str]:
    """Append 2,500 messages to the session `long` in one request; return their contents."""
    texts = [f"message {number}" for number in range(2_500)]
    append(client, "long", *texts)
    return texts


def test_all_messages_of_a_long_session_are_listed_oldest_first(
    client: InProcessClient, long: list[str]
) -> None:
    response = client.send("GET", "/api/v1/sessions/long/messages")
    page = response.json
    assert [message["content"] for message in page["messages"]] == long
    assert (page["total_count"], page["row_count"]) == (2_500, 2_500)
    assert page.keys() == {"messages", "total_count", "row_count"}
    assert response.pieces > 2, "it is streamed in batches"
    assert response.headers["x-zep-version"]


def test_pages_of_any_size_are_consecutive(client: InProcessClient, long: list[str]) -> None:
    for limit in (999, 1_000, 1_001, 1_250, 2_499, 2_500, 2_501):
        for page in (1, 2, 3):
            wanted = long[(page - 1) * limit : page * limit]
            received = ok(
                client.send("GET", f"/api/v1/sessions/long/messages?limit={limit}&cursor={page}")
            )
            assert [message["content"] for message in received["messages"]] == wanted, (limit, page)
            assert received["row_count"] == len(wanted)
            assert received["total_count"] == (2_500 if wanted else 0)


def test_the_cursor_is_a_page_number_from_one(client: InProcessClient, long: list[str]) -> None:
    assert contents(client, "?limit=3&cursor=2") == long[3:6]
    for query in ("?limit=3", "?limit=3&cursor=", "?limit=3&cursor=0", "?limit=3&cursor=-4"):
        assert contents(client, query) == long[:3]


def test_without_a_limit_all_messages_are_returned(
    client: InProcessClient, long: list[str]
) -> None:
    for query in ("?limit=0", "?limit=-1&cursor=1", "?limit=", "?limit=0&cursor=2"):
        assert contents(client, query) == long


def test_an_invalid_limit_or_cursor_returns_the_first_100(
    client: InProcessClient, long: list[str]
) -> None:
    for query in ("?limit=x", "?limit=7&cursor=x", "?limit=1.5&cursor=2", "?limit=9e9"):
        assert contents(client, query) == long[:100]


def test_lastn_limits_the_newest_messages(client: InProcessClient, long: list[str]) -> None:
    for query, count in (("?lastn=3", 3), ("?lastn=1500", 1_500), ("?lastn=9999999", 2_500)):
        memory = ok(client.send("GET", f"/api/v1/sessions/long/memory{query}"))
        assert [message["content"] for message in memory["messages"]] == long[-count:]


def test_memory_without_lastn_has_the_newest_twelve(
    client: InProcessClient, long: list[str]
) -> None:
    for query in ("", "?lastn=", "?lastn=0"):
        memory = ok(client.send("GET", f"/api/v1/sessions/long/memory{query}"))
        assert [message["content"] for message in memory["messages"]] == long[-12:]
        assert memory["summary"] == NO_SUMMARY


def test_the_memory_of_an_unknown_session_is_empty(client: InProcessClient) -> None:
    for query in ("", "?lastn=5"):
        memory = ok(client.send("GET", f"/api/v1/sessions/unknown/memory{query}"))
        assert memory == {"messages": [], "summary": NO_SUMMARY}


def test_an_unknown_session_has_no_messages(client: InProcessClient) -> None:
    for query in ("", "?limit=10", "?limit=10&cursor=4", "?limit=5000"):
        page = ok(client.send("GET", f"/api/v1/sessions/unknown/messages{query}"))
        assert page == {"messages": [], "total_count": 0, "row_count": 0}


def test_appending_creates_a_session_without_a_user(client: InProcessClient) -> None:
    append(client, "new", "Hello")
    session = ok(client.send("GET", "/api/v1/sessions/new"))
    assert (session["user_id"], session["metadata"]) == (None, None)
    assert [message["content"] for message in messages_of(client, "new")] == ["Hello"]


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": []}, None, {"metadata": {}}])
def test_appending_nothing_creates_the_session(client: InProcessClient, body: object) -> None:
    raw = b"null" if body is None else body
    response = client.send("POST", "/api/v1/sessions/empty/memory", raw)
    assert (response.status, response.text) == (200, "OK")
    assert ok(client.send("GET", "/api/v1/sessions/empty"))["session_id"] == "empty"
    assert messages_of(client, "empty") == []


def time_of(row: Row, name: str) -> datetime:
    """Return a time, of which zeros at the end are cut off: as texts they do not compare."""
    return datetime.fromisoformat(row[name])


def test_appending_updates_the_time_of_the_session(client: InProcessClient) -> None:
    before = ok(client.send("POST", "/api/v1/sessions", {"session_id": "s"}))
    append(client, "s", "Hello")
    after = ok(client.send("GET", "/api/v1/sessions/s"))
    assert time_of(after, "updated_at") > time_of(before, "updated_at")
    assert after["created_at"] == before["created_at"]


def test_role_and_content_can_be_any_text_or_missing(client: InProcessClient) -> None:
    sent = [{}, {"role": "", "content": ""}, {"role": "pirate", "content": "Arr é 😀\n"}, None]
    response = client.send("POST", "/api/v1/sessions/s/memory", {"messages": sent})
    assert response.status == 200
    received = [(message["role"], message["content"]) for message in messages_of(client, "s")]
    assert received == [("", ""), ("", ""), ("pirate", "Arr é 😀\n"), ("", "")]


def test_messages_of_one_request_have_the_same_time(
    client: InProcessClient,
) -> None:
    append(client, "s", "one", "two")
    append(client, "s", "three")
    one, two, three = messages_of(client, "s")
    assert one["created_at"] == two["created_at"]
    assert time_of(two, "created_at") < time_of(three, "created_at")
    assert {message["updated_at"] for message in (one, two, three)} == {ZERO_TIME}


def test_a_client_sets_uuid_and_token_count_but_no_time(client: InProcessClient) -> None:
    uuid = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
    message = {
        "uuid": uuid.upper(),
        "token_count": 7,
        "role": "user",
        "content": "Hello",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00+02:00",
    }
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    received = ok(client.send("GET", f"/api/v1/sessions/s/messages/{uuid}"))
    assert (received["uuid"], received["token_count"]) == (uuid, 7)
    assert received["created_at"] > "2026"
    assert received["updated_at"] == ZERO_TIME


def test_empty_metadata_of_a_message_is_omitted(client: InProcessClient) -> None:
    sent = [{"content": "a"}, {"content": "b", "metadata": {}}, {"content": "c", "metadata": None}]
    sent.append({"content": "d", "metadata": {"system": {"intent": "x"}, "n": None}})
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": sent})
    received = messages_of(client, "s")
    assert [message.get("metadata") for message in received[:3]] == [None, None, None]
    assert all("metadata" not in message for message in received[:3])
    assert received[3]["metadata"] == {"system": {"intent": "x"}, "n": None}


def test_an_update_of_a_message_changes_only_its_metadata(client: InProcessClient) -> None:
    uuid = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
    other = "1b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a11"
    messages = [
        {"uuid": uuid, "role": "user", "content": "Hi", "token_count": 7, "metadata": {"a": {}}},
        {"uuid": other, "role": "ai", "content": "Ho"},
    ]
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": messages})
    before = messages_of(client, "s")
    change = {
        "uuid": other,
        "role": "x",
        "content": "x",
        "token_count": 0,
        "metadata": {"a": {"b": None}, "system": {"no": 1}},
    }
    received = ok(client.send("PATCH", f"/api/v1/sessions/s/messages/{uuid}", change))
    assert received == before[0] | {"metadata": {"a": {"b": None}}}
    assert messages_of(client, "s") == [received, before[1]]


def test_a_message_is_found_only_in_its_session(client: InProcessClient) -> None:
    append(client, "a", "Hello")
    append(client, "b", "Hello")
    (message,) = messages_of(client, "a")
    assert client.send("GET", f"/api/v1/sessions/a/messages/{message['uuid']}").status == 200
    for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}})):
        response = client.send(method, f"/api/v1/sessions/b/messages/{message['uuid']}", body)
        assert response.status == 404


@pytest.mark.parametrize("uuid", ["nope", "0", ZERO_UUID[:-1], ZERO_UUID + "0", "%20", "a%2Fb"])
def test_an_invalid_uuid_is_rejected(shared: InProcessClient, uuid: str) -> None:
    append(shared, "s", "Hello")
    for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}})):
        assert shared.send(method, f"/api/v1/sessions/s/messages/{uuid}", body).status == 400


def test_a_page_far_beyond_the_end_is_empty(client: InProcessClient, long: list[str]) -> None:
    for limit, page in ((10, 10_000), (1, 2**63 - 1), (2**31, 2**31), (2**63 - 1, 2**63 - 1)):
        received = client.send("GET", f"/api/v1/sessions/long/messages?limit={limit}&cursor={page}")
        assert received.status == 200, (limit, page, received.text)
        assert received.json == {"messages": [], "total_count": 0, "row_count": 0}
