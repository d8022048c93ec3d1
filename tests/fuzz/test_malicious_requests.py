"""No malicious request of these lists causes a server error: no status is 5xx."""

from itertools import product
from pathlib import Path

import pytest

from tests.fuzz.checks import check_response
from tests.fuzz.values import (
    IDS,
    IN_MESSAGE,
    MESSAGE,
    NAMES,
    QUERIES,
    QUERY_NAMES,
    QUERY_VALUES,
    READS,
    ROUTES,
    SEGMENTS,
    VALUES,
    WRITES,
    ZEP_FIELDS,
    path_of,
)
from tests.http.clients import InProcessClient, Request, Response, serve_in_process
from tests.long.counts import IS_FULL
from userkeep.api.operations import OPERATIONS
from userkeep.config import Settings
from userkeep.http.errors import NO_SUCH_PATH

_FIELDS: dict[tuple[str, str], list[bytes]] = {
    (each.method, each.path): [
        name.encode() for name in getattr(each.body, "__struct_encode_fields__", ())
    ]
    for each in OPERATIONS
}
"""The fields that each native operation reads."""


_READ_FROM_QUERY: dict[str, list[str]] = {
    each.path: list(getattr(each.query, "__struct_encode_fields__", ()))
    for each in OPERATIONS
    if each.method == "GET"
}
"""The parameters that each native list or noun reads."""


def fields_of(method: str, path: str) -> list[bytes]:
    """Return the fields to send to a route.

    A native route rejects every other field as it rejects `unknown`, and a route of `/api/v1`
    ignores every other: these are for full runs.
    """
    read = [*_FIELDS.get((method, path), ()), *ZEP_FIELDS.get((method, path), ())]
    return list(dict.fromkeys([*read, b"unknown", *(NAMES if IS_FULL else ())]))


def parameters_of(path: str) -> list[str]:
    """Return the names of the query parameters to send to a path; see `fields_of`."""
    read = _READ_FROM_QUERY.get(path)
    if IS_FULL or read is None:
        return list(dict.fromkeys([*(read or ()), *QUERY_NAMES]))
    others = [name for name in QUERY_NAMES if name.startswith("metadata.")]
    conditions = others if "metadata" in read else ["metadata.a", "metadata.%ff"]
    return [*read, *conditions, "", "%00", "unknown"]


def bodies_for(method: str, path: str, value: bytes) -> list[bytes]:
    """Bodies with a raw JSON value in each of the fields."""
    if path.endswith(("/messages", "/memory")):
        fields = [b'"%s": %s' % (name, value) for name in IN_MESSAGE]
        return [
            value,
            b'{"user_id": %s, "messages": [{"role": "user", "content": "x"}]}' % value,
            *(b'{"%s": %s}' % (name, value) for name in (b"messages", b"summary", b"metadata")),
            b'{"messages": [%s]}' % value,
            *(b'{"messages": [{"role": "user", "content": "x", %s}]}' % field for field in fields),
        ]
    return [
        value,
        *(b'{"%s": %s}' % (name, value) for name in fields_of(method, path)),
        b'{"user_id": "new", "session_id": "new", "metadata": %s}' % value,
        b'{"metadata": {"a": {"a": %s}}}' % value,
        b'{"metadata": {"a": [%s]}}' % value,
    ]


@pytest.mark.parametrize("name", VALUES)
def test_an_invalid_body_is_a_client_error_and_leaves_everything_readable(
    populated: InProcessClient, name: str
) -> None:
    for method, path in WRITES:
        for body in bodies_for(method, path, VALUES[name]):
            check_response(populated.send(method, path_of(path), body), method, path, body)
    for path in READS:
        check_response(populated.send("GET", path_of(path)), path, name)


@pytest.mark.parametrize("value", QUERY_VALUES, ids=lambda value: value[:24] or "empty")
def test_an_invalid_query_parameter_is_a_client_error(
    populated: InProcessClient, value: str
) -> None:
    for path in QUERIES:
        for name in parameters_of(path):
            target = f"{path_of(path)}?{name}={value}"
            check_response(populated.send("GET", target), target)


