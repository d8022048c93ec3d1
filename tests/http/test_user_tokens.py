"""User tokens: a browser holds one in place of a key, for one user and a short time."""

import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.callers import STATIC, Caller, id_of
from tests.http.clients import Request, serve_in_process
from tests.http.conftest import HTTP_ENGINES
from userkeep.config import Settings
from userkeep.domain.secret import derive_key
from userkeep.http.rates import FREE_ATTEMPTS

MESSAGES = {"messages": [{"role": "user", "content": "x"}]}


def token_of(caller: Caller, user_id: str = "jane", query: str = "") -> Caller:
    """Make a token of a user and return what sends requests with it."""
    made = caller("POST", f"/v1/users/{user_id}/token{query}")
    assert made.status == 200, made.text
    return caller.with_text(made.json["token"])


def bearer(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {caller.key}"}


def claims_of(caller: Caller) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(
        caller.key or "", options={"verify_signature": False, "verify_exp": False}
    )
    return decoded


@pytest.fixture
def app(admin: Caller) -> Caller:
    """The key of an app with two users."""
    for user_id in ("jane", "bob"):
        admin("POST", "/v1/users", {"user_id": user_id})
        session = {"session_id": f"of-{user_id}", "user_id": user_id}
        assert admin("POST", "/v1/sessions", session).status == 201
    return admin.with_key(scope="write", name="app")


def test_a_token_permits_what_a_key_of_the_user_does(app: Caller) -> None:
    jane = token_of(app)
    assert jane("GET", "/v1/users/jane").json["user_id"] == "jane"
    listed = jane("GET", "/v1/sessions").json["items"]
    assert [each["session_id"] for each in listed] == ["of-jane"]
    assert jane("POST", "/v1/sessions/of-jane/messages", MESSAGES).status == 201
    for target in ("/v1/users/bob", "/v1/sessions/of-bob", "/v1/sessions/of-bob/messages"):
        assert jane("GET", target).status == 404
    assert jane("POST", "/v1/sessions/of-bob/messages", MESSAGES).status == 404
    assert jane("GET", "/v1/users").status == 403
    assert jane("POST", "/v1/users/jane/token").status == 403
    assert jane("GET", "/api/v1/user/jane").status == 403


def test_a_token_is_valid_for_15_minutes_by_default(app: Caller) -> None:
    made = app("POST", "/v1/users/jane/token").json
    claims = claims_of(app.with_text(made["token"]))
    assert abs(claims["exp"] - claims["iat"] - 15 * 60) <= 1
    assert (made["user_id"], made["scope"]) == ("jane", "write")
    assert claims["sub"] == "jane"


def test_users_use_the_same_idempotency_keys_without_conflict(app: Caller) -> None:
    def create(caller: Caller, title: str) -> tuple[int, str | None]:
        key = {"Idempotency-Key": "1"}
        response = caller("POST", "/v1/sessions", {"title": title}, **key)
        return response.status, response.json.get("session_id")

    callers = [app, token_of(app), token_of(app, "bob")]
    created = [create(each, "first") for each in callers]
    assert [status for status, _ in created] == [201, 201, 201]
    assert len({session_id for _, session_id in created}) == 3
    # For each of them, the key stands for one request.
    callers.append(token_of(app))
    created.append(created[1])
    assert [create(each, "first") for each in callers] == created
    assert {create(each, "second") for each in callers} == {(409, None)}


def test_a_token_does_not_show_a_hash_of_the_key_that_made_it(admin: Caller, app: Caller) -> None:
    digest = sha256(STATIC.encode()).hexdigest()
    static_id = claims_of(token_of(admin))["key_id"].removeprefix("static-")
    assert len(static_id) >= 8
    assert static_id not in digest
    assert claims_of(token_of(app))["key_id"] == id_of(app.key)


def test_a_read_token_does_not_write(app: Caller) -> None:
    jane = token_of(app, query="?scope=read")
    assert jane("GET", "/v1/sessions/of-jane/memory").status == 200
    assert jane("POST", "/v1/sessions/of-jane/messages", MESSAGES).status == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("lifetime_seconds=0", "lifetime_seconds"),
        ("lifetime_seconds=86401", "lifetime_seconds"),
        ("scope=admin", "scope"),
        ("user_id=bob", "user_id"),
    ],
)
def test_an_invalid_request_for_a_token_is_rejected(app: Caller, query: str, field: str) -> None:
    rejected = app("POST", f"/v1/users/jane/token?{query}")
    assert (rejected.status, rejected.json["fields"]) == (422, [field])


def test_only_a_write_key_makes_tokens_and_of_users_that_exist(app: Caller, admin: Caller) -> None:
    assert admin.with_key(scope="read")("POST", "/v1/users/jane/token").status == 403
    assert app("POST", "/v1/users/unknown/token").status == 404
    assert token_of(admin)("GET", "/v1/users/jane").status == 200


