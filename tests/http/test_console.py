"""What protects the console, below what a browser does: cookies, forms, headers, and no keys."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.http.callers import STATIC
from tests.http.clients import InProcessClient, serve_in_process
from tests.http.visits import Visit, key_of, value_of
from userkeep.config import Settings, shown_settings


@pytest.fixture(scope="module")
def closed() -> Iterator[InProcessClient]:
    """A server that needs a key."""
    settings = replace(Settings(database_url="sqlite:///:memory:"), api_key=STATIC)
    with serve_in_process(settings) as client:
        yield client


@pytest.fixture
def visit(closed: InProcessClient) -> Visit:
    """A visitor of the closed server who has signed in."""
    return Visit(closed).sign_in(STATIC)


def test_a_page_has_a_strict_policy_and_is_not_cached(client: InProcessClient) -> None:
    headers = client.send("GET", "/console").headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"


def test_a_page_has_no_code_and_no_style_of_its_own(client: InProcessClient) -> None:
    text = client.send("GET", "/console/users").text
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", text)


def test_the_first_key_of_a_server_is_one_of_an_admin(client: InProcessClient) -> None:
    assert "<option selected>admin</option>" in client.send("GET", "/console/keys").text


def test_files_of_pages_are_public_and_cached(closed: InProcessClient) -> None:
    for name in ("console.css", "console.js", "htmx.js"):
        response = closed.send("GET", f"/console/static/{name}")
        assert response.status == 200
        assert response.headers["cache-control"] == "max-age=3600"
    assert closed.send("GET", "/console/static/base.html").status == 404


def test_every_page_asks_an_unknown_visitor_to_sign_in(closed: InProcessClient) -> None:
    for path in ("/console", "/console/users", "/console/users/jane/delete", "/console/nothing"):
        response = closed.send("GET", path)
        location, _, _ = response.headers["location"].partition("?")
        assert (response.status, location) == (303, "/console/sign-in")
        assert closed.send("POST", path, b"").status == 303
    shown = {"HX-Request": "true", "HX-Current-URL": "http://localhost/console/deletions/a?b#c"}
    for headers, next_ in (({"HX-Request": "true"}, ""), (shown, "?next=%2Fdeletions%2Fa")):
        part = closed.send("GET", "/console/users", headers=headers)
        assert (part.status, part.headers["hx-redirect"]) == (204, f"/console/sign-in{next_}")


def test_a_visitor_who_has_signed_in_sees_the_page_that_was_asked_for(
    closed: InProcessClient,
) -> None:
    visit = Visit(closed)
    asked = visit.get(visit.get("/console/users/a%2Fb/edit").headers["location"])
    following = value_of(asked, "next")
    signed_in = visit.post("/console/sign-in", {"key": STATIC, "next": following})
    assert signed_in.headers["location"] == "/console/users/a%2Fb/edit"
    asked = visit.get("/console/keys?cursor=x&project=shop", Cookie="")
    assert asked.headers["location"] == "/console/sign-in?next=%2Fkeys%3Fproject%3Dshop"
    signed_in = visit.post("/console/sign-in", {"key": STATIC, "next": "/keys?project=shop"})
    assert signed_in.headers["location"] == "/console/keys?project=shop"
    for other in ("//evil.example", "https://evil.example", "/x\r\nSet-Cookie: a=b", "/\u00e9"):
        location = visit.post("/console/sign-in", {"key": STATIC, "next": other}).headers[
            "location"
        ]
        assert location.startswith("/console")
        assert "\n" not in location


def test_a_form_that_comes_after_the_visit_shows_what_was_typed(closed: InProcessClient) -> None:
    text = "an hour of work <b>"
    response = Visit(closed).post("/console/sessions/s/rename", {"title": text, "form_token": "x"})
    assert response.status == 401
    assert text in unescape(response.text)
    assert "<b>" not in response.text
    visit = Visit(closed).sign_in(STATIC)
    response = visit.post("/console/sessions/s/rename", {"title": text, "form_token": "old"})
    assert response.status == 403
    assert text in unescape(response.text)


def test_a_key_in_a_header_is_no_visit(closed: InProcessClient) -> None:
    headers = {"Authorization": f"Bearer {STATIC}"}
    assert closed.send("GET", "/console/users", headers=headers).status == 303


def test_the_cookie_of_a_visit_is_no_key_of_the_api(closed: InProcessClient, visit: Visit) -> None:
    _, _, value = visit.cookie.partition("=")
    for path in ("/v1/users", "/api/v1/user"):
        headers = {"Authorization": f"Bearer {value}", "Cookie": visit.cookie}
        assert closed.send("GET", path, headers=headers).status == 401


def test_a_changed_cookie_is_no_visit(visit: Visit) -> None:
    name, _, value = visit.cookie.partition("=")
    head, claims, signature = value.split(".")
    for changed in ("", "x", f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims}."):
        assert visit.get("/console", Cookie=f"{name}={changed}").status == 303


def test_a_form_without_the_token_of_its_visit_changes_nothing(
    closed: InProcessClient, visit: Visit
) -> None:
    other = Visit(closed).sign_in(STATIC).token()
    for token in ("", "x", other):
        fields = {"user_id": "forged", "form_token": token}
        assert visit.post("/console/new-user", fields).status == 403
    assert visit.get("/console/users/forged").status == 404
    fields = {"user_id": "made", "form_token": visit.token()}
    assert visit.post("/console/new-user", fields).status == 303


def test_a_form_of_another_site_changes_nothing(client: InProcessClient) -> None:
    visit = Visit(client)
    fields = {"user_id": "forged", "form_token": visit.token()}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert visit.post("/console/new-user", fields, **headers).status == 403
    assert visit.get("/console/users/forged").status == 404


def test_forms_of_other_tabs_stay_valid_when_the_same_key_signs_in_again(
    closed: InProcessClient, visit: Visit
) -> None:
    fields = {"user_id": "of-another-tab", "form_token": visit.token()}
    visit.sign_in(STATIC)
    assert visit.post("/console/new-user", fields).status == 303
    old = visit.token()
    visit.sign_in(key_of(closed, scope="write")["key"])
    assert visit.token() != old


def test_servers_of_one_machine_have_cookies_of_their_own(
    client: InProcessClient, visit: Visit
) -> None:
    assert visit.get("/console/users").status == 200
    other = Visit(client)
    other.get("/console/users")
    assert visit.cookie.partition("=")[0] != other.cookie.partition("=")[0]


def test_a_part_that_renews_itself_does_not_prolong_the_visit(visit: Visit) -> None:
    part = {"HX-Request": "true", "X-Renewal": "1"}
    assert "set-cookie" not in visit.get("/console/deletions", **part).headers
    assert "set-cookie" in visit.get("/console/deletions").headers


def test_a_link_of_another_site_asks_before_it_opens_a_page(client: InProcessClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    keys = client.send("GET", "/console/keys?project=shop", headers=headers)
    assert 'href="/console/keys?project=shop"' in keys.text
    page = client.send("GET", "/console/users/a%2Fb?done=x", headers=headers)
    assert page.status == 403
    assert 'href="/console/users/a%2Fb"' in page.text
    fetched = client.send("GET", "/console/users", headers={**headers, "Sec-Fetch-Mode": "cors"})
    assert 'href="/console/users"' not in fetched.text


def test_a_visit_ends_when_its_key_is_rotated_without_overlap(closed: InProcessClient) -> None:
    key = key_of(closed, scope="write")
    visit = Visit(closed).sign_in(key["key"])
    assert visit.get("/console/users").status == 200
    path = f"/v1/keys/{key['id']}/rotate?overlap_hours=0"
    closed.send("POST", path, headers={"Authorization": f"Bearer {STATIC}"})
    assert visit.get("/console/users").status == 303


def test_a_key_of_a_user_cannot_sign_in(closed: InProcessClient) -> None:
    headers = {"Authorization": f"Bearer {STATIC}"}
    closed.send("POST", "/v1/users", {"user_id": "bound"}, headers=headers)
    key = key_of(closed, scope="write", user_id="bound")
    response = Visit(closed).post("/console/sign-in", {"key": key["key"]})
    assert response.status == 403
    assert "bound to a user" in response.text
    assert "set-cookie" not in response.headers


def test_a_reading_key_changes_nothing(closed: InProcessClient, visit: Visit) -> None:
    visit.post("/console/new-user", {"user_id": "kept", "form_token": visit.token()})
    reader = Visit(closed).sign_in(key_of(closed, scope="read")["key"])
    fields = {"user_id": "kept", "form_token": reader.token()}
    for path in ("/console/new-user", "/console/users/kept/edit", "/console/users/kept/delete"):
        assert reader.post(path, fields).status == 403
        assert reader.get(path).status == 403, "a form that could not be sent"
    assert reader.get("/console/users/kept").status == 200


def test_visitors_see_their_own_project_alone(closed: InProcessClient, visit: Visit) -> None:
    visit.post("/console/new-user", {"user_id": "of-default", "form_token": visit.token()})
    visit.post("/console/projects", {"name": "shop", "form_token": visit.token()})
    other = Visit(closed).sign_in(key_of(closed, scope="admin", project="shop")["key"])
    assert other.get("/console/users/of-default").status == 404
    assert "of-default" not in other.get("/console/users").text
    assert other.get("/console/health").status == 403


def test_the_settings_are_shown_without_their_secrets(visit: Visit) -> None:
    text = visit.get("/console/health").text
    assert "USERKEEP_API_KEY" in text
    assert STATIC not in text


def test_no_secret_and_no_password_is_among_the_settings_to_show() -> None:
    url = "postgresql://jane:hidden@db/userkeep"
    secrets = {each.name: "hidden" for each in fields(Settings) if not each.metadata["flag"]}
    assert {"api_key", "secret", "embeddings_key"} <= secrets.keys()
    shown = shown_settings(Settings(database_url=url, **secrets))  # type: ignore[arg-type]
    assert "hidden" not in str(shown)


def test_the_console_can_be_off() -> None:
    settings = Settings(database_url="sqlite:///:memory:", console=False)
    with serve_in_process(settings) as client:
        assert client.send("GET", "/console").status == 404
        assert client.send("GET", "/console/static/console.css").status == 404
        assert "console" not in client.send("GET", "/").json


def test_a_path_answers_to_its_methods_alone(client: InProcessClient) -> None:
    assert client.send("HEAD", "/console/users").status == 200
    assert client.send("OPTIONS", "/console/users").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.send("PUT", "/console/users", b"").status == 405
    assert client.send("GET", "/console/nothing").status == 404


def add_user(client: InProcessClient, user_id: str, **fields: Any) -> str:
    """Add a user, and return the path of the user's page."""
    assert client.send("POST", "/v1/users", {"user_id": user_id, **fields}).status == 201
    return f"/console/users/{quote(user_id, safe='')}"


