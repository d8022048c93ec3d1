"""The console in a browser, on both engines: every page, and what can be done on it."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import WAIT_MS, closing_page
from tests.browser.console import (
    ADMIN,
    HOSTILE,
    JANE,
    Site,
    add_people,
    check_accessibility,
    sign_in,
    site,
)
from tests.conftest import engine_id
from tests.embedding_server import wait_until

NARROW: ViewportSize = {"width": 360, "height": 740}
ZOOMED: ViewportSize = {"width": 640, "height": 360}
"""What 200 % of zoom leave of 1280x720."""

ENGINES = ("sqlite file", "postgres")

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module", params=ENGINES, ids=engine_id)
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """An open server with people in it."""
    with site(request.param, tmp_path_factory.mktemp("console")) as found:
        add_people(found)
        yield found


@pytest.fixture(scope="module")
def one_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An open server with people in it, for what does not depend on the engine."""
    with site("sqlite file", tmp_path_factory.mktemp("console")) as found:
        add_people(found)
        yield found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with keys."""
    with site("sqlite file", tmp_path_factory.mktemp("closed"), ADMIN) as found:
        add_people(found)
        yield found


def open_page(page: Page, site: Site, path: str) -> None:
    page.goto(f"{site.url}{path}")


def new_user(site: Site, user_id: str, messages: int = 1) -> str:
    """Add a user with a session of the same id; return the path of the user's page."""
    texts = [{"role": "user", "content": f"text {number}"} for number in range(messages)]
    site.call("POST", "/v1/users", {"user_id": user_id, "first_name": user_id.title()})
    site.call("POST", "/v1/sessions", {"session_id": user_id, "user_id": user_id})
    site.call("POST", f"/v1/sessions/{user_id}/messages", {"messages": texts})
    return f"/users/{user_id}"


def pages_of(site: Site) -> list[str]:
    """Return the paths of all pages."""
    [erasure, *_] = site.call("GET", "/v1/erasures")["items"]
    deletion = f"/deletions/{erasure['id']}"
    [message, *_] = site.call("GET", "/v1/sessions/alps/messages")["items"]
    jane, alps, hostile = "/users/jane%40example.com", "/sessions/alps", quote(HOSTILE, safe="")
    site.key("write")
    [key, *_] = site.call("GET", "/v1/keys")["items"]
    limits = {"max_messages_per_user": 1000, "max_bytes_per_user": 50_000}
    site.call("PATCH", "/v1/projects/default", limits)
    shop = site.call("POST", "/v1/projects", {"name": "shop", **limits})["uuid"]
    former = site.call("POST", "/v1/projects", {"name": "former"})["uuid"]
    site.call("DELETE", f"/v1/projects/{former}")
    document = f"/collections/articles/documents/{hostile}"
    return [
        "",
        "/users",
        "/users?order=-active",
        "/new-user",
        jane,
        *(f"{jane}/{each}" for each in ("sessions", "edit", "search", "delete")),
        f"/users/{hostile}",
        f"/users/{hostile}/documents/articles",
        "/sessions",
        alps,
        *(f"{alps}/{each}" for each in ("rename", "delete")),
        *(f"{alps}/messages/{message['id']}{each}" for each in ("", "/edit", "/delete")),
        "/collections",
        "/collections/articles",
        "/collections/articles/delete",
        document,
        f"{document}/delete",
        "/search",
        "/deletions",
        deletion,
        f"{deletion}/verify",
        "/keys",
        f"/keys/{key['id']}/rotate",
        f"/keys/{key['id']}/revoke",
        "/projects",
        "/projects/default",
        f"/projects/{shop}",
        f"/projects/{shop}/delete",
        f"/projects/{former}",
        "/health",
    ]


# What is outside of the window, or of a box that neither scrolls nor is meant to cut a line.
CUT_OFF = """() => [...document.querySelectorAll("main *, header *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (!box.width || element.closest(".hidden, .skip, svg")) return false;
  const isCut = getComputedStyle(element).overflowX === "hidden"
    && element.scrollWidth > element.clientWidth && !element.matches(".line");
  const isOutside = box.left < 0 || box.right > innerWidth + 0.5;
  return isCut || (isOutside && !element.parentElement.closest(".scroll"));
}).map((element) => element.outerHTML.slice(0, 200))"""


