"""Projects of a server: the key of a request says in which one it works."""

from time import monotonic, sleep
from typing import Any

from tests.http.callers import Caller


def key_of(admin: Caller, project: str, scope: str = "write") -> Caller:
    """Create a project and return what sends requests with a key of it."""
    created = admin("POST", "/v1/projects", {"name": project})
    assert created.status == 201, created.text
    return admin.with_key(project=project, scope=scope)


def deleted(admin: Caller, project: str) -> Any:
    """Delete a project and return it."""
    response = admin("DELETE", f"/v1/projects/{project}")
    assert (response.status, response.json["state"]) == (200, "deleted"), response.text
    return response.json


def test_a_key_works_in_its_project(admin: Caller) -> None:
    shop, library = key_of(admin, "shop"), key_of(admin, "library")
    for caller, email in ((shop, "jane@shop.example"), (library, "jane@library.example")):
        created = caller("POST", "/v1/users", {"user_id": "jane", "email": email})
        assert created.status == 201
        assert caller("GET", "/v1/users/jane").json["email"] == email
        assert caller("GET", "/api/v1/user/jane").json["email"] == email
    assert admin("GET", "/v1/users/jane").status == 404
    assert admin("GET", "/api/v1/user/jane").status == 404


def test_only_admin_keys_of_the_project_default_manage_projects(admin: Caller) -> None:
    callers = [
        key_of(admin, "shop", "admin"),
        admin.with_key(scope="write"),
        admin.with_key(scope="read"),
    ]
    for caller in callers:
        for method, target, body in (
            ("POST", "/v1/projects", {"name": "store"}),
            ("GET", "/v1/projects", None),
            ("GET", "/v1/projects/shop", None),
            ("PATCH", "/v1/projects/shop", {"name": "store"}),
            ("DELETE", "/v1/projects/shop", None),
        ):
            rejected = caller(method, target, body)
            assert (rejected.status, rejected.json["code"]) == (403, "forbidden"), method
    assert admin.with_key(scope="admin")("GET", "/v1/projects/shop").json["state"] == "active"


def test_no_request_works_in_a_deleted_project(admin: Caller) -> None:
    shop = key_of(admin, "shop", "admin")
    assert shop("POST", "/v1/users", {"user_id": "jane"}).status == 201
    bound = shop.with_key(user_id="jane")
    token = shop("POST", "/v1/users/jane/token", {}).json["token"]
    receipt = deleted(admin, "shop")
    assert receipt["deletion"]["counts"]["users"] == 1
    for caller in (shop, bound, shop.with_text(token)):
        for target in ("/v1/users/jane", "/v1/sessions"):
            assert caller("GET", target).status in {401, 404}
        assert caller("POST", "/v1/sessions", {"session_id": "late"}).status in {401, 404}
    assert shop("GET", "/api/v1/user/jane").status == 401
    assert shop("POST", "/v1/users", {"user_id": "late"}).status == 401
    rejected = admin("POST", "/v1/keys", {"project": "shop"})
    assert (rejected.status, rejected.json["fields"]) == (404, ["project"])
    rejected = admin("POST", "/v1/keys", {"project": receipt["uuid"]})
    assert rejected.status == 404


def test_a_key_of_a_deleted_project_is_not_one_of_a_new_project_of_its_name(
    admin: Caller,
) -> None:
    first = key_of(admin, "shop")
    assert first("POST", "/v1/users", {"user_id": "jane"}).status == 201
    deleted(admin, "shop")
    second = key_of(admin, "shop")
    assert second("GET", "/v1/users/jane").status == 404
    assert first("GET", "/v1/users").status == 401


def test_a_key_of_a_deleted_project_ends_on_every_server_within_seconds(admin: Caller) -> None:
    shop = key_of(admin, "shop")
    assert shop("GET", "/v1/users").status == 200
    deleted(admin, "shop")
    ends = monotonic() + 10
    while (status := shop("GET", "/v1/users").status) != 401:
        assert status in {404, 410}
        assert monotonic() < ends
        sleep(0.1)