def test_large_limits_and_cursors_are_client_errors(populated: InProcessClient) -> None:
    great = [str(2**63 - 1), str(2**62), str(2**32), str(-(2**63))]
    for path, limit, cursor in product(QUERIES, great, great):
        target = f"{path_of(path)}?limit={limit}&cursor={cursor}"
        check_response(populated.send("GET", target), target)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"&",
        b"=",
        b"?",
        b"&&&=&=",
        b"limit",
        b"limit=1;cursor=2",
        b"%",
        b"%zz=%zz",
        b"\xff=\xff",
        b"limit=\xff",
        b"a=1&" * 5_000,
        b"metadata.a=1&" * 1_000,
        b"".join(b"metadata.a%d=1&" % number for number in range(300)),
        b"x" * 60_000,
        b"limit=1#fragment",
        b'filter={"not":{"field":"metadata.a","op":"eq","value":1}}',
        b'filter={"field":"metadata.a.a.b","op":"gt","value":"\xed\xa0\x80"}',
        b'filter={"field":"metadata.\\u0000","op":"gt","value":"\\udc00"}',
        b'filter={"field":"metadata.a","op":"in","value":[1e308,-1e308,9223372036854775807]}',
        b'filter={"and":' * 1_000,
        b"filter=" + b"[" * 20_000,
        b'filter={"field":"metadata.a","op":"eq","value":' + b"9" * 5_000 + b"}",
    ],
    ids=lambda query: repr(query[:16]),
)
def test_a_query_of_arbitrary_bytes_is_a_client_error(
    populated: InProcessClient, query: bytes
) -> None:
    for path in READS:
        target = path_of(path).encode() + b"?" + query
        check_response(populated.send("GET", target), target)


@pytest.mark.parametrize("segment", SEGMENTS, ids=lambda segment: repr(segment[:16]))
def test_an_invalid_id_is_a_client_error(populated: InProcessClient, segment: bytes) -> None:
    placeholders = [f"{{{name}}}" for name in IDS]
    for method, path in ROUTES:
        for placeholder in placeholders:
            if placeholder in path:
                before, after = (path_of(part).encode() for part in path.split(placeholder))
                target = before + segment + after
                check_response(populated.send(method, target, {}), method, target)


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"999999999999999999"'},
        {"If-Match": '"9999999999999999999999"'},
        {"If-Match": "\xff"},
        {"If-Match": '"\xb2"'},
        {"If-Match": ""},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "\xff\x80"},
        {"Idempotency-Key": "x" * 10_000},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Encoding": "gzip"},
        {"Content-Length": "0"},
        {"Authorization": "Bearer \xff"},
        {"Authorization": "Basic " + "A" * 10_000},
        {"Cookie": "jwt=\x80"},
        {"Expect": "100-continue"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Range": "bytes=0-0"},
        {"Accept": "image/png"},
        {"Accept-Encoding": "gzip;q=x"},
        {"X-" + "x" * 1_000: "x" * 10_000},
        {"Host": "\xff"},
        {"Host": "[::1%eth0]:8000"},
        {"Host": "[" * 1_000},
        {"Host": "127.0.0.1:" + "9" * 5_000},
        {"Host": "1" * 5_000},
        {"Origin": "\xff://\xff"},
        {"Sec-Fetch-Site": "\xff"},
    ],
    ids=str,
)
def test_an_invalid_header_is_a_client_error(
    populated: InProcessClient, headers: dict[str, str]
) -> None:
    for number, (method, path) in enumerate(ROUTES):
        # Each from an address of its own: responses to invalid credentials are delayed by address.
        sent = {"headers": headers, "address": f"192.0.2.{number}"}
        response = populated.send(method, path_of(path), {"metadata": {}}, **sent)
        check_response(response, method, path, headers)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY", "get", "", "Ä"])
def test_an_unknown_method_is_a_client_error(populated: InProcessClient, method: str) -> None:
    targets = [path_of(path) for _, path in ROUTES]
    for target in [*targets, "/", "/healthz", "/readyz", "/docs", "/openapi.json", "/api/v1"]:
        check_response(populated.send(method, target), method, target)


def test_concurrent_requests_for_the_same_ids_cause_no_server_error(
    populated: InProcessClient,
) -> None:
    body = {"user_id": "twin", "session_id": "twin"}
    responses = populated.send_all(
        Request(
            method,
            path_of(path),
            body | {"messages": [{"role": "user", "content": "x", "id": MESSAGE}]},
        )
        for _ in range(20)
        for method, path in ROUTES
    )
    for response in responses:
        check_response(response)


def test_every_route_exists(client: InProcessClient) -> None:
    for method, path in ROUTES:
        response = client.send(method, path_of(path), {})
        assert response.status != 405
        assert NO_SUCH_PATH not in response.text
        assert "page not found" not in response.text


def test_the_check_fails_on_500_and_accepts_404(tmp_path: Path) -> None:
    with serve_in_process(Settings(database_url=f"sqlite:///{tmp_path}/userkeep.db")) as client:
        with pytest.raises(AssertionError):
            check_response(Response(500, {}, b""))
        check_response(client.send("GET", "/v1/users/unknown"))