def test_every_page_is_accessible_and_fits_a_narrow_or_zoomed_screen(
    page: Page, closed: Site
) -> None:
    elsewhere = []
    sign_in(page, closed, ADMIN)
    page.on("request", lambda request: elsewhere.append(request.url))
    for path in pages_of(closed):
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(ZOOMED)
        response = page.goto(f"{closed.url}{path}")
        assert response is not None
        assert response.ok, path
        for size in (ZOOMED, NARROW):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert page.evaluate(CUT_OFF) == [], path
        check_accessibility(page)
        page.emulate_media(color_scheme="dark")
        check_accessibility(page, "color-contrast")
    assert [url for url in elsewhere if not url.startswith(closed.url)] == []


def test_hostile_texts_are_shown_as_texts(page: Page, asked: list[str], people: Site) -> None:
    open_page(page, people, "/users")
    page.get_by_role("link", name="<script>").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    page.get_by_role("link", name="<script>").first.click()
    expect(page.locator(".text").first).to_contain_text(HOSTILE)
    open_page(page, people, "/search")
    page.get_by_label("Words").fill("onerror alert")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".hits li").first).to_contain_text("<img src=x")
    assert page.title() != "taken"
    assert page.locator("img").count() == 0


def test_users_are_found_as_one_types_and_no_address_has_the_words(
    page: Page, asked: list[str], people: Site
) -> None:
    new_user(people, "quentin")
    open_page(page, people, "/users")
    page.get_by_label("Find users by id").press_sequentially("quent")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("Quentin")
    page.get_by_label("Find users by id").fill("an-unknown-name")
    expect(page.get_by_text("No user has words")).to_be_visible()
    assert not [address for address in asked if "quent" in address]


def test_the_way_back_leads_to_what_was_found(
    page: Page, asked: list[str], one_engine: Site
) -> None:
    open_page(page, one_engine, "/users/jane%40example.com")
    page.get_by_label("Words").fill("hiking")
    page.get_by_label("Words").press("Enter")
    page.locator(".hits a").first.click()
    page.go_back()
    expect(page.locator(".hits mark").first).to_have_text("hiking")
    assert not [address for address in asked if "hiking" in address]


def test_users_are_sorted_by_their_last_message(page: Page, people: Site) -> None:
    new_user(people, "latest")
    open_page(page, people, "/users")
    page.get_by_label("Order").select_option("last active")
    expect(page.get_by_role("columnheader", name="Last active")).to_be_visible()
    expect(page.locator("tbody tr").first).to_contain_text("latest")


def test_a_user_is_added_and_an_error_keeps_what_was_typed(page: Page, people: Site) -> None:
    open_page(page, people, "/new-user")
    page.get_by_label("Id").fill("carol")
    page.get_by_label("First name").fill("Carol")
    page.get_by_label("Metadata").fill("{plan}")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("metadata is not JSON")
    expect(page.get_by_label("First name")).to_have_value("Carol")
    page.get_by_label("Metadata").fill('{"plan": "free"}')
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Carol")).to_be_visible()
    assert people.call("GET", "/v1/users/carol")["metadata"] == {"plan": "free"}


def test_two_tabs_that_edit_one_user_do_not_overwrite_each_other(page: Page, people: Site) -> None:
    path = new_user(people, "doris")
    other = page.context.new_page()
    for each in (page, other):
        open_page(each, people, f"{path}/edit")
    other.get_by_label("Last name").fill("First")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("status")).to_have_text("Saved.")
    page.get_by_label("Last name").fill("Second")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("has changed since")
    expect(page.get_by_text('"last_name": "First"')).to_be_visible()
    expect(page.get_by_label("Last name")).to_have_value("Second")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Doris Second")).to_be_visible()


def test_a_user_is_deleted_once_the_id_is_typed(page: Page, people: Site) -> None:
    path = new_user(people, "edgar", messages=3)
    open_page(page, people, path)
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("3 messages")).to_be_visible()
    page.get_by_label("type the id").fill("someone else")
    page.get_by_role("button", name="Delete this user").click()
    expect(page.get_by_text("Nothing was deleted")).to_be_visible()
    expect(page.get_by_label("type the id")).to_be_focused()
    assert people.call("GET", "/v1/users/edgar")["user_id"] == "edgar"
    page.get_by_label("type the id").fill("edgar")
    page.get_by_label("Purge the files now").check()
    page.get_by_role("button", name="Delete this user").click()
    expect(page.get_by_text("All rows are gone.")).to_be_visible()
    assert people.api.get("/v1/users/edgar").status_code == 404
    record = page.locator(".facts")
    expect(record).to_contain_text("Messages3")
    expect(page.locator(".steps .reached")).to_have_count(3)
    expect(page.get_by_role("button", name="Purge")).to_have_count(0)
    assert "edgar" not in page.content()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    assert "Purged" in download.value.path().read_text()