def test_a_number_of_a_form_that_was_changed_is_no_fault(client: InProcessClient) -> None:
    visit, path = Visit(client), add_user(client, "numbers")
    token = visit.token()
    for number in ("\u00b2", "9" * 5000, "-1", "x"):
        fields = {"revision": number, "form_token": token}
        assert visit.post(f"{path}/edit", fields).status == 412
        fields = {"q": "size", "offset": number, "form_token": token}
        assert visit.post("/console/search", fields).status == 200


def test_metadata_that_cannot_be_stored_is_an_error_of_its_field(client: InProcessClient) -> None:
    visit, path = Visit(client), add_user(client, "metadata", metadata={"count": 1})
    fields = {"form_token": visit.token(), "revision": "1"}
    for text in ("[" * 100_000, '{"a": NaN}', '{"a": 1e400}', '{"a": %s}' % ("1" * 5000), "[]"):
        response = visit.post(f"{path}/edit", {**fields, "metadata": text})
        assert response.status == 422
        assert 'aria-invalid="true"' in response.text


def test_a_value_of_metadata_becomes_another_that_python_holds_for_equal(
    client: InProcessClient,
) -> None:
    visit, path = Visit(client), add_user(client, "equal", metadata={"count": 1, "list": [0]})
    text = '{"count": true, "list": [false]}'
    fields = {"form_token": visit.token(), "revision": "1", "metadata": text}
    assert visit.post(f"{path}/edit", fields).status == 303
    stored = client.send("GET", "/v1/users/equal").json["metadata"]
    assert stored["count"] is True
    assert stored["list"] == [False]
    assert stored["list"][0] is False


