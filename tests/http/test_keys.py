"""API keys: what they permit, for whom, and until when."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.conftest import ROW_SECURED, engine_id, fresh_settings
from tests.http.callers import STATIC, Caller, id_of
from tests.http.clients import Response, serve_in_process
from tests.http.conftest import HTTP_ENGINES
from userkeep.config import Settings

_ADDRESSES = count(1)


@pytest.fixture
def open_caller(settings: Settings) -> Iterator[Caller]:
    """Sends requests without a key to an instance that has none."""
    with serve_in_process(settings) as client:
        yield Caller(client, None)


@pytest.fixture(scope="module", params=HTTP_ENGINES, ids=engine_id)
def shared_admin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """The same as `admin`, of one instance for all tests that change nothing."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("keys"))
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        yield Caller(client, STATIC)


def test_the_first_key_closes_an_open_server(open_caller: Caller) -> None:
    assert open_caller("GET", "/v1/users").headers["userkeep-authentication"] == "none"
    admin = open_caller.with_key(scope="admin", name="operator")
    assert open_caller("GET", "/v1/users").status == 401
    response = admin("GET", "/v1/users")
    assert response.status == 200
    assert "userkeep-authentication" not in response.headers


def test_the_first_key_must_be_an_admin_key(open_caller: Caller) -> None:
    for fields in ({"scope": "write"}, {}):
        rejected = open_caller("POST", "/v1/keys", fields)
        assert (rejected.status, rejected.json["fields"]) == (422, ["scope"])
    assert open_caller("GET", "/v1/users").status == 200


def test_a_server_whose_keys_are_all_revoked_stays_closed(open_caller: Caller) -> None:
    admin = open_caller.with_key(scope="admin")
    assert admin("DELETE", f"/v1/keys/{id_of(admin.key)}").json["revoked_at"]
    assert admin("GET", "/v1/users").status == 401
    assert open_caller("GET", "/v1/users").status == 401


@pytest.mark.parametrize("engine", ["sqlite file", "postgres"], ids=engine_id)
def test_a_server_knows_at_its_start_that_there_are_keys(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with serve_in_process(settings) as client:
        key = Caller(client, None).with_key(scope="admin").key
    with serve_in_process(settings) as client:
        assert "userkeep-authentication" not in client.send("GET", "/healthz").headers
    with serve_in_process(settings) as client:
        target = ("GET", "/v1/users")
        assert Caller(client, key)(*target, Host="userkeep.example.com").status == 200


def test_every_route_needs_a_key_but_health_checks_and_the_page_that_asks_for_one(
    admin: Caller,
) -> None:
    without = admin.with_text(None)
    for path in ("/v1/users", "/api/v1/user", "/openapi.json", "/metrics", "/nothing", "/"):
        rejected = without("GET", path)
        assert (rejected.status, rejected.headers["www-authenticate"]) == (401, "Bearer"), path
    for path in ("/healthz", "/readyz", "/favicon.ico", "/docs", "/docs/docs.js"):
        assert without("GET", path).status in {200, 204}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {STATIC}"},
        {"Authorization": f"bearer {STATIC}"},
        {"Authorization": f"Api-Key {STATIC}"},
        {"Api-Key": STATIC},
    ],
)
@pytest.mark.parametrize("path", ["/v1/users", "/api/v1/user"])
def test_a_key_is_accepted_as_every_client_sends_it(
    shared_admin: Caller, path: str, headers: dict[str, str]
) -> None:
    assert shared_admin.with_text(None)("GET", path, **headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": STATIC},
        {"Authorization": f"Basic {STATIC}"},
        {"Authorization": f"Bearer {STATIC}x"},
        {"Authorization": f"Bearer {STATIC[:-1]}"},
        {"Authorization": f"Bearer {STATIC} {STATIC}"},
        {"Authorization": "Bearer uk_0123456789abcdef_" + "0" * 64},
        {"Authorization": "Bearer é"},
        {"Authorization": "Basic x", "Api-Key": STATIC},
        {"Cookie": f"api-key={STATIC}; jwt={STATIC}"},
        {"X-Api-Key": STATIC},
    ],
)
def test_no_other_credential_is_accepted(shared_admin: Caller, headers: dict[str, str]) -> None:
    # After some failures of one address, the next of them are answered late.
    address = f"10.0.0.{next(_ADDRESSES)}"
    rejected = shared_admin.without_key(address)("GET", "/v1/users", **headers)
    assert (rejected.status, rejected.json["code"]) == (401, "unauthenticated")
    assert STATIC not in rejected.text