@pytest.mark.parametrize("engine", HTTP_ENGINES, ids=engine_id)
def test_an_open_server_makes_no_tokens(engine: str, tmp_path: Path) -> None:
    with serve_in_process(fresh_settings(engine, tmp_path)) as client:
        caller = Caller(client, None)
        caller("POST", "/v1/users", {"user_id": "jane"})
        assert caller("POST", "/v1/users/jane/token").status == 409


def test_a_token_ends_when_it_expires(app: Caller) -> None:
    jane = token_of(app, query="?lifetime_seconds=1")
    assert jane("GET", "/v1/users/jane").status == 200
    time.sleep(max(claims_of(jane)["exp"] - time.time(), 0))
    assert jane("GET", "/v1/users/jane").status == 401


def test_a_token_ends_with_the_key_that_made_it(app: Caller, admin: Caller) -> None:
    jane = token_of(app)
    assert jane("GET", "/v1/users/jane").status == 200
    admin("DELETE", f"/v1/keys/{id_of(app.key)}")
    assert jane("GET", "/v1/users/jane").status == 401


def test_a_token_ends_with_a_key_that_is_revoked_while_tokens_are_used(tmp_path: Path) -> None:
    keyed = replace(fresh_settings("postgres", tmp_path), api_key=STATIC)
    with serve_in_process(keyed) as client:
        admin = Caller(client, STATIC)
        admin("POST", "/v1/users", {"user_id": "jane"})
        for _ in range(3):
            app = admin.with_key(scope="write")
            tokens = [token_of(app, query=f"?lifetime_seconds={each}") for each in range(60, 84)]
            revoke = Request("DELETE", f"/v1/keys/{id_of(app.key)}", None, bearer(admin))
            reads = [
                Request("GET", "/v1/users/jane", None, bearer(each), address=f"192.0.2.{number}")
                for number, each in enumerate(tokens)
            ]
            revoked, *_ = client.send_all([revoke, *reads])
            assert revoked.status == 200
            assert tokens[0]("GET", "/v1/users/jane").status == 401


def test_tokens_end_in_time_whose_key_another_server_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked_for_s = 0.5
    monkeypatch.setattr("userkeep.http.authentication._CHECKED_FOR_S", checked_for_s)
    keyed = replace(fresh_settings("postgres", tmp_path), api_key=STATIC)
    with serve_in_process(keyed) as client, serve_in_process(keyed) as other_client:
        admin, other = Caller(client, STATIC), Caller(other_client, STATIC)
        admin("POST", "/v1/users", {"user_id": "jane"})
        app = admin.with_key()
        first, second = (
            other.with_text(token_of(app, query=f"?lifetime_seconds={lifetime_s}").key)
            for lifetime_s in (60, 61)  # else both would be the same text
        )
        assert first("GET", "/v1/users/jane").status == 200
        admin("DELETE", f"/v1/keys/{id_of(app.key)}")
        revoked_s = time.monotonic()
        time.sleep(checked_for_s * 0.8)
        second("GET", "/v1/users/jane")  # remembered, if it is not checked whether its key is valid
        time.sleep(max(revoked_s + checked_for_s - time.monotonic(), 0))
        for token in (first, second):
            assert token("GET", "/v1/users/jane").status == 401


def test_a_token_survives_the_rotation_of_its_key(app: Caller, admin: Caller) -> None:
    jane = token_of(app)
    admin("POST", f"/v1/keys/{id_of(app.key)}/rotate?overlap_hours=0")
    assert app("GET", "/v1/users").status == 401
    assert jane("GET", "/v1/users/jane").status == 200


@pytest.mark.parametrize("is_used", [True, False], ids=["used before", "not used before"])
def test_a_token_ends_with_its_user(app: Caller, is_used: bool) -> None:
    jane = token_of(app)
    if is_used:
        assert jane("GET", "/v1/users/jane").status == 200
    assert app("DELETE", "/v1/users/jane").status == 200
    assert jane("GET", "/v1/users/jane").status == 401
    app("POST", "/v1/users", {"user_id": "jane"})
    app("POST", "/v1/sessions", {"session_id": "new", "user_id": "jane"})
    for target in ("/v1/users/jane", "/v1/sessions", "/v1/sessions/new"):
        assert jane("GET", target).status == 401
    assert token_of(app)("GET", "/v1/sessions/new").status == 200


def test_a_token_ends_with_a_user_whom_the_zep_api_deletes(app: Caller) -> None:
    jane = token_of(app)
    assert app("DELETE", "/api/v1/user/jane").status == 200
    assert jane("GET", "/v1/users/jane").status == 401