def test_a_deletion_goes_on_when_its_page_is_closed(browser: Browser, people: Site) -> None:
    path = new_user(people, "emil", messages=500)
    with closing_page(browser) as page:
        open_page(page, people, f"{path}/delete")
        page.get_by_label("type the id").fill("emil")
        page.get_by_role("button", name="Delete this user").click(no_wait_after=True)
        wait_until(lambda: people.api.get("/v1/users/emil").status_code == 404)
    newest = "/v1/erasures?order=-created&limit=1"
    wait_until(lambda: people.call("GET", newest)["items"][0]["state"] == "deleted")
    [erasure] = people.call("GET", newest)["items"]
    assert erasure["counts"]["messages"] == 500


def test_a_verification_looks_for_texts_that_are_typed_in(page: Page, people: Site) -> None:
    path = new_user(people, "frida")
    people.call("DELETE", "/v1/users/frida?purge=now")
    open_page(page, people, "/deletions")
    page.locator("tbody a").first.click()
    page.get_by_role("link", name="Verify").click()
    page.get_by_label("Id of the deleted user").fill("frida")
    page.get_by_label("Texts to look for").fill("a sentence that was never said")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".result")).to_contain_text("found")
    assert "never said" not in page.content()
    assert path


def test_older_messages_are_loaded_as_one_scrolls_up(page: Page, people: Site) -> None:
    open_page(page, people, "/sessions/alps")
    expect(page.get_by_text("A long answer.").first).to_be_in_viewport()
    first = page.get_by_text("Message 1 is about hiking.")
    for _ in range(30):
        if first.count():
            break
        page.mouse.move(300, 300)
        page.mouse.wheel(0, -20_000)
        page.wait_for_timeout(100)
    expect(first).to_have_count(1)
    assert page.locator("article").count() == 103


def test_the_beginning_of_a_conversation_loads_one_part_at_a_time(
    page: Page, one_engine: Site
) -> None:
    open_page(page, one_engine, "/sessions/alps")
    oldest = page.locator("article").first.get_attribute("id")
    with page.expect_response("**/sessions/alps?before=*"):
        page.keyboard.press("Home")
    expect(page.locator("article")).to_have_count(80)
    # The reader stays where they were, and so the new beginning is out of view.
    expect(page.locator(f"#{oldest}")).to_be_in_viewport()
    page.wait_for_timeout(200)
    expect(page.locator("article")).to_have_count(80)


def test_more_rows_continue_the_table_and_take_the_focus(page: Page, one_engine: Site) -> None:
    for number in range(50):
        one_engine.call("POST", "/v1/users", {"user_id": f"row-{number:02}"})
    open_page(page, one_engine, "/users")
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator("table")).to_have_count(2)
    first, second = page.locator("table").all()
    expect(second.locator("tbody a").first).to_be_focused()
    column = "table => table.querySelector('tbody td:nth-child(3)').getBoundingClientRect().x"
    assert first.evaluate(column) == second.evaluate(column)
    expect(second.locator("thead")).to_have_class("hidden")


def test_a_double_click_sends_a_form_once_and_its_record_can_be_printed(
    page: Page, one_engine: Site
) -> None:
    path = new_user(one_engine, "double")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    open_page(page, one_engine, f"{path}/delete")
    page.get_by_label("type the id").fill("double")
    page.get_by_role("button", name="Delete this user").dblclick()
    expect(page.get_by_text("All rows are gone.")).to_be_visible()
    assert sent.count("POST") == 1
    check_print(page)


def check_print(page: Page) -> None:
    """Check that the record on paper has times in UTC and no buttons, on white."""
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.get_by_role("link", name="Verify")).to_be_hidden()
    moment = page.locator(".record time").first
    assert "UTC" in moment.evaluate("time => getComputedStyle(time, '::after').content")
    assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(0, 0, 0)"


