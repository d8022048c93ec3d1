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
        "https://127.0.0.1:8000",
        "chrome-extension://127.0.0.1:8000",
        "http://127.0.0.1:8000 http://evil.example",
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


@pytest.mark.parametrize("site", ["cross-site", "Cross-Site", "CROSS-SITE"])
def test_the_case_of_cross_site_does_not_matter(client: InProcessClient, site: str) -> None:
    assert client.send("GET", "/v1/users", headers={"Sec-Fetch-Site": site}).status == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [("LocalHost:8000", "http://localhost:8000"), ("localhost:8000", "HTTP://LOCALHOST:8000")],
)
def test_the_case_of_a_host_does_not_matter(
    client: InProcessClient, host: str, origin: str
) -> None:
    assert is_admitted(client.send("GET", "/v1/users", headers={"Host": host, "Origin": origin}))


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Origin",
        "Sec-Fetch-Site",
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
    ],
)
def test_a_repeated_header_is_rejected(socket_client: SocketClient, name: str) -> None:
    values = {"Host": f"127.0.0.1:{socket_client.port}"}
    first = values.get(name, "x")
    for second in (first, "y"):
        response = socket_client.send_bytes(
            [
                b"GET /v1/users HTTP/1.1\r\nConnection: close\r\n",
                *(f"{key}: {value}\r\n".encode() for key, value in values.items() if key != name),
                f"{name}: {first}\r\n{name.upper()}: {second}\r\n\r\n".encode(),
            ]
        )
        assert response.status == 400
        assert response.json["detail"] == f"The header {name.lower()} must not be repeated."


def test_other_headers_can_be_repeated(socket_client: SocketClient) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    repeated = b"Accept: a\r\nAccept: b\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n\r\n"
    assert socket_client.send_bytes([head, repeated]).status == 200


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
    for scheme in ("http", "https"):  # a reverse proxy may end TLS
        own = {"Host": "userkeep:8000", "Origin": f"{scheme}://userkeep:8000"}
        assert is_admitted(open_client.send("GET", path, headers=own))
    for scheme in ("ftp", "chrome-extension", ""):
        other = {"Host": "userkeep:8000", "Origin": f"{scheme}://userkeep:8000"}
        assert open_client.send("GET", path, headers=other).status == 403


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


# Allowed hosts.


@pytest.fixture(scope="module")
def proxied_client() -> Iterator[InProcessClient]:
    """A client of a server on loopback that allows some hosts."""
    allowed = ("UserKeep.example.com", "*.apps.example.com", "strict.example.com:8443", "10.0.0.1")
    settings = Settings(database_url="sqlite:///:memory:", allowed_host=allowed)
    with serve_in_process(settings) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "userkeep.example.com",
        "userkeep.example.com:443",
        "USERKEEP.example.com:8000",
        "a.apps.example.com",
        "a.b.apps.example.com:1",
        "strict.example.com:8443",
        "10.0.0.1:8000",
        "localhost:8000",
        "[::1]",
    ],
)
def test_an_allowed_host_is_admitted(proxied_client: InProcessClient, path: str, host: str) -> None:
    assert is_admitted(proxied_client.send("GET", path, headers={"Host": host}))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "example.com",
        "evil-userkeep.example.com",
        "userkeep.example.com.evil.example",
        "a.userkeep.example.com",
        "apps.example.com",
        ".apps.example.com",
        "evil@a.apps.example.com",
        "evil.example/.apps.example.com",
        "evil.example#.apps.example.com",
        "evil.example:80.apps.example.com",
        "evil example.apps.example.com",
        "userkeep.example.com:0",
        "userkeep.example.com:65536",
        "userkeep.example.com:x",
        "userkeep.example.com:",
        "userkeep.example.com.",
        "strict.example.com",
        "strict.example.com:443",
        "10.0.0.2",
        "",
        "é.apps.example.com",
    ],
)
def test_hosts_that_are_not_allowed_are_rejected(
    proxied_client: InProcessClient, path: str, host: str
) -> None:
    response = proxied_client.send("GET", path, headers={"Host": host})
    assert response.status == 403
    assert "--allowed-host" in response.text


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("userkeep.example.com", "http://userkeep.example.com"),
        ("userkeep.example.com", "https://userkeep.example.com"),
        ("userkeep.example.com:443", "https://userkeep.example.com"),
        ("userkeep.example.com:8443", "https://userkeep.example.com:8443"),
        ("localhost:8000", "http://localhost:8000"),
    ],
)
def test_the_pages_of_an_allowed_host_are_admitted(
    proxied_client: InProcessClient, host: str, origin: str
) -> None:
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert proxied_client.send("GET", "/v1/users", headers=headers).status == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("userkeep.example.com", "https://a.apps.example.com"),
        ("userkeep.example.com", "https://userkeep.example.com:8443"),
        ("userkeep.example.com:80", "https://userkeep.example.com"),
        ("userkeep.example.com", "ftp://userkeep.example.com"),
        ("userkeep.example.com", "null"),
        ("userkeep.example.com", "http://localhost"),
        ("localhost:8000", "https://localhost:8000"),
        ("localhost:8000", "https://userkeep.example.com"),
    ],
)
def test_the_pages_of_one_allowed_host_may_not_call_another(
    proxied_client: InProcessClient, host: str, origin: str
) -> None:
    headers = {"Host": host, "Origin": origin}
    assert proxied_client.send("GET", "/v1/users", headers=headers).status == 403


def test_an_open_server_that_allows_hosts_checks_them() -> None:
    settings = Settings(
        database_url="sqlite:///:memory:",
        host="0.0.0.0",
        insecure_no_auth=True,
        allowed_host=("userkeep.example.com",),
    )
    with serve_in_process(settings) as client:
        for host, status in (("userkeep.example.com", 200), ("evil.example", 403)):
            assert client.send("GET", "/v1/users", headers={"Host": host}).status == status
