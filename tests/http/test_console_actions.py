"""What admins and support do in the console, below what a browser does, on both engines."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.embedding_server import MODEL, EmbeddingServer, wait_until
from tests.http.callers import STATIC, Caller
from tests.http.clients import InProcessClient, Response, serve_in_process
from tests.http.visits import Visit, key_of, value_of
from userkeep.config import Settings
from userkeep.domain.project import QUOTAS

ENGINES = ("sqlite memory", "postgres")
EMBEDDING = [1.0] * 8


@pytest.fixture(scope="module", params=ENGINES, ids=engine_id)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """A server that needs a key."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("console"))
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        yield client


@pytest.fixture
def admin(server: InProcessClient) -> Visit:
    """A visitor with an admin key of the project default."""
    return Visit(server).sign_in(STATIC)


@pytest.fixture
def api(server: InProcessClient) -> Caller:
    """A caller of the API with the same key."""
    return Caller(server, STATIC)


def sent(visit: Visit, path: str, **fields: str) -> Response:
    """Send a form."""
    return visit.post(f"/console{path}", {**fields, "form_token": visit.token()})


def new_project(visit: Visit, api: Caller, name: str) -> str:
    """Create a project in the console; return the path of its page."""
    assert sent(visit, "/projects", name=name).status == 303
    return f"/projects/{api('GET', f'/v1/projects/{name}').json['uuid']}"


def add_messages(caller: Caller, user_id: str, count: int) -> None:
    body = {"user_id": user_id, "messages": [{"role": "user", "content": "a text"}] * count}
    assert caller("POST", f"/v1/sessions/of-{user_id}/messages", body).status == 201


def new_collection(api: Caller, name: str, *documents: dict[str, Any]) -> str:
    """Create a collection with documents; return the path of its page."""
    assert api("POST", "/v1/collections", {"name": name, "dimensions": 8}).status == 201
    given = [{"embedding": EMBEDDING, **each} for each in documents]
    if given:
        path = f"/v1/collections/{name}/documents"
        assert api("POST", path, {"documents": given}).status == 201
    return f"/collections/{name}"


# Keys.


def test_a_rotated_key_has_a_text_that_is_shown_once(server: InProcessClient, admin: Visit) -> None:
    key = key_of(server, scope="write", name="for the app")
    path = f"/keys/{key['id']}/rotate"
    assert 'value="24"' in admin.get(f"/console{path}").text
    rotated = sent(admin, path, overlap_hours="1")
    found = re.search(r"uk_[0-9a-f]+_[0-9a-f]+", rotated.text)
    assert found is not None
    assert "The former text of" in rotated.text
    assert found[0] != key["key"]
    assert found[0] not in admin.get("/console/keys").text
    for text in (key["key"], found[0]):
        assert Visit(server).sign_in(text).get("/console/users").status == 200


def test_a_text_ends_with_its_rotation_if_the_hours_are_none(
    server: InProcessClient, admin: Visit
) -> None:
    key = key_of(server, scope="write")
    rotated = sent(admin, f"/keys/{key['id']}/rotate", overlap_hours="0")
    assert (rotated.status, "is not valid any more" in rotated.text) == (200, True)
    assert Visit(server).post("/console/sign-in", {"key": key["key"]}).status == 401


def test_hours_that_are_invalid_rotate_nothing_and_stay_in_the_form(
    server: InProcessClient, admin: Visit
) -> None:
    key = key_of(server, scope="write")
    for hours in ("soon", "721", "-1"):
        response = sent(admin, f"/keys/{key['id']}/rotate", overlap_hours=hours)
        assert response.status == 422
        assert f'value="{hours}"' in response.text
        assert 'role="alert"' in response.text
    assert Visit(server).sign_in(key["key"]).get("/console/users").status == 200