def test_a_part_says_that_the_server_does_not_respond(page: Page, one_engine: Site) -> None:
    open_page(page, one_engine, "/search")
    page.get_by_label("Words").fill("hiking")
    page.context.set_offline(True)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("does not respond")
    page.context.set_offline(False)
    page.get_by_label("Words").press("Enter")
    expect(page.locator(".hits li").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_message_is_edited_and_deleted(page: Page, people: Site) -> None:
    new_user(people, "gerda", messages=2)
    open_page(page, people, "/sessions/gerda")
    page.get_by_role("link", name="Edit message 1").click()
    page.get_by_label("Text").fill("another text")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("another text")).to_be_visible()
    page.get_by_role("link", name="Delete message 2").click()
    page.get_by_role("button", name="Delete this message").click()
    expect(page.get_by_role("status")).to_have_text("Deleted.")
    expect(page.locator("article")).to_have_count(1)


def test_a_session_is_renamed_ended_reopened_and_deleted(page: Page, people: Site) -> None:
    new_user(people, "hanna")
    open_page(page, people, "/sessions/hanna")
    page.get_by_role("link", name="Rename").click()
    page.get_by_label("Title").fill("A new title")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="A new title")).to_be_visible()
    page.get_by_role("button", name="End").click()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="End")).to_be_visible()
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("button", name="Delete this session").click()
    expect(page.get_by_role("heading", name="Deletion of a session")).to_be_visible()
    assert people.api.get("/v1/sessions/hanna").status_code == 404


def test_a_search_marks_what_it_has_found(page: Page, asked: list[str], people: Site) -> None:
    open_page(page, people, "/users/jane%40example.com")
    page.get_by_label("Words").fill("hiking")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".hits mark").first).to_have_text("hiking")
    page.locator(".hits a").first.click()
    expect(page.locator("article:target")).to_be_visible()
    assert not [address for address in asked if "hiking" in address]


def test_a_user_is_exported_as_the_command_line_does(page: Page, people: Site) -> None:
    open_page(page, people, "/users/jane%40example.com")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert JANE not in download.value.suggested_filename
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 1 + 1 + 1 + 103 + 1


def test_reading_and_deleting_work_without_scripts(browser: Browser, people: Site) -> None:
    new_user(people, "irene", messages=60)
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        open_page(page, people, "/users")
        page.get_by_label("Find users by id").fill("irene")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("link", name="Irene").click()
        page.get_by_role("link", name="irene", exact=True).first.click()
        page.get_by_role("link", name="Load older messages").click()
        expect(page.get_by_text("text 0", exact=True)).to_be_visible()
        open_page(page, people, "/users/irene/delete")
        page.get_by_label("type the id").fill("irene")
        page.get_by_role("button", name="Delete this user").click()
        expect(page.get_by_role("heading", name="Deletion of a user")).to_be_visible()
    assert people.api.get("/v1/users/irene").status_code == 404


def test_a_visitor_signs_in_with_a_key_and_signs_out(page: Page, closed: Site) -> None:
    open_page(page, closed, "/users")
    page.get_by_label("API key").fill("uk_not-a-key-of-this-server")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    check_accessibility(page)
    sign_in(page, closed, ADMIN)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert ADMIN not in cookie["value"]
    page.get_by_role("button", name="Sign out").click()
    open_page(page, closed, "/users")
    expect(page.get_by_label("API key")).to_be_visible()


@pytest.mark.parametrize("scope", ["read", "write"])
def test_a_key_sees_and_does_what_its_scope_permits(page: Page, closed: Site, scope: str) -> None:
    sign_in(page, closed, closed.key(scope))
    expect(page.get_by_role("link", name="Keys")).to_have_count(0)
    open_page(page, closed, "/users/jane%40example.com")
    expect(page.get_by_role("link", name="Delete …")).to_have_count(int(scope == "write"))
    for path in ("/keys", "/projects", "/health"):
        response = page.goto(f"{closed.url}{path}")
        assert response is not None
        assert response.status == 403
        expect(page.get_by_role("alert")).to_be_visible()


def test_a_visit_ends_with_its_key(page: Page, closed: Site) -> None:
    text = closed.key("write")
    sign_in(page, closed, text)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    closed.call("DELETE", f"/v1/keys/{text.split('_')[1]}")
    open_page(page, closed, "/users")
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_key_that_is_made_in_the_console_is_shown_once(page: Page, closed: Site) -> None:
    sign_in(page, closed, ADMIN)
    open_page(page, closed, "/keys")
    page.get_by_label("Name").fill("for the app")
    page.get_by_role("button", name="Create").click()
    text = page.locator(".notice code").inner_text()
    sign_in(page, closed, text)
    open_page(page, closed, "/users")
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    sign_in(page, closed, ADMIN)
    open_page(page, closed, "/keys")
    assert text not in page.content()
    row = page.locator("tbody tr").filter(has_text="for the app")
    row.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke this key").click()
    expect(row).to_contain_text("revoked")


