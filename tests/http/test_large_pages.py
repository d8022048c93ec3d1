"""A page ends after 8 MiB of texts; nothing is lost, and the rest is on the next pages."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.clients import InProcessClient, serve_in_process

MIB = 1024 * 1024
MESSAGES = 20
SESSIONS = 150

ENGINES = ("sqlite file", "postgres")


@pytest.fixture(scope="module", params=ENGINES, ids=engine_id)
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """An instance with a session of 20 messages of 1 MiB, and 150 sessions with 60 KiB each."""
    with serve_in_process(
        fresh_settings(request.param, tmp_path_factory.mktemp("large"))
    ) as client:
        for number in range(1, MESSAGES + 1, 4):
            body = {"user_id": "jane", "messages": [large_message(number + n) for n in range(4)]}
            assert client.send("POST", "/v1/sessions/large/messages", body).status == 201
        for number in range(SESSIONS):
            session = {
                "session_id": f"s{number}",
                "user_id": "jane",
                "metadata": {"x": "y" * 60_000},
            }
            assert client.send("POST", "/v1/sessions", session).status == 201
        yield client


def large_message(number: int) -> dict[str, Any]:
    return {"content": f"needle {number} ".ljust(MIB, "."), "role": "user"}


def pages(client: InProcessClient, target: str) -> Iterator[list[Any]]:
    cursor = ""
    for _ in count():
        page = client.send("GET", f"{target}{cursor}").json
        yield page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("order", ["created", "-created"])
def test_pages_of_large_messages_end_early_and_leave_nothing_out(
    large: InProcessClient, order: str
) -> None:
    target = f"/v1/sessions/large/messages?limit=100&order={order}"
    seqs = [[each["seq"] for each in page] for page in pages(large, target)]
    in_order = range(1, MESSAGES + 1) if order == "created" else range(MESSAGES, 0, -1)
    assert [seq for page in seqs for seq in page] == list(in_order)
    assert [len(page) for page in seqs] == [9, 9, 2]


def test_pages_of_sessions_with_much_metadata_end_early_and_leave_nothing_out(
    large: InProcessClient,
) -> None:
    found = [
        each["session_id"] for page in pages(large, "/v1/sessions?limit=1000") for each in page
    ]
    assert found == ["large", *(f"s{number}" for number in range(SESSIONS))]


def test_a_memory_of_large_messages_has_the_newest_that_fit(large: InProcessClient) -> None:
    memory = large.send("GET", "/v1/sessions/large/memory?last=1000").json
    assert [each["seq"] for each in memory["messages"]] == list(range(12, MESSAGES + 1))


def test_a_memory_of_large_messages_does_not_begin_with_a_result_without_its_call(
    large: InProcessClient,
) -> None:
    call = {"role": "assistant", "data": {"tool_calls": [{"id": "a"}]}}
    result = {**large_message(0), "role": "tool", "data": {"tool_call_id": "a"}}
    newer = [large_message(number) for number in range(8)]
    for new in ([call, result], newer[:4], newer[4:]):
        body = {"user_id": "john", "messages": new}
        assert large.send("POST", "/v1/sessions/tools/messages", body).status == 201
    memory = large.send("GET", "/v1/sessions/tools/memory?last=1000").json
    assert large.send("DELETE", "/v1/users/john").status == 200
    assert [each["seq"] for each in memory["messages"]] == list(range(3, 11))
    assert memory["truncated"]


def test_a_search_returns_the_best_large_messages_that_fit(large: InProcessClient) -> None:
    wanted = {"query": "needle 7", "user_id": "jane", "limit": 1000}
    found = [
        each["message"]["seq"] for each in large.send("POST", "/v1/search", wanted).json["items"]
    ]
    assert found[0] == 7
    assert len(found) == 9


def test_a_search_without_words_returns_the_newest_large_messages_that_fit(
    large: InProcessClient,
) -> None:
    for owner in ({"user_id": "jane"}, {"session_id": "large"}, {}):
        hits = large.send("POST", "/v1/search", owner | {"limit": 1000}).json["items"]
        assert [each["message"]["seq"] for each in hits] == list(range(MESSAGES, MESSAGES - 9, -1))


def test_the_zep_api_sends_lists_of_any_size_in_full(large: InProcessClient) -> None:
    listed = large.send("GET", "/api/v1/sessions/large/messages?limit=100&cursor=1").json
    numbers = [each["content"].split()[1] for each in listed["messages"]]
    assert numbers == [str(number) for number in range(1, MESSAGES + 1)]
    assert (listed["total_count"], listed["row_count"]) == (MESSAGES, MESSAGES)
    of_user = large.send("GET", "/api/v1/user/jane/sessions").json
    assert [each["session_id"] for each in of_user][:2] == ["large", "s0"]
    assert len(of_user) == SESSIONS + 1
    sessions = large.send("GET", "/api/v1/sessions?limit=200").json
    assert [each["id"] for each in sessions] == list(range(1, SESSIONS + 2))
    rest = large.send("GET", "/api/v1/sessions?limit=200&cursor=149").json
    assert [each["session_id"] for each in rest] == ["s148", "s149"]