def test_a_form_of_a_key_that_is_sent_again_is_not_carried_out_again(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    new_project(admin, api, "twice")
    page = admin.get("/console/keys?project=twice")
    fields = {"scope": "write", "name": "copied", "form_id": value_of(page, "form_id")}
    wrong = sent(admin, "/keys?project=twice", **{**fields, "expires_at": "soon"})
    assert wrong.status == 422
    created = sent(admin, "/keys?project=twice", **fields)
    found = re.search(r"uk_([0-9a-f]+)_[0-9a-f]+", created.text)
    assert found is not None
    again = sent(admin, "/keys?project=twice", **fields)
    assert (again.status, "sent before" in again.text) == (409, True)
    assert found[0] not in again.text
    assert len(api("GET", "/v1/keys?project=twice").json["items"]) == 1
    path = f"/keys/{found[1]}/rotate?project=twice"
    fields = {"overlap_hours": "1", "form_id": value_of(admin.get(f"/console{path}"), "form_id")}
    assert sent(admin, path, **fields).status == 200
    assert sent(admin, path, **fields).status == 409
    assert Visit(server).sign_in(found[0]).get("/console/users").status == 200


def test_a_key_that_was_revoked_is_not_rotated(server: InProcessClient, admin: Visit) -> None:
    key = key_of(server, scope="write")
    assert sent(admin, f"/keys/{key['id']}/revoke").status == 303
    response = sent(admin, f"/keys/{key['id']}/rotate", overlap_hours="1")
    assert (response.status, "is revoked" in response.text) == (409, True)


def test_more_than_a_hundred_keys_are_listed_page_by_page(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    new_project(admin, api, "many")
    ids = {key_of(server, scope="read", project="many")["id"] for _ in range(101)}
    first = admin.get("/console/keys?project=many").text
    more = re.search(r'href="(/console/keys\?project=many&amp;cursor=[^"]+)"', first)
    assert more is not None
    rest = admin.get(unescape(more[1]), **{"HX-Request": "true"}).text
    assert "<html" not in rest
    listed = [{*re.findall(r"<code>([0-9a-f]+)</code>", text)} for text in (first, rest)]
    assert [len(each) for each in listed] == [100, 1]
    assert set.union(*listed) == ids


def test_keys_of_another_project_are_created_rotated_and_revoked(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "branch")
    assert "/console/keys?project=branch" in admin.get(f"/console{path}").text
    assert "no keys yet" in admin.get("/console/keys?project=branch").text
    created = sent(admin, "/keys?project=branch", name="of the branch", scope="admin")
    found = re.search(r"uk_([0-9a-f]+)_[0-9a-f]+", created.text)
    assert found is not None
    branch = Visit(server).sign_in(found[0])
    assert branch.get("/console/keys").text.count("of the branch") == 1
    assert "of the branch" not in admin.get("/console/keys").text
    for action in ("rotate", "revoke"):
        assert f"/keys/{found[1]}/{action}?project=branch" in created.text
        assert branch.get(f"/console/keys/{found[1]}/{action}?project=default").status == 403
    rotate = f"/keys/{found[1]}/rotate?project=branch"
    assert "former text" in sent(admin, rotate, overlap_hours="1").text
    revoked = sent(admin, f"/keys/{found[1]}/revoke?project=branch")
    assert revoked.headers["location"] == "/console/keys?project=branch&done=revoked"
    assert branch.get("/console/keys").status == 303


# Projects.


def test_limits_of_a_project_are_set_and_removed(admin: Visit, api: Caller) -> None:
    path = new_project(admin, api, "limited")
    fields = {"name": "limited", "max_messages_per_user": "1,000", "max_bytes_per_user": "5000"}
    fields["max_documents_per_user"] = "7"
    assert sent(admin, f"{path}/edit", **fields, do_not_embed="yes").status == 303
    project = api("GET", f"/v1{path}").json
    assert [project[name] for name in QUOTAS] == [1000, 5000, 7]
    assert project["do_not_embed"]
    assert sent(admin, f"{path}/edit", name="unlimited").status == 303
    project = api("GET", f"/v1{path}").json
    assert (project["name"], project["max_messages_per_user"]) == ("unlimited", None)


def test_two_admins_do_not_overwrite_the_limits_of_each_other(admin: Visit, api: Caller) -> None:
    path = new_project(admin, api, "shared")
    opened = value_of(admin.get(f"/console{path}"), "updated_at")
    fields = {"name": "shared", "updated_at": opened}
    assert sent(admin, f"{path}/edit", **fields, max_messages_per_user="70").status == 303
    late = sent(admin, f"{path}/edit", **fields, max_documents_per_user="8")
    assert late.status == 412
    assert re.search(r"Most messages of a user</dt><dd>70", late.text)
    assert 'value="8"' in late.text
    fields["updated_at"] = value_of(late, "updated_at")
    assert sent(admin, f"{path}/edit", **fields, max_documents_per_user="8").status == 303
    project = api("GET", f"/v1{path}").json
    assert [project[name] for name in QUOTAS] == [None, None, 8]


def test_a_form_of_a_project_that_was_deleted_leads_to_its_record(
    admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "vanishing")
    assert sent(admin, f"{path}/delete", name="vanishing").status == 303
    late = sent(admin, f"{path}/edit", name="vanishing")
    assert (late.status, late.headers["location"]) == (303, f"/console{path}")


def test_a_limit_that_is_invalid_stays_in_the_form(admin: Visit, api: Caller) -> None:
    path = new_project(admin, api, "strict")
    for limit in ("many", "0", "-5", "9" * 30, "9" * 5000):
        response = sent(admin, f"{path}/edit", name="other", max_messages_per_user=limit)
        assert response.status == 422, limit
        assert f'value="{limit}"' in response.text
        assert 'value="other"' in response.text
        assert "Most messages of a user must be a whole number" in response.text
    assert api("GET", f"/v1{path}").json["name"] == "strict"


def test_the_use_of_a_quota_is_shown_beside_its_limit(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "measured")
    fields = {"name": "measured", "max_messages_per_user": "8", "max_bytes_per_user": "600"}
    fields["max_documents_per_user"] = "4"
    assert sent(admin, f"{path}/edit", **fields).status == 303
    key = key_of(server, scope="write", project="measured")["key"]
    add_messages(api.with_text(key), "jane", 2)
    for text in (
        Visit(server).sign_in(key).get("/console/users/jane").text,
        admin.get(f"/console{path}").text,
    ):
        assert "2 of 8" in text
        assert "12 bytes of 600 bytes" in text
        assert "0 of 4" in text
    assert "jane" not in admin.get(f"/console{path}").text


def test_bytes_from_before_their_limit_are_counted(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "earlier")
    key = key_of(server, scope="write", project="earlier")["key"]
    add_messages(api.with_text(key), "jane", 3)
    assert sent(admin, f"{path}/edit", name="earlier", max_bytes_per_user="600").status == 303
    assert "18 bytes of 600 bytes" in Visit(server).sign_in(key).get("/console/users/jane").text


def test_a_project_is_deleted_once_its_name_is_typed(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "closing")
    key = key_of(server, scope="write", project="closing")["key"]
    of_project = api.with_text(key)
    add_messages(of_project, "jane", 3)
    new_collection(of_project, "notes", {"content": "a", "user_id": "jane"}, {"content": "b"})
    counts = re.findall(r"<dt>(\w+)</dt><dd>(\d+)", admin.get(f"/console{path}/delete").text)
    assert dict(counts) == {
        "Users": "1",
        "Sessions": "1",
        "Messages": "3",
        "Collections": "1",
        "Documents": "2",
    }
    wrong = sent(admin, f"{path}/delete", name="another", purge="now")
    assert (wrong.status, "Nothing was deleted" in wrong.text) == (422, True)
    assert 'value="another"' in wrong.text
    done = sent(admin, f"{path}/delete", name="closing")
    assert (done.status, done.headers["location"]) == (303, f"/console{path}")
    record = admin.get(f"/console{path}").text
    assert dict(re.findall(r"<dt>(\w+)</dt><dd>(\d+)", record))["Messages"] == "3"
    assert path.rpartition("/")[2] in admin.get("/console/projects").text
    assert "closing" not in admin.get("/console/projects").text
    assert of_project("GET", "/v1/users").status == 401
    assert "GET /v1/projects/" in admin.get(f"/console{path}/receipt").text
    assert "Purge the files now" in record
    assert sent(admin, f"{path}/purge").status == 303
    assert "Purge the files now" not in admin.get(f"/console{path}").text
    wait_until(lambda: "not yet" not in admin.get(f"/console{path}").text)
    part = admin.get(f"/console{path}", **{"HX-Request": "true", "X-Renewal": "1"}).text
    assert "every 1s" not in part
    assert 'id="actions" hx-swap-oob="true"' in part


def test_the_project_default_is_not_deleted(admin: Visit, api: Caller) -> None:
    response = sent(admin, "/projects/default/delete", name="default")
    assert (response.status, "cannot be deleted" in response.text) == (409, True)
    assert api("GET", "/v1/projects/default").json["state"] == "active"


def test_pages_of_projects_are_for_admins_of_the_project_default(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_project(admin, api, "kept")
    for fields in ({"scope": "admin", "project": "kept"}, {"scope": "write"}):
        other = Visit(server).sign_in(key_of(server, **fields)["key"])
        for page in (path, f"{path}/edit", f"{path}/delete", f"{path}/receipt"):
            assert other.get(f"/console{page}").status == 403
        assert sent(other, f"{path}/delete", name="kept").status == 403
    assert api("GET", f"/v1{path}").json["state"] == "active"


# Collections.


def test_documents_are_found_by_user_and_by_condition(admin: Visit, api: Caller) -> None:
    api("POST", "/v1/users", {"user_id": "olga"})
    path = new_collection(
        api,
        "manuals",
        {"document_id": "hats", "content": "Wash hats", "metadata": {"topic": "hats", "rank": 5}},
        {"document_id": "shoes", "content": "Brush shoes", "metadata": {"rank": 12, "code": "5"}},
        {"document_id": "own", "content": "Size 9", "user_id": "olga"},
    )
    assert 'name="text"' not in admin.get(f"/console{path}").text
    for fields, found in (
        ({}, ["own", "shoes", "hats"]),
        ({"user_id": "olga"}, ["own"]),
        ({"user_id": "unknown"}, []),
        ({"field": "topic", "op": "eq", "value": "hats"}, ["hats"]),
        ({"field": "metadata.rank", "op": "gt", "value": "5"}, ["shoes"]),
        ({"field": "rank", "op": "in", "value": "5, 12"}, ["shoes", "hats"]),
        ({"field": "topic", "op": "starts_with", "value": "ha"}, ["hats"]),
        ({"field": "rank", "op": "ne", "value": "5"}, ["shoes"]),
        ({"field": "rank", "op": "eq", "value": "5"}, ["hats"]),
        ({"field": "rank", "op": "eq", "value": '"5"'}, []),
        ({"field": "code", "op": "eq", "value": "5"}, ["shoes"]),
        ({"field": "code", "op": "contains", "value": "5"}, ["shoes"]),
        ({"field": "topic", "op": "exists"}, ["hats"]),
        ({"field": "topic", "op": "exists", "value": "false"}, ["own", "shoes"]),
    ):
        text = sent(admin, path, **fields).text
        assert re.findall(r"/documents/(\w+)\"", text) == found, fields


def test_a_condition_that_is_invalid_stays_in_the_form(admin: Visit, api: Caller) -> None:
    path = new_collection(api, "guides")
    for op, value in (("gt", "true"), ("unknown", "x"), ("eq", "")):
        response = sent(admin, path, user_id="olga", field="rank", op=op, value=value)
        assert response.status == 422
        for kept in ("olga", "rank", value):
            assert f'value="{kept}"' in response.text


def test_a_value_that_is_no_json_is_a_text(admin: Visit, api: Caller) -> None:
    path = new_collection(api, "codes", {"content": "a", "metadata": {"code": "1e400"}})
    for value, count in (("1e400", 1), ("NaN", 0), ("9" * 100, 0), ("[" * 100_000, 0)):
        response = sent(admin, path, field="code", op="eq", value=value)
        assert (response.status, response.text.count('<td class="beginning"')) == (200, count)


def test_an_error_of_a_condition_names_the_field_of_the_form(admin: Visit, api: Caller) -> None:
    path = new_collection(api, "errors")
    for field, op, value, detail in (
        ("rank", "gt", "true", "Value must be a text or a number"),
        ("a..b", "ne", "5", "Field of metadata needs a key"),
        ("", "eq", "5", "The condition has no field."),
    ):
        text = sent(admin, path, field=field, op=op, value=value).text
        assert detail in text
        assert 'aria-invalid="true"' in text


def test_ids_of_blanks_can_be_seen_and_clicked(admin: Visit, api: Caller) -> None:
    api("POST", "/v1/users", {"user_id": "\u2003"})
    document = {"document_id": "\u200b", "user_id": "\u2003", "content": "x"}
    path = new_collection(api, "blanks", document)
    for page in (path, f"{path}/documents/%E2%80%8B"):
        assert '">&#34;\\u2003&#34;</a>' in admin.get(f"/console{page}").text
    assert '">&#34;\\u200b&#34;</a>' in admin.get(f"/console{path}").text


def test_documents_are_paged(admin: Visit, api: Caller) -> None:
    api("POST", "/v1/users", {"user_id": "pia"})
    documents = [{"content": f"text {number}", "user_id": "pia"} for number in range(60)]
    path = new_collection(api, "many", *documents)
    response = admin.get(f"/console{path}")
    first = response.text
    second = sent(admin, path, cursor=value_of(response, "cursor")).text
    assert first.count('<td class="beginning"') == 50
    assert second.count('<td class="beginning"') == 10
    own = admin.get("/console/users/pia/documents/many").text
    address = re.search(r'href="(/console/users/pia/documents/many[^"]+)"', own)
    assert address is not None
    assert admin.get(address[1]).text.count('<td class="beginning"') == 10


def test_documents_of_a_user_are_counted_on_their_page(admin: Visit, api: Caller) -> None:
    api("POST", "/v1/users", {"user_id": "rosa"})
    own = {"content": "a", "user_id": "rosa"}
    path = new_collection(api, "diary", own, own, {"content": "b"})
    text = admin.get("/console/users/rosa").text
    assert "2 documents" in text
    assert "/console/users/rosa/documents/diary" in text
    assert "2 documents" in admin.get("/console/users/rosa/delete").text
    assert admin.get(f"/console{path}").text.count("/console/users/rosa") == 2


def test_a_document_and_a_collection_are_deleted(
    server: InProcessClient, admin: Visit, api: Caller
) -> None:
    path = new_collection(api, "old", {"document_id": "a/b", "content": "x"}, {"content": "y"})
    document = f"{path}/documents/a%2Fb"
    assert "x" in admin.get(f"/console{document}").text
    reader = Visit(server).sign_in(key_of(server, scope="read")["key"])
    for page in (f"{document}/delete", f"{path}/delete"):
        assert sent(reader, page, name="old").status == 403
        assert reader.get(f"/console{page}").status == 403
    assert sent(admin, f"{document}/delete").headers["location"] == f"/console{path}?done=deleted"
    assert admin.get(f"/console{document}").status == 404
    wrong = sent(admin, f"{path}/delete", name="new")
    assert (wrong.status, "Nothing was deleted" in wrong.text) == (422, True)
    assert sent(admin, f"{path}/delete", name="old").status == 303
    assert api("GET", "/v1/collections/old").status == 404


def test_documents_are_found_by_meaning(embedding_server: EmbeddingServer) -> None:
    settings = replace(
        Settings(database_url="sqlite:///:memory:"),
        embeddings_url=embedding_server.url,
        embeddings_model=MODEL,
    )
    with serve_in_process(settings) as client:
        api, visit = Caller(client, None), Visit(client)
        body = {"name": "help", "embedded_by": "model", "dimensions": 64}
        assert api("POST", "/v1/collections", body).status == 201
        documents = [{"document_id": "a", "content": "red hats"}, {"content": "sneakers"}]
        api("POST", "/v1/collections/help/documents", {"documents": documents})
        wait_until(lambda: api("GET", "/v1/collections/help").json["waiting_count"] == 0)
        text = sent(visit, "/collections/help", text="footwear").text
        scores = re.findall(r'<td class="number">(-?[0-9.]+)</td>', text)
        assert [float(each) > 0.9 for each in scores] == [True, False]