def test_a_token_does_not_open_the_data_of_a_new_user_of_the_same_id(tmp_path: Path) -> None:
    # Another server deletes the user, so that this one does not know it for some seconds.
    keyed = replace(fresh_settings("postgres", tmp_path), api_key=STATIC)
    with serve_in_process(keyed) as client, serve_in_process(keyed) as other_client:
        app, other = Caller(client, STATIC), Caller(other_client, STATIC)
        app("POST", "/v1/users", {"user_id": "jane"})
        jane = token_of(app)
        assert jane("GET", "/v1/users/jane").status == 200
        other("DELETE", "/v1/users/jane")
        other("POST", "/v1/users", {"user_id": "jane"})
        other("POST", "/v1/sessions", {"session_id": "new", "user_id": "jane"})
        for target in ("/v1/users/jane", "/v1/sessions/new", "/v1/sessions/new/messages"):
            assert jane("GET", target).status in {401, 404}
        assert jane("GET", "/v1/sessions").json.get("items", []) == []
        assert jane("POST", "/v1/sessions/new/messages", MESSAGES).status in {401, 404}
        assert jane("POST", "/v1/sessions", {}).status in {401, 404}
        assert jane("POST", "/v1/search", {"query": "x"}).status in {401, 404}


# In four parts, each with fewer attempts than are slowed.
@pytest.mark.parametrize("part", range(4))
def test_a_token_that_this_instance_did_not_sign_is_rejected(
    app: Caller, settings: Settings, part: int
) -> None:
    jane = token_of(app)
    text, claims = str(jane.key), claims_of(jane)
    secret = Path(settings.secret_file).read_text().strip().encode()
    key = derive_key(secret, "user tokens")
    assert jane.with_text(jwt.encode(claims, key, "HS256"))("GET", "/v1/users/jane").status == 200
    header, payload, signature = text.split(".")
    bob = jwt.encode({**claims, "sub": "bob"}, "x" * 32, "HS256")
    forged = [
        jwt.encode(claims, b"another secret of this length ...", "HS256"),
        jwt.encode(claims, key.ljust(64, b"\0") + b"x", "HS256"),
        jwt.encode(claims, key * 2, "HS512"),
        jwt.encode(claims, "", "none"),
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-2]}",
        f"{header}.{bob.split('.')[1]}.{signature}",
        "..",
        "a.b.c",
        *(
            jwt.encode({k: v for k, v in claims.items() if k != name}, key, "HS256")
            for name in claims
            if name != "iat"
        ),
        jwt.encode({**claims, "exp": 1}, key, "HS256"),
        jwt.encode({**claims, "aud": "other"}, key, "HS256"),
        jwt.encode({**claims, "key_id": "static-zep"}, key, "HS256"),
        jwt.encode({**claims, "project_id": 2}, key, "HS256"),
    ]
    assert len(forged) <= 4 * FREE_ATTEMPTS
    for each in forged[part::4]:
        assert jane.with_text(each)("GET", "/v1/users/jane").status == 401, each


def test_a_token_of_a_server_whose_clock_is_ahead_is_accepted(
    app: Caller, settings: Settings
) -> None:
    claims = claims_of(token_of(app))
    key = derive_key(Path(settings.secret_file).read_text().strip().encode(), "user tokens")
    ahead = jwt.encode({**claims, "iat": claims["iat"] + 30}, key, "HS256")
    assert app.with_text(ahead)("GET", "/v1/users/jane").status == 200


ZEP_SECRET = "the-secret-of-zep"


@pytest.mark.parametrize("secret", [ZEP_SECRET, "x" * 64], ids=["short", "long"])
def test_tokens_of_zep_are_admitted_to_the_zep_api(secret: str, tmp_path: Path) -> None:
    settings = replace(fresh_settings("sqlite memory", tmp_path), zep_auth_secret=secret)
    key = secret.encode().ljust(32, b"\0")
    with serve_in_process(settings) as client:
        zep = Caller(client, jwt.encode({"iat": 1_600_000_000}, key, "HS256"))
        assert zep("POST", "/api/v1/user", {"user_id": "jane"}).status == 201
        assert zep("GET", "/api/v1/user/jane").status == 200
        assert zep("GET", "/v1/users/jane").status == 401
        assert zep("GET", "/v1/keys").status == 401
        for claims in ({"exp": 1_600_000_000}, {"nbf": 4_000_000_000}):
            ended = zep.with_text(jwt.encode(claims, key, "HS256"))
            assert ended("GET", "/api/v1/user/jane").status == 401
        other = zep.with_text(jwt.encode({}, b"x" * 63, "HS256"))
        rejected = other("GET", "/api/v1/user/jane")
        assert (rejected.status, rejected.content_type) == (401, "text/plain")
        assert zep.with_text(None)("GET", "/api/v1/user/jane").status == 401
