"""Web pages of allowed origins may call the server, and no others (CORS)."""

from collections.abc import Iterator

import pytest

from tests.http.clients import InProcessClient, Response, serve_in_process
from tests.http.raw import QUICK, RawServer, request, serve_raw
from tests.http.request_logs import logged
from userkeep.api.operations import OPERATIONS
from userkeep.config import Settings

APP = "https://app.example.com"
ORIGINS = (APP, "http://localhost:3000")
TARGETS = ("/v1/users", "/v1/users/unknown", "/api/v1/user", "/healthz", "/docs", "/nothing")


@pytest.fixture(scope="module")
def client() -> Iterator[InProcessClient]:
    """A client of a server that allows two origins."""
    settings = Settings(database_url="sqlite:///:memory:", cors_origin=ORIGINS)
    with serve_in_process(settings) as client:
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """The same on a socket, with short times."""
    with serve_raw(QUICK._replace(head_s=0.05), cors_origin=ORIGINS) as server:
        yield server


def words(response: Response, header: str) -> set[str]:
    return {each.strip() for each in response.headers[header].split(",")}


def is_readable(response: Response, origin: str) -> bool:
    """Return whether a browser lets a page of this origin read a response."""
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["vary"].split(", ")[0] == "Origin"
    return response.headers.get("access-control-allow-origin") == origin


def preflight(client: InProcessClient, target: str, **headers: str) -> Response:
    asked = {"Access-Control-Request-Method": "PUT", "Sec-Fetch-Site": "cross-site"}
    return client.send("OPTIONS", target, headers=asked | {"Origin": APP} | headers)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_preflight_of_an_allowed_origin_is_answered(
    client: InProcessClient, target: str, origin: str
) -> None:
    response = preflight(client, target, Origin=origin)
    assert (response.status, response.body) == (204, b"")
    assert is_readable(response, origin)
    assert words(response, "access-control-allow-headers") == {
        "Api-Key",
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "X-Request-Id",
    }
    assert "content-length" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_a_preflight_is_logged_with_its_route(client: InProcessClient) -> None:
    with logged() as lines:
        response = preflight(client, "/v1/users/jane")
    assert (lines[0]["method"], lines[0]["route"]) == ("OPTIONS", "/v1/users/{user_id}")
    assert lines[0]["request_id"] == response.headers["x-request-id"]


def test_a_preflight_allows_the_method_of_every_operation(client: InProcessClient) -> None:
    for operation in OPERATIONS:
        response = preflight(client, operation.path.replace("{", "").replace("}", ""))
        assert operation.method in words(response, "access-control-allow-methods")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_any_other_origin_is_rejected(
    client: InProcessClient, target: str, origin: str, method: str
) -> None:
    asked = {"Access-Control-Request-Method": "GET"} if method == "OPTIONS" else {}
    response = client.send(method, target, headers={"Origin": origin} | asked)
    assert response.status == 403
    assert not any(name.startswith("access-control") for name in response.headers)
    assert response.headers["vary"].split(", ")[0] == "Origin"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "OPTIONS"])
def test_a_page_of_an_allowed_origin_can_read_every_response(
    client: InProcessClient, target: str, method: str
) -> None:
    headers = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    response = client.send(method, target, {"user_id": "jane"}, headers=headers)
    assert response.status != 403
    assert is_readable(response, APP)
    assert {"ETag", "Location", "Retry-After", "Idempotent-Replayed", "X-Request-Id"} <= words(
        response, "access-control-expose-headers"
    )


def test_a_page_of_an_allowed_origin_can_write(client: InProcessClient) -> None:
    response = client.send("POST", "/v1/users", {"user_id": "page"}, headers={"Origin": APP})
    assert response.status == 201
    assert client.send("GET", "/v1/users/page").status == 200


def test_requests_without_an_origin_get_no_permission(client: InProcessClient) -> None:
    response = client.send("GET", "/v1/users")
    assert response.status == 200
    assert not is_readable(response, APP)
    cross_site = client.send("GET", "/v1/users", headers={"Sec-Fetch-Site": "cross-site"})
    assert cross_site.status == 403


@pytest.mark.parametrize("target", TARGETS)
def test_an_allowed_origin_does_not_allow_another_host(
    client: InProcessClient, target: str
) -> None:
    assert preflight(client, target, Host="evil.example").status == 403
    headers = {"Origin": APP, "Host": "evil.example"}
    response = client.send("GET", target, headers=headers)
    assert response.status == 403
    assert is_readable(response, APP)


def test_a_response_in_pieces_can_be_read(client: InProcessClient) -> None:
    messages = [{"role": "user", "content": str(number)} for number in range(1000)]
    body = {"user_id": "jane", "messages": messages}
    for _ in range(2):
        assert client.send("POST", "/v1/sessions/long/messages", body).status == 201
    target = "/api/v1/sessions/long/messages?limit=2000"
    response = client.send("GET", target, headers={"Origin": APP})
    assert response.pieces > 1
    assert is_readable(response, APP)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("GET", "/" + "x" * 70_000, None, f"Origin: {APP}"), 414),
        (request("GET", "/v1/users", None, f"Origin: {APP}", "X: " + "x" * 70_000), 431),
        (request("POST", "/v1/users", None, f"Origin: {APP}", f"Content-Length: {6 << 20}"), 413),
        (f"GET /v1/users HTTP/1.1\r\nOrigin: {APP}\r\nX: ".encode(), 408),
        (request("GET", "http://b/", None, f"Origin: {APP}"), 400),
    ],
    ids=["414", "431", "413", "408", "400"],
)
def test_errors_of_the_protocol_have_the_headers(
    server: RawServer, sent: bytes, status: int
) -> None:
    response = server.send(sent)
    assert response.status == status
    assert response.headers["vary"].split(", ")[0] == "Origin"
    if status != 414:  # the server has not read the Origin
        assert is_readable(response, APP)


def test_by_default_there_is_no_cors() -> None:
    with serve_in_process(Settings(database_url="sqlite:///:memory:")) as closed:
        for response in (
            preflight(closed, "/v1/users"),
            closed.send("GET", "/v1/users", headers={"Origin": APP}),
            closed.send("GET", "/v1/users"),
        ):
            names = set(response.headers)
            assert not any(name.startswith("access-control") or name == "vary" for name in names)
