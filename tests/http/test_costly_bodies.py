"""Bodies within 5 MiB that would take long to read are rejected, naming what is at fault."""

from typing import Any

import pytest

from tests.http.clients import InProcessClient, Response

WIDE: dict[str, Any] = {
    "arrays": b"[" + b"[]," * 200_000 + b"[]]",
    "numbers": b"[" + b"0," * 250_000 + b"0]",
    "objects": b"[" + b"{}," * 1_000_000 + b"{}]",
    "deep at the end": b"[" + b"[]," * 300_000 + b"[" * 1500 + b"]" * 1500 + b"]",
    "texts": b"[" + b'"\\"\\\\",' * 300_000 + b'""]',
}
NATIVE = [
    ("POST", "/v1/users", b'{"user_id": "wide", "metadata": {"a": %s}}'),
    ("PUT", "/v1/users/wide", b'{"metadata": {"a": %s}}'),
    ("POST", "/v1/sessions", b'{"session_id": "wide", "metadata": {"a": %s}}'),
    ("POST", "/v1/sessions/wide/messages", b'{"user_id": "wide", "messages": %s}'),
    ("POST", "/v1/search", b'{"filter": {"and": %s}}'),
]
ZEP = [
    ("POST", "/api/v1/user", b'{"user_id": "wide", "metadata": {"a": %s}}'),
    ("POST", "/api/v1/sessions", b'{"session_id": "wide", "metadata": {"a": %s}}'),
    ("POST", "/api/v1/sessions/wide/memory", b'{"messages": %s}'),
    ("POST", "/api/v1/sessions/wide/search", b'{"metadata": {"where": {"and": %s}}}'),
]


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize(("method", "target", "body"), [*NATIVE, *ZEP])
def test_a_body_with_too_many_values_is_rejected(
    client: InProcessClient, method: str, target: str, body: bytes, wide: str
) -> None:
    response = client.send(method, target, body % WIDE[wide])
    assert response.status == 413
    reason = response.text if target.startswith("/api") else response.json["detail"]
    assert reason.startswith("The body has more than 200,000 JSON values.")
    assert client.send("GET", "/v1/users/wide").status == 404
    assert client.send("GET", "/v1/sessions/wide").status == 404


@pytest.mark.parametrize(
    "content", ["," * 1_000_000, '[{"' * 300_000, "\\" * 500_000, '\\",' * 200_000]
)
def test_a_text_may_have_any_number_of_commas_brackets_and_quotes(
    client: InProcessClient, fresh: str, content: str
) -> None:
    body = {"user_id": fresh, "messages": [{"role": "user", "content": content}]}
    assert client.send("POST", f"/v1/sessions/{fresh}/messages", body).status == 201
    [message] = client.send("GET", f"/v1/sessions/{fresh}/messages").json["items"]
    assert message["content"] == content


def invalid(response: Response) -> tuple[int, list[str], str]:
    return response.status, response.json["fields"], response.json["detail"]


def test_metadata_that_is_too_large_is_rejected_by_its_size(client: InProcessClient) -> None:
    # Its last item is invalid too, but it is not reached: the size is checked first.
    metadata = {"a": [0] * 100_000 + ["\0"]}
    response = client.send("POST", "/v1/users", {"user_id": "wide", "metadata": metadata})
    assert invalid(response) == (422, ["metadata"], "metadata is larger than 64 KiB.")


def test_a_fault_below_a_long_key_is_named_with_the_beginning_of_the_key(
    client: InProcessClient,
) -> None:
    metadata = {"k" * 30_000: [0, {"deep": ["fine", "\0"]}]}
    response = client.send("POST", "/v1/users", {"user_id": "wide", "metadata": metadata})
    path = f"metadata.{'k' * 100}…[1].deep[1]"
    sentence = f"{path} contains a NUL character, which cannot be stored."
    assert invalid(response) == (422, [path], sentence)


def test_an_error_repeats_only_the_beginning_of_what_was_sent(client: InProcessClient) -> None:
    for body in ({"x" * 1_000_000: 1}, {"query": "q", "filter": {"f" * 1_000_000: 1}}):
        response = client.send("POST", "/v1/search", body)
        assert response.status == 422
        assert len(response.text) < 10_000


def test_half_a_surrogate_pair_below_many_items_is_found_and_named(
    client: InProcessClient,
) -> None:
    body = b'{"user_id": "wide", "metadata": {"%s": [%s"\\ud800"]}}' % (
        b"k" * 30_000,
        b"0," * 9_000,
    )
    status, [field], _ = invalid(client.send("POST", "/v1/users", body))
    assert status == 422
    assert field.startswith("metadata.kkk")


def test_the_zep_api_appends_at_most_5000_messages(client: InProcessClient, fresh: str) -> None:
    target = f"/api/v1/sessions/{fresh}/memory"
    response = client.send("POST", target, {"messages": [{}] * 5_001})
    assert response.status == 400
    assert "messages has 5,001 items, more than 5,000; split it" in response.text
    assert client.send("GET", f"/v1/sessions/{fresh}").status == 404


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"and": [{"jsonpath": "1"}] * 101}, "metadata.where.and has 101 items, more than 100"),
        ({"or": [{}] * 90_000}, "metadata.where.or has 90,000 items, more than 100"),
        (
            {"and": [{"or": [{"jsonpath": "1"}] * 50}] * 3},
            "metadata.where.and[2].or[0].jsonpath needs more than 100 conditions",
        ),
        ({"and": [{"or": [{}] * 100}] * 20}, "is one of more than 1,000 nodes of the filter"),
        (
            {"jsonpath": f"$ ? ({'(' * 12}(@.a < null) is unknown{') is unknown' * 12})"},
            "metadata.where.jsonpath needs more than 100 conditions",
        ),
    ],
)
def test_a_zep_filter_is_limited_in_all_its_parts(
    client: InProcessClient, where: Any, sentence: str
) -> None:
    response = client.send("POST", "/api/v1/sessions/any/search", {"metadata": {"where": where}})
    assert response.status == 400
    assert sentence in response.text