def test_a_page_with_a_new_key_that_is_reloaded_creates_no_other(page: Page, closed: Site) -> None:
    sign_in(page, closed, ADMIN)
    open_page(page, closed, "/keys")
    page.get_by_label("Name").fill("once")
    page.get_by_role("button", name="Create").click()
    text = page.locator(".notice code").inner_text()
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("was sent before")
    assert text not in page.content()
    expect(page.locator("tbody tr").filter(has_text="once")).to_have_count(1)


def test_a_key_is_rotated_and_errors_keep_what_was_typed(page: Page, closed: Site) -> None:
    text = closed.key("write")
    sign_in(page, closed, ADMIN)
    open_page(page, closed, "/keys")
    page.get_by_role("link", name=f"Rotate {text.split('_')[1]}").click()
    hours = page.get_by_label("Hours for which")
    expect(hours).to_have_value("24")
    hours.fill("a day")
    page.get_by_role("button", name="Rotate this key").click()
    expect(page.get_by_role("alert")).to_contain_text("overlap_hours")
    expect(hours).to_have_value("a day")
    hours.fill("0")
    page.get_by_role("button", name="Rotate this key").click()
    rotated = page.locator(".notice code").inner_text()
    sign_in(page, closed, text)
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    sign_in(page, closed, rotated)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def state_of(site: Site, project: str) -> str:
    found: str = site.call("GET", f"/v1/projects/{project}")["state"]
    return found


def test_the_deletion_of_a_project_continues_when_its_page_is_closed(
    page: Page, browser: Browser, closed: Site
) -> None:
    project = closed.call("POST", "/v1/projects", {"name": "closing"})
    key = closed.call("POST", "/v1/keys", {"project": "closing"})["key"]
    body = {"user_id": "kim", "messages": [{"role": "user", "content": "a text"}] * 500}
    headers = {"Authorization": f"Bearer {key}"}
    closed.api.post("/v1/sessions/kim/messages", json=body, headers=headers).raise_for_status()
    with closing_page(browser) as closing:
        sign_in(closing, closed, ADMIN)
        open_page(closing, closed, "/projects")
        closing.get_by_role("link", name="closing").click()
        closing.get_by_role("link", name="Delete …").click()
        closing.get_by_label("type the name").fill("closed")
        closing.get_by_role("button", name="Delete this project").click()
        expect(closing.get_by_text("Nothing was deleted")).to_be_visible()
        closing.get_by_label("type the name").fill("closing")
        closing.get_by_label("Purge the files now").check()
        closing.get_by_role("button", name="Delete this project").click(no_wait_after=True)
        wait_until(lambda: state_of(closed, project["uuid"]) != "active")
    wait_until(lambda: state_of(closed, project["uuid"]) == "deleted")
    sign_in(page, closed, ADMIN)
    open_page(page, closed, "/projects")
    page.get_by_role("link", name=project["uuid"]).click()
    expect(page.locator(".facts")).to_contain_text("Messages500")
    expect(page.locator(".steps .reached")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    assert "deletion of a project" in download.value.path().read_text()


def test_documents_are_found_shown_and_deleted(
    page: Page, asked: list[str], one_engine: Site
) -> None:
    open_page(page, one_engine, "/collections")
    page.get_by_role("link", name="articles").click()
    expect(page.locator("td.beginning")).to_have_count(50)
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(61)
    expect(page.locator("tbody tr").nth(50).get_by_role("link").first).to_be_focused()
    expect(page.locator("thead")).to_have_count(1)
    page.get_by_label("Field of metadata").fill("topic")
    page.get_by_label("Condition").select_option("contains")
    page.get_by_label("Value").fill("onerror")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").first.click()
    expect(page.locator(".text")).to_contain_text("<img src=x")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").first.click()
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("button", name="Delete this document").click()
    expect(page.get_by_role("status")).to_have_text("Deleted.")
    assert not [address for address in asked if "onerror" in address.partition("?")[2]]
    assert one_engine.call("GET", "/v1/collections/articles")["document_count"] == 60