def test_a_key_in_the_query_is_not_accepted(admin: Caller) -> None:
    for name in ("key", "api_key", "access_token", "token"):
        assert admin.with_text(None)("GET", f"/v1/users?{name}={STATIC}").status == 401


def test_the_text_of_a_key_is_shown_once(admin: Caller) -> None:
    created = admin("POST", "/v1/keys", {"name": "app", "scope": "read"}).json
    text = created["key"]
    assert text.startswith(f"uk_{created['id']}_")
    assert len(text.rpartition("_")[2]) * 4 == 256
    secret = text.rpartition("_")[2]
    for target in ("/v1/keys", f"/v1/keys/{created['id']}"):
        shown = admin("GET", target)
        assert shown.status == 200
        assert secret not in shown.text
    listed = admin("GET", "/v1/keys").json["items"]
    assert [(each["name"], each["scope"], each["user_id"]) for each in listed] == [
        ("app", "read", None)
    ]


def test_a_repeated_request_does_not_show_the_text_again(admin: Caller) -> None:
    headers = {"Idempotency-Key": "once"}
    first = admin("POST", "/v1/keys", {"scope": "read"}, **headers).json
    second = admin("POST", "/v1/keys", {"scope": "read"}, **headers).json
    assert first["id"] != second["id"]


def test_each_scope_includes_the_ones_before_it(admin: Caller) -> None:
    needs = {"read": ("GET", "/v1/users"), "write": ("POST", "/v1/users")}
    needs["admin"] = ("GET", "/v1/keys")
    scopes = list(needs)
    for scope in scopes:
        caller = admin.with_key(scope=scope)
        for needed, (method, target) in needs.items():
            body = {"user_id": f"by {scope}"} if method == "POST" else None
            response = caller(method, target, body)
            if scopes.index(needed) <= scopes.index(scope):
                assert response.status in {200, 201}, (scope, needed)
            else:
                assert (response.status, response.json["code"]) == (403, "forbidden")
                assert f"the scope {needed}" in response.json["detail"]


def test_a_scope_is_checked_before_anything_else(admin: Caller) -> None:
    admin("POST", "/v1/users", {"user_id": "jane"})
    reader = admin.with_key(scope="read")
    texts = {
        reader("DELETE", f"/v1/users/{user_id}", body).text
        for user_id in ("jane", "unknown")
        for body in (None, b"{", b"x" * (6 * 1024 * 1024))
    }
    assert len(texts) == 1
    assert admin("GET", "/v1/users/jane").status == 200


def test_searches_are_reads(admin: Caller) -> None:
    admin("POST", "/v1/sessions", {"session_id": "s"})
    reader = admin.with_key(scope="read")
    assert reader("POST", "/v1/search", {"query": "x"}).status == 200
    assert reader("POST", "/api/v1/sessions/s/search", {"text": "x"}).status == 200
    assert reader("POST", "/api/v1/user", {"user_id": "x"}).status == 403


def test_a_key_ends_when_it_expires(admin: Caller) -> None:
    for moment in ("2020-01-01T00:00:00Z", "2026-01-01"):
        rejected = admin("POST", "/v1/keys", {"expires_at": moment})
        assert (rejected.status, rejected.json["fields"]) == (422, ["expires_at"])
    assert admin.with_key(expires_at="2100-01-01T00:00:00Z")("GET", "/v1/users").status == 200


def test_a_rotated_key_is_valid_in_both_forms_for_a_while(admin: Caller) -> None:
    former = admin.with_key(scope="read", name="app")
    target = f"/v1/keys/{id_of(former.key)}/rotate"
    rotated = admin("POST", f"{target}?overlap_hours=1").json
    assert (rotated["id"], rotated["name"]) == (id_of(former.key), "app")
    current = admin.with_text(rotated["key"])
    assert current("GET", "/v1/users").status == former("GET", "/v1/users").status == 200
    newest = admin.with_text(admin("POST", f"{target}?overlap_hours=0").json["key"])
    assert newest("GET", "/v1/users").status == 200
    assert current("GET", "/v1/users").status == former("GET", "/v1/users").status == 401