def test_an_error_of_a_part_is_no_page_in_the_page(client: InProcessClient) -> None:
    for path in ("/console/deletions/unknown", "/console/users?%FF", "/console/nothing"):
        response = client.send("GET", path, headers={"HX-Request": "true"})
        assert response.status >= 400
        assert 'role="alert"' in response.text
        assert "<header" not in response.text


def test_a_record_claims_no_more_than_was_done(client: InProcessClient) -> None:
    add_user(client, "claimed")
    record = client.send("DELETE", "/v1/users/claimed").json["id"]
    for path in (f"/console/deletions/{record}", f"/console/deletions/{record}/receipt"):
        text = client.send("GET", path).text
        assert "All rows are gone." in text
        assert "The files do not contain it." not in text


def test_the_last_part_of_a_deletion_replaces_what_can_be_done(client: InProcessClient) -> None:
    add_user(client, "watched")
    record = client.send("DELETE", "/v1/users/watched").json["id"]
    path = f"/console/deletions/{record}"
    assert "Purge the files now" in client.send("GET", path).text
    client.send("POST", f"/v1/erasures/{record}/purge")
    part = client.send("GET", path, headers={"HX-Request": "true", "X-Renewal": "1"}).text
    assert "every 1s" not in part
    assert 'id="actions" hx-swap-oob="true"' in part
    assert "Purge the files now" not in part
    assert "hx-swap-oob" not in client.send("GET", path).text


