"""A server on loopback rejects requests from web pages."""

from collections.abc import Iterator

import pytest

from tests.http.clients import InProcessClient, Response, SocketClient, serve_in_process
from userkeep.config import Settings

PATHS = ["/v1/users", "/api/v1/user", "/healthz", "/openapi.json", "/docs", "/nothing"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    """A path of each API and page."""
    target: str = request.param
    return target


@pytest.fixture(scope="module")
def open_client() -> Iterator[InProcessClient]:
    """A client of a server that is open to other machines on purpose."""
    settings = Settings(database_url="sqlite:///:memory:", host="0.0.0.0", insecure_no_auth=True)
    with serve_in_process(settings) as client:
        yield client


def is_admitted(response: Response) -> bool:
    return response.status != 403


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
def test_a_loopback_host_is_admitted(client: InProcessClient, path: str, host: str) -> None:
    assert is_admitted(client.send("GET", path, headers={"Host": host}))


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
def test_any_other_host_is_rejected(client: InProcessClient, path: str, host: str) -> None:
    # DNS rebinding: a host name that resolves to 127.0.0.1 would make its pages same-origin.
    assert client.send("GET", path, headers={"Host": host}).status == 403


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
def test_another_origin_is_rejected(
    client: InProcessClient, path: str, method: str, origin: str
) -> None:
    headers = {"Host": "127.0.0.1:8000", "Origin": origin}
    response = client.send(method, path, headers=headers)
    assert response.status == 403
    assert not any(name.startswith("access-control") for name in response.headers)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"])
def test_the_servers_own_pages_are_admitted(client: InProcessClient, path: str, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert is_admitted(client.send("GET", path, headers=headers))


def test_a_cross_site_request_is_rejected(client: InProcessClient, path: str) -> None:
    for origin in ({}, {"Origin": "http://127.0.0.1:8000"}):
        headers = {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"} | origin
        assert client.send("GET", path, headers=headers).status == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_an_address_typed_into_the_browser_is_admitted(
    client: InProcessClient, path: str, site: str
) -> None:
    assert is_admitted(client.send("GET", path, headers={"Sec-Fetch-Site": site}))


def test_a_foreign_web_page_writes_nothing(client: InProcessClient, fresh: str) -> None:
    for target in ("/v1/users", "/api/v1/user"):
        for headers in (
            {"Origin": "http://evil.example", "Content-Type": "text/plain"},
            {"Host": "evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert client.send("POST", target, {"user_id": fresh}, headers=headers).status == 403
    assert client.send("GET", f"/api/v1/user/{fresh}").status == 404


def test_each_api_rejects_in_its_own_format(client: InProcessClient) -> None:
    headers = {"Host": "evil.example"}
    native = client.send("GET", "/v1/users", headers=headers)
    assert native.headers["content-type"] == "application/problem+json"
    assert native.json["code"] == "forbidden"
    zep = client.send("GET", "/api/v1/user", headers=headers)
    assert zep.content_type == "text/plain"
    assert zep.headers["x-zep-version"]


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8000", "userkeep:8000", "", "é"])
def test_an_open_server_accepts_any_host(
    open_client: InProcessClient, path: str, host: str
) -> None:
    assert is_admitted(open_client.send("GET", path, headers={"Host": host}))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://userkeep:8001"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_an_open_server_still_rejects_foreign_pages(
    open_client: InProcessClient, path: str, headers: dict[str, str]
) -> None:
    named = {"Host": "userkeep:8000"} | headers
    assert open_client.send("GET", path, headers=named).status == 403
    own = {"Host": "userkeep:8000", "Origin": "http://userkeep:8000"}
    assert is_admitted(open_client.send("GET", path, headers=own))


def test_origin_null_is_rejected_with_an_empty_host(open_client: InProcessClient) -> None:
    headers = {"Host": "", "Origin": "null"}
    assert open_client.send("POST", "/v1/users", {}, headers=headers).status == 403


def test_insecure_no_auth_on_loopback_still_checks_the_host() -> None:
    settings = Settings(database_url="sqlite:///:memory:", insecure_no_auth=True)
    with serve_in_process(settings) as client:
        assert client.send("GET", "/v1/users", headers={"Host": "evil.example"}).status == 403


def test_access_control_applies_over_a_socket(socket_client: SocketClient) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        for target in ("/v1/users", "/api/v1/user"):
            assert socket_client.send("GET", target, headers=headers).status == 403
    assert socket_client.send("GET", "/v1/users", headers={"Host": "localhost"}).status == 200