def test_an_overlap_has_limits(admin: Caller) -> None:
    target = f"/v1/keys/{id_of(admin.with_key().key)}/rotate"
    for hours in ("-1", "721", "x"):
        rejected = admin("POST", f"{target}?overlap_hours={hours}")
        assert (rejected.status, rejected.json["fields"]) == (422, ["overlap_hours"])


def test_a_revoked_key_is_rejected_at_once_and_for_good(admin: Caller) -> None:
    caller = admin.with_key()
    assert caller("GET", "/v1/users").status == 200
    target = f"/v1/keys/{id_of(caller.key)}"
    revoked = admin("DELETE", target).json
    assert caller("GET", "/v1/users").status == 401
    assert admin("DELETE", target).json == revoked
    assert admin("POST", f"{target}/rotate").status == 409


def test_keys_that_do_not_exist_are_404(admin: Caller) -> None:
    for method, target in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert admin(method, f"/v1/keys/0123456789abcdef{target}").status == 404


@pytest.mark.parametrize("engine", ["sqlite file", "postgres", ROW_SECURED], ids=engine_id)
def test_the_last_use_of_a_key_is_recorded(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        admin = Caller(client, STATIC)
        caller = admin.with_key(name="used")
        admin.with_key(name="unused")
        assert caller("GET", "/v1/users").status == 200
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        keys = Caller(client, STATIC)("GET", "/v1/keys").json["items"]
        used = {each["name"]: each["last_used_at"] is not None for each in keys}
    assert used == {"used": True, "unused": False}


def about_unknown(response: Response, id_: str) -> str:
    """Return an error with the id `unknown` instead of the id that it names."""
    return response.text.replace(f"'{id_}'", "'unknown'")


def test_a_key_of_a_user_sees_this_user_alone(admin: Caller) -> None:
    for user_id in ("jane", "bob"):
        admin("POST", "/v1/users", {"user_id": user_id})
        message = {"role": "user", "content": f"secret of {user_id}"}
        body = {"user_id": user_id, "messages": [message]}
        assert admin("POST", f"/v1/sessions/of-{user_id}/messages", body).status == 201
    admin("POST", "/v1/sessions", {"session_id": "of-none"})
    jane = admin.with_key(user_id="jane", scope="write")
    assert jane("GET", "/v1/users/jane").status == 200
    listed = [each["session_id"] for each in jane("GET", "/v1/sessions").json["items"]]
    assert listed == ["of-jane"]
    assert jane("GET", "/v1/sessions?owned=false").json["items"] == []
    assert len(jane("GET", "/v1/sessions?owned=true").json["items"]) == 1
    unknown = jane("GET", "/v1/sessions/unknown").text
    for session_id in ("of-bob", "of-none"):
        for path in ("", "/messages", "/memory"):
            response = jane("GET", f"/v1/sessions/{session_id}{path}")
            assert (response.status, about_unknown(response, session_id)) == (404, unknown)
    missing = jane("GET", "/v1/users/unknown")
    assert missing.status == 404
    for target in ("/v1/users/bob", "/v1/users/bob/sessions", "/v1/sessions?user_id=bob"):
        response = jane("GET", target)
        assert (response.status, about_unknown(response, "bob")) == (404, missing.text)
    hits = jane("POST", "/v1/search", {"query": "secret"}).json["items"]
    assert {hit["message"]["content"] for hit in hits} == {"secret of jane"}
    assert jane("POST", "/v1/search", {"query": "secret", "user_id": "bob"}).status == 404
    assert jane("POST", "/v1/search", {"query": "secret", "session_id": "of-bob"}).status == 404


def test_a_key_of_a_user_writes_to_their_sessions_alone(admin: Caller) -> None:
    for user_id in ("jane", "bob"):
        admin("POST", "/v1/users", {"user_id": user_id})
        admin("POST", "/v1/sessions", {"session_id": f"of-{user_id}", "user_id": user_id})
    admin("POST", "/v1/sessions", {"session_id": "of-none"})
    jane = admin.with_key(user_id="jane")
    assert jane("POST", "/v1/sessions", {}).json["user_id"] == "jane"
    assert jane("POST", "/v1/sessions", {"user_id": "bob"}).status == 404
    messages = {"messages": [{"role": "user", "content": "x"}]}
    assert jane("POST", "/v1/sessions/of-jane/messages", messages).status == 201
    unknown = jane("POST", "/v1/sessions/unknown/messages", messages)
    assert unknown.status == 404
    for chosen in ("of-jane", "of-bob", "unknown"):
        assert jane("POST", "/v1/sessions", {"session_id": chosen}).status == 403
    for session_id in ("of-bob", "of-none"):
        target = f"/v1/sessions/{session_id}"
        rejected = jane("POST", f"{target}/messages", messages)
        assert (rejected.status, about_unknown(rejected, session_id)) == (404, unknown.text)
        assert jane("PATCH", target, {"title": "x"}).status == 404
        assert jane("PATCH", target, {"user_id": "jane"}).status == 404
        assert jane("POST", f"{target}/end").status == 404
        assert jane("DELETE", target).status == 404
        found = admin("GET", target).json
        assert (found["title"], found["message_count"], found["ended_at"]) == (None, 0, None)
    assert admin("GET", "/v1/sessions/of-none").json["user_id"] is None
    assert jane("DELETE", "/v1/sessions/of-jane").status == 200
    assert jane("DELETE", "/v1/sessions/unknown?purge=now").status == 403


def test_a_key_of_a_user_does_nothing_else(admin: Caller) -> None:
    admin("POST", "/v1/users", {"user_id": "jane"})
    jane = admin.with_key(user_id="jane")
    for method, target, body in (
        ("GET", "/v1/users", None),
        ("POST", "/v1/users", {"user_id": "x"}),
        ("PUT", "/v1/users/jane", {}),
        ("PATCH", "/v1/users/jane", {"metadata": {"plan": "pro"}}),
        ("DELETE", "/v1/users/jane", None),
        ("GET", "/v1/erasures", None),
        ("GET", "/api/v1/user/jane", None),
        ("GET", "/api/v1/sessions/s/memory", None),
        ("GET", "/api/v1/collection/x", None),
    ):
        assert jane(method, target, body).status == 403, (method, target)
    rejected = admin("POST", "/v1/keys", {"user_id": "jane", "scope": "admin"})
    assert (rejected.status, rejected.json["fields"]) == (422, ["scope"])
    assert admin("POST", "/v1/keys", {"user_id": "unknown"}).status == 404


def test_the_keys_of_a_user_are_deleted_with_them(admin: Caller) -> None:
    admin("POST", "/v1/users", {"user_id": "jane"})
    jane = admin.with_key(user_id="jane", name="of jane")
    assert jane("GET", "/v1/users/jane").status == 200
    assert admin("DELETE", "/v1/users/jane").status == 200
    assert jane("GET", "/v1/users/jane").status == 401
    assert admin("GET", "/v1/keys").json["items"] == []
    admin("POST", "/v1/users", {"user_id": "jane"})
    assert jane("GET", "/v1/users/jane").status == 401


def test_a_key_that_another_server_revoked_is_rejected_within_5_seconds(tmp_path: Path) -> None:
    keyed = replace(fresh_settings("postgres", tmp_path), api_key=STATIC)
    with serve_in_process(keyed) as client, serve_in_process(keyed) as other_client:
        admin, other = Caller(client, STATIC), Caller(other_client, STATIC)
        caller = admin.with_key()
        on_other = other.with_text(caller.key)
        assert on_other("GET", "/v1/users").status == 200
        admin("DELETE", f"/v1/keys/{id_of(caller.key)}")
        assert caller("GET", "/v1/users").status == 401
        assert wait_until_rejected(on_other) < 5


def wait_until_rejected(caller: Caller) -> float:
    """Return after how many seconds a key is rejected."""
    began = monotonic()
    while caller("GET", "/v1/users").status != 401:
        assert monotonic() - began < 10
        sleep(0.1)
    return monotonic() - began