def test_a_session_is_opened_by_its_id(client: InProcessClient) -> None:
    visit = Visit(client)
    fields = {"session_id": "a/b", "form_token": visit.token()}
    opened = visit.post("/console/sessions", fields)
    assert (opened.status, opened.headers["location"]) == (303, "/console/sessions/a%2Fb")


def test_ids_and_titles_of_blanks_can_be_seen_and_clicked(client: InProcessClient) -> None:
    add_user(client, "\u200b", first_name=" ")
    client.send("POST", "/v1/sessions", {"session_id": "blank-title", "title": "\u2003"})
    assert '">&#34;\\u200b&#34;</a>' in client.send("GET", "/console/users").text
    assert '">blank-title</a>' in client.send("GET", "/console/sessions").text


def test_a_user_whose_id_is_blank_is_deleted_once_it_is_typed(client: InProcessClient) -> None:
    visit, path = Visit(client), add_user(client, "  ")
    token = visit.token()
    assert visit.post(f"{path}/delete", {"user_id": "", "form_token": token}).status == 422
    assert visit.post(f"{path}/delete", {"user_id": " ", "form_token": token}).status == 303


def test_an_edited_message_keeps_the_empty_line_at_its_beginning(client: InProcessClient) -> None:
    client.send("POST", "/v1/sessions", {"session_id": "lines"})
    body = {"messages": [{"role": "user", "content": "\nafter an empty line"}]}
    [message] = client.send("POST", "/v1/sessions/lines/messages", body).json["messages"]
    text = client.send("GET", f"/console/sessions/lines/messages/{message['id']}/edit").text
    # HTML drops the first one.
    assert ">\n\nafter an empty line</textarea>" in text


def test_every_address_of_a_page_is_below_the_prefix_of_the_proxy() -> None:
    settings = Settings(database_url="sqlite:///:memory:", root_path="/prefix")
    with serve_in_process(settings) as client:
        add_user(client, "jane")
        client.send("POST", "/v1/sessions", {"session_id": "s", "user_id": "jane"})
        texts = [{"role": "user", "content": f"a size {number}"} for number in range(41)]
        client.send("POST", "/v1/sessions/s/messages", {"messages": texts})
        visit = Visit(client)
        fields = {"q": "size", "form_token": visit.token()}
        pages = [
            *(
                visit.get(f"/console{path}")
                for path in ("", "/users", "/users/jane", "/sessions/s")
            ),
            *(visit.post(f"/console{path}", fields) for path in ("/search", "/users/jane/search")),
            visit.get("/console/users/%FF"),
        ]
    for page in pages:
        addresses = re.findall(r'\s(?:href|src|action|hx-get|hx-post)="([^"]*)"', page.text)
        assert len(addresses) > 3
        assert [each for each in addresses if not each.startswith(("/prefix/", "#"))] == []


