"""A server that is open to its machine is closed to web pages."""

from collections.abc import Iterator

import pytest

from tests.http.doors import Answer, InProcess, OverSocket, in_process
from userkeep.config import Settings

ADDRESSES = ["/v1/users", "/api/v1/user", "/healthz", "/openapi.json", "/docs", "/nothing"]


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    """An address of each door, and of the pages."""
    target: str = request.param
    return target


@pytest.fixture(scope="module")
def open_doors() -> Iterator[InProcess]:
    """A server that was opened to others on purpose."""
    settings = Settings(database_url="sqlite:///:memory:", host="0.0.0.0", insecure_no_auth=True)
    with in_process(settings) as doors:
        yield doors


def is_let_in(answer: Answer) -> bool:
    return answer.status != 403


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.8.9.10:1",
        "localhost",
        "LocalHost:8000",
        "[::1]",
        "[::1]:8000",
        "[0:0:0:0:0:0:0:1]:80",
    ],
)
def test_a_loopback_host_is_let_in(doors: InProcess, address: str, host: str) -> None:
    assert is_let_in(doors.send("GET", address, headers={"Host": host}))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "evil.example#localhost",
        "localhost@evil.example",
        "user@127.0.0.1",
        "10.0.0.1",
        "0.0.0.0",
        "192.168.0.1:8000",
        "[::]",
        "[2001:db8::1]:8000",
        "127.0.0.1:evil",
        "127.1",
        "2130706433",
        "",
        ":8000",
        "é",
    ],
)
def test_any_other_host_is_refused(doors: InProcess, address: str, host: str) -> None:
    # A name that its owner has pointed to 127.0.0.1 would make the pages there same-origin.
    assert doors.send("GET", address, headers={"Host": host}).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:8000",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1:8001",
        "http://127.0.0.1",
        "http://127.0.0.1:8000.evil.example",
        "file://",
        "",
        "127.0.0.1:8000",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_origin_is_refused(
    doors: InProcess, address: str, method: str, origin: str
) -> None:
    headers = {"Host": "127.0.0.1:8000", "Origin": origin}
    answer = doors.send(method, address, headers=headers)
    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"])
def test_the_servers_own_pages_are_let_in(doors: InProcess, address: str, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert is_let_in(doors.send("GET", address, headers=headers))


def test_what_a_browser_calls_cross_site_is_refused(doors: InProcess, address: str) -> None:
    for origin in ({}, {"Origin": "http://127.0.0.1:8000"}):
        headers = {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"} | origin
        assert doors.send("GET", address, headers=headers).status == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_what_a_person_types_is_let_in(doors: InProcess, address: str, site: str) -> None:
    assert is_let_in(doors.send("GET", address, headers={"Sec-Fetch-Site": site}))


def test_nothing_is_written_for_a_web_page(doors: InProcess, fresh: str) -> None:
    for target in ("/v1/users", "/api/v1/user"):
        for headers in (
            {"Origin": "http://evil.example", "Content-Type": "text/plain"},
            {"Host": "evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert doors.send("POST", target, {"user_id": fresh}, headers=headers).status == 403
    assert doors.send("GET", f"/api/v1/user/{fresh}").status == 404


def test_each_door_refuses_in_its_own_way(doors: InProcess) -> None:
    headers = {"Host": "evil.example"}
    native = doors.send("GET", "/v1/users", headers=headers)
    assert native.headers["content-type"] == "application/problem+json"
    assert native.json["code"] == "forbidden"
    zep = doors.send("GET", "/api/v1/user", headers=headers)
    assert zep.content_type == "text/plain"
    assert zep.headers["x-zep-version"]


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8000", "userkeep:8000", "", "é"])
def test_a_server_open_on_purpose_has_any_name(
    open_doors: InProcess, address: str, host: str
) -> None:
    assert is_let_in(open_doors.send("GET", address, headers={"Host": host}))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://userkeep:8001"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_server_open_on_purpose_is_closed_to_foreign_pages_all_the_same(
    open_doors: InProcess, address: str, headers: dict[str, str]
) -> None:
    named = {"Host": "userkeep:8000"} | headers
    assert open_doors.send("GET", address, headers=named).status == 403
    own = {"Host": "userkeep:8000", "Origin": "http://userkeep:8000"}
    assert is_let_in(open_doors.send("GET", address, headers=own))


def test_null_is_no_origin_of_a_server_without_a_name(open_doors: InProcess) -> None:
    headers = {"Host": "", "Origin": "null"}
    assert open_doors.send("POST", "/v1/users", {}, headers=headers).status == 403


def test_insecure_no_auth_on_loopback_opens_nothing() -> None:
    settings = Settings(database_url="sqlite:///:memory:", insecure_no_auth=True)
    with in_process(settings) as doors:
        assert doors.send("GET", "/v1/users", headers={"Host": "evil.example"}).status == 403


def test_it_holds_over_a_socket(socket_doors: OverSocket) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        for target in ("/v1/users", "/api/v1/user"):
            assert socket_doors.send("GET", target, headers=headers).status == 403
    assert socket_doors.send("GET", "/v1/users", headers={"Host": "localhost"}).status == 200