def test_a_user_with_most_sessions_hides_no_user_who_was_active_before(tmp_path: Path) -> None:
    database = tmp_path / "busy.db"
    settings = Settings(database_url=f"sqlite:///{database}", secret_file=str(tmp_path / "secret"))
    with serve_in_process(settings) as client:
        for user_id in ("quiet", "busy"):
            add_user(client, user_id)
            client.send("POST", "/v1/sessions", {"session_id": user_id, "user_id": user_id})
    _copy_session(database, "busy", 10_000)
    with serve_in_process(settings) as client:
        visit = Visit(client)
        first = visit.get("/console/users?order=-active")
        cursor = value_of(first, "cursor")
        fields = {"order": "-active", "cursor": cursor, "form_token": visit.token()}
        second = visit.post("/console/users", fields)
    assert [">busy</a>" in page.text for page in (first, second)] == [True, False]
    assert [">quiet</a>" in page.text for page in (first, second)] == [False, True]


def _copy_session(database: Path, session_id: str, count: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM sessions WHERE session_id = ?", (session_id,))
        row = dict(found.fetchone())
        newest = row["number"]
        copies = []
        for number in range(newest + 1, newest + 1 + count):
            own = {"number": number, "session_id": f"{session_id}-{number}", "uuid": str(uuid4())}
            copies.append(row | own)
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.executemany(f"INSERT INTO sessions ({names}) VALUES ({values})", copies)


def test_the_day_with_the_most_messages_has_the_strongest_colour(client: InProcessClient) -> None:
    path = add_user(client, "calendar")
    client.send("POST", "/v1/sessions", {"session_id": "calendar", "user_id": "calendar"})
    for count in (1, 2):
        body = {"messages": [{"role": "user", "content": "x"}]}
        client.send("POST", "/v1/sessions/calendar/messages", body)
        text = client.send("GET", path).text
        assert text.count('class="level4"') == 1
        assert f"{count} message" in text


def test_the_tools_that_a_message_calls_are_named(client: InProcessClient) -> None:
    client.send("POST", "/v1/sessions", {"session_id": "tools"})
    of_openai = {"tool_calls": [{"function": {"name": "get_weather"}}, {"function": {}}, 1]}
    of_langchain = {"tool_calls": [{"name": "<search>"}]}
    others: list[Any] = [{"tool_calls": 1}, {"tool_calls": [[]]}, [1], "text"]
    for data in (of_openai, of_langchain, *others):
        body = {"messages": [{"role": "assistant", "content": "", "data": data}]}
        assert client.send("POST", "/v1/sessions/tools/messages", body).status == 201
    text = client.send("GET", "/console/sessions/tools").text
    assert text.count("<summary>Calls") == 2
    assert "get_weather</bdi>" in text
    assert "&lt;search&gt;</bdi>" in text
    assert text.count("<summary>Data") == 4


def test_megabytes_of_data_are_cut_in_a_conversation(client: InProcessClient) -> None:
    client.send("POST", "/v1/sessions", {"session_id": "megabytes"})
    data = {"rows": [{"number": number} for number in range(10_000)]}
    body = {"messages": [{"role": "assistant", "content": "", "data": data}]}
    [message, *_] = client.send("POST", "/v1/sessions/megabytes/messages", body).json["messages"]
    path = "/console/sessions/megabytes"
    assert len(client.send("GET", path).text) < 200_000
    assert "9999" in client.send("GET", f"{path}/messages/{message['id']}").text


def test_a_text_that_cannot_be_verified_is_named_by_its_line(client: InProcessClient) -> None:
    visit = Visit(client)
    add_user(client, "verified")
    record = client.send("DELETE", "/v1/users/verified").json["id"]
    fields = {"texts": "a whole sentence\n\nab\n", "form_token": visit.token()}
    response = visit.post(f"/console/deletions/{record}/verify", fields)
    assert response.status == 422
    assert "Text 2 would be found by chance" in response.text
    assert "ab\n</textarea>" in response.text


def test_invalid_values_are_errors_of_the_page(client: InProcessClient) -> None:
    for path in (
        "/console/users?cursor=x",
        "/console/users?order=-active&cursor=x",
        "/console/users?order=sideways",
        "/console/sessions?cursor=x",
        "/console/deletions?cursor=x",
    ):
        response = client.send("GET", path)
        assert 400 <= response.status < 500, path
        assert 'role="alert"' in response.text
    assert (
        Visit(client)
        .post("/console/users", {"q": "\ud800".encode("utf-8", "surrogatepass").hex()})
        .status
        == 403
    )
