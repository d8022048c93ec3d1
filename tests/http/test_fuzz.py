"""No request causes a server error: no status is 5xx, except 501.

Malicious requests from lists, and random requests that are made of valid and invalid parts.
"""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ENGINES, fresh_settings
from tests.http.clients import InProcessClient, Request, Response, serve_in_process
from userkeep.api.operations import OPERATIONS
from userkeep.config import Settings
from userkeep.http.errors import NO_SUCH_PATH

MESSAGE = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
NATIVE = [(each.method, each.path) for each in OPERATIONS]
ZEP = [
    ("POST", "/api/v1/user"),
    ("GET", "/api/v1/user"),
    ("GET", "/api/v1/user/{user_id}"),
    ("PATCH", "/api/v1/user/{user_id}"),
    ("DELETE", "/api/v1/user/{user_id}"),
    ("GET", "/api/v1/user/{user_id}/sessions"),
    ("POST", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions/{session_id}"),
    ("PATCH", "/api/v1/sessions/{session_id}"),
    ("GET", "/api/v1/sessions/{session_id}/memory"),
    ("POST", "/api/v1/sessions/{session_id}/memory"),
    ("DELETE", "/api/v1/sessions/{session_id}/memory"),
    ("GET", "/api/v1/sessions/{session_id}/messages"),
    ("GET", "/api/v1/sessions/{session_id}/messages/{uuid}"),
    ("PATCH", "/api/v1/sessions/{session_id}/messages/{uuid}"),
    ("POST", "/api/v1/sessions/{session_id}/search"),
    ("POST", "/api/v1/collection/{uuid}"),
]
ROUTES = NATIVE + ZEP
READS = [path for method, path in ROUTES if method == "GET"]
QUERIES = [each.path for each in OPERATIONS if each.query]
QUERIES += ["/api/v1/user", "/api/v1/sessions"]
QUERIES += ["/api/v1/sessions/{session_id}/memory", "/api/v1/sessions/{session_id}/messages"]
WRITES = [(method, path) for method, path in ROUTES if method in {"POST", "PUT", "PATCH"}]
IDS = {"user_id": "jane", "session_id": "s", "uuid": MESSAGE, "id": MESSAGE}


@pytest.fixture(scope="module", params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """A client of a separate server on each engine."""
    folder = tmp_path_factory.mktemp("fuzz")
    with serve_in_process(fresh_settings(request.param, folder)) as client:
        yield client


@pytest.fixture
def populated(client: InProcessClient) -> InProcessClient:
    """The client of a server with user jane, session s and a message."""
    populate(client)
    return client


def populate(client: InProcessClient) -> None:
    metadata: dict[str, Any] = {"a": {"a": {}}, "b": [1, "x"], "c": None}
    client.send("PUT", "/v1/users/jane", {"email": "jane@example.com", "metadata": metadata})
    body = {"session_id": "s", "user_id": "jane", "metadata": metadata}
    client.send("POST", "/v1/sessions", body)
    message = {"uuid": MESSAGE, "content": "Hello", "metadata": metadata}
    client.send("POST", "/v1/sessions/s/messages", {"user_id": "jane", "messages": [message]})


def repopulate(client: InProcessClient) -> None:
    """Restore the user, session and message if a request deleted them."""
    session = client.send("GET", "/v1/sessions/s")
    if session.status == 200 and session.json["ended_at"] is not None:
        client.send("DELETE", "/v1/sessions/s")
    if client.send("GET", f"/v1/sessions/s/messages/{MESSAGE}").status != 200:
        populate(client)


def assert_no_server_error(response: Response, *sent: Any) -> None:
    shown = str(sent)[:500]
    assert response.status < 500 or response.status == 501, (response.status, response.text, shown)
    assert response.status >= 200


def path_of(path: str) -> str:
    return path.format(**IDS)


def bodies_for(path: str, value: bytes) -> list[bytes]:
    """Bodies with a raw JSON value in each field that the route reads."""
    if path.endswith(("/messages", "/memory")):
        fields = [b'"%s": %s' % (name, value) for name in _IN_MESSAGE]
        return [
            value,
            b'{"user_id": %s, "messages": [{"content": "x"}]}' % value,
            *(b'{"%s": %s}' % (name, value) for name in (b"messages", b"summary", b"metadata")),
            b'{"messages": [%s]}' % value,
            *(b'{"messages": [{"content": "x", %s}]}' % field for field in fields),
        ]
    return [
        value,
        *(b'{"%s": %s}' % (name, value) for name in _NAMES),
        b'{"user_id": "new", "session_id": "new", "metadata": %s}' % value,
        b'{"metadata": {"a": {"a": %s}}}' % value,
        b'{"metadata": {"a": [%s]}}' % value,
    ]


_NAMES = [
    b"user_id",
    b"session_id",
    b"email",
    b"first_name",
    b"metadata",
    b"content",
    b"role",
    b"uuid",
    b"created_at",
    b"created_after",
    b"query",
    b"roles",
    b"role_weights",
    b"limit",
    b"explain",
    b"text",
    b"search_scope",
    b"search_type",
    b"mmr_lambda",
    b"unknown",
]
_IN_MESSAGE = [
    b"role",
    b"role_type",
    b"content",
    b"metadata",
    b"data",
    b"uuid",
    b"token_count",
    b"created_at",
]

VALUES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "true": b"true",
    "zero": b"0",
    "minus_zero": b"-0",
    "a_fraction": b"1.5",
    "a_great_exponent": b"1e999",
    "a_small_exponent": b"-1e-999",
    "20_digits": b"9" * 20,
    "30_digits": b"-" + b"9" * 30,
    "5000_digits": b"9" * 5_000,
    "5000_digits_of_a_fraction": b"0." + b"9" * 5_000,
    "64_bits": b"9223372036854775807",
    "65_bits": b"9223372036854775808",
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "an_empty_text": b'""',
    "a_text": b'"text"',
    "a_nul": b'"a\\u0000b"',
    "a_raw_nul": b'"a\x00b"',
    "half_a_pair": b'"a\\ud800b"',
    "the_other_half": b'"\\udfff"',
    "halves_in_the_wrong_order": b'"\\udc00\\ud800"',
    "a_raw_half": b'"\xed\xa0\x80"',
    "no_utf8": b'"\xff\xfe"',
    "utf8_that_ends_early": b'"\xf0\x9f\x98"',
    "an_overlong_slash": b'"\xc0\xaf"',
    "utf16": '{"user_id": "a"}'.encode("utf-16"),
    "utf32": '{"user_id": "a"}'.encode("utf-32"),
    "a_byte_order_mark": b'\xef\xbb\xbf{"user_id": "a"}',
    "control_characters": b'"\\u0001\\u007f\\u0085\\u2028"',
    "a_long_text": b'"' + b"x" * 600 + b'"',
    "a_great_text": b'"' + b"x" * 70_000 + b'"',
    "emoji": '"👩‍👩‍👧‍👦"'.encode(),
    "an_empty_list": b"[]",
    "an_empty_object": b"{}",
    "a_list_in_a_list": b"[[[1]]]",
    "a_key_that_is_empty": b'{"": 1}',
    "a_key_with_a_nul": b'{"\\u0000": 1}',
    "a_key_with_half_a_pair": b'{"\\ud800": 1}',
    "a_key_that_is_no_utf8": b'{"\xff": 1}',
    "a_key_with_dots": b'{"a.b[0]$`": 1}',
    "a_key_twice": b'{"user_id": "a", "user_id": 7, "USER_ID": []}',
    "a_text_that_does_not_end": b'"abc',
    "an_object_that_does_not_end": b'{"a": 1',
    "a_comma_too_many": b'{"a": 1,}',
    "a_comment": b"/* */ {}",
    "65_levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "70_lists": b"[" * 70 + b"]" * 70,
    "300_levels": b'{"a":' * 300 + b"1" + b"}" * 300,
    "900_levels": b'{"a":' * 900 + b"1" + b"}" * 900,
    "5000_levels": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "5000_lists": b"[" * 5_000 + b"]" * 5_000,
    "5000_lists_that_do_not_end": b"[" * 5_000,
    "50000_lists_that_do_not_end": b"[" * 50_000,
    "a_time_without_a_zone": b'"2026-11-22T11:22:02"',
    "a_time_with_nanoseconds": b'"2026-11-22T11:22:02.123456789Z"',
    "a_leap_second": b'"2026-12-31T23:59:60Z"',
    "the_first_time": b'"0001-01-01T00:00:00Z"',
    "before_the_first_time": b'"0001-01-01T00:00:00+14:00"',
    "the_last_time": b'"9999-12-31T23:59:59.999999Z"',
    "after_the_last_time": b'"9999-12-31T23:59:59.999999-14:00"',
    "a_year_of_five_digits": b'"10000-01-01T00:00:00Z"',
    "seconds_since_1970": b"1e18",
    "a_uuid_in_braces": b'"{0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10}"',
    "a_uuid_in_other_digits": ('"' + "\N{ARABIC-INDIC DIGIT ONE}" * 32 + '"').encode(),
}


@pytest.mark.parametrize("name", VALUES)
def test_an_invalid_body_is_a_client_error_and_leaves_everything_readable(
    populated: InProcessClient, name: str
) -> None:
    for method, path in WRITES:
        for body in bodies_for(path, VALUES[name]):
            assert_no_server_error(populated.send(method, path_of(path), body), method, path, body)
    for path in READS:
        assert_no_server_error(populated.send("GET", path_of(path)), path, name)


QUERY_VALUES = [
    "",
    "0",
    "-1",
    "1",
    "%2B1",
    "1.5",
    "1e2",
    "1e400",
    "NaN",
    "inf",
    "null",
    "true",
    "x",
    "%00",
    "%ff",
    "%F0%9F%98%80",
    "%ED%A0%80",
    "%D9%A1",
    "%C2%B2",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9" * 30,
    "9" * 5_000,
    "0" * 30,
    "0" * 30 + "9" * 30,
    "0" * 30 + "9" * 5_000,
    "1_000",
    "%20" * 10,
    "2026-11-22",
    "2026-11-22T11:22:02Z",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "[" * 70,
    "[" * 5_000,
    "%7B%22a%22:" * 1_500,
    "%22%5Cud800%22",
    "%22%5Cu0000%22",
    "%22",
    "W10",
    "WzEsImNyZWF0ZWQiLCIiLDFd",
    "A" * 9_000,
    "jane",
]
QUERY_NAMES = [
    "limit",
    "cursor",
    "lastn",
    "last",
    "order",
    "email",
    "user_id",
    "created_after",
    "created_before",
    "metadata",
    "metadata.a",
    "metadata.a.a.b",
    "metadata.",
    "metadata..",
    "metadata.%00",
    "metadata.%22",
    "metadata.%ff",
    "metadata.a[0]",
    "metadata." + "a." * 500 + "a",
    "filter",
    "",
    "%00",
    "unknown",
]


@pytest.mark.parametrize("value", QUERY_VALUES, ids=lambda value: value[:24] or "empty")
def test_an_invalid_query_parameter_is_a_client_error(
    populated: InProcessClient, value: str
) -> None:
    for path, name in product(QUERIES, QUERY_NAMES):
        target = f"{path_of(path)}?{name}={value}"
        assert_no_server_error(populated.send("GET", target), target)


def test_large_limits_and_cursors_are_client_errors(populated: InProcessClient) -> None:
    great = [str(2**63 - 1), str(2**62), str(2**32), str(-(2**63))]
    for path, limit, cursor in product(QUERIES, great, great):
        target = f"{path_of(path)}?limit={limit}&cursor={cursor}"
        assert_no_server_error(populated.send("GET", target), target)


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
        assert_no_server_error(populated.send("GET", target), target)


SEGMENTS = [
    b"",
    b".",
    b"..",
    b"%2e%2e",
    b"%",
    b"%%",
    b"%zz",
    b"%00",
    b"%0d%0a",
    b"%ff",
    b"\xff",
    b"%c0%af",
    b"%ed%a0%80",
    b"%2f%2F",
    b"%5c",
    b"a b",
    b"'; DROP TABLE users; --",
    b"%27%22%3B",
    b"\xc3\xa9",
    b"%F0%9F%98%80",
    b"x" * 513,
    b"x" * 60_000,
    b"%41" * 2_000,
    b"00000000-0000-0000-0000-000000000000",
    b"{0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10}",
    b"urn:uuid:0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10",
    b"%D9%A1" * 32,
    b"1_1" * 8,
]


@pytest.mark.parametrize("segment", SEGMENTS, ids=lambda segment: repr(segment[:16]))
def test_an_invalid_id_is_a_client_error(populated: InProcessClient, segment: bytes) -> None:
    placeholders = [f"{{{name}}}" for name in IDS]
    for method, path in ROUTES:
        for placeholder in placeholders:
            if placeholder in path:
                before, after = (path_of(part).encode() for part in path.split(placeholder))
                target = before + segment + after
                assert_no_server_error(populated.send(method, target, {}), method, target)


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
    for method, path in ROUTES:
        response = populated.send(method, path_of(path), {"metadata": {}}, headers=headers)
        assert_no_server_error(response, method, path, headers)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY", "get", "", "Ä"])
def test_an_unknown_method_is_a_client_error(populated: InProcessClient, method: str) -> None:
    targets = [path_of(path) for _, path in ROUTES]
    for target in [*targets, "/", "/healthz", "/readyz", "/docs", "/openapi.json", "/api/v1"]:
        assert_no_server_error(populated.send(method, target), method, target)


def test_concurrent_requests_for_the_same_ids_cause_no_server_error(
    populated: InProcessClient,
) -> None:
    body = {"user_id": "twin", "session_id": "twin"}
    responses = populated.send_all(
        Request(method, path_of(path), body | {"messages": [{"content": "x", "uuid": MESSAGE}]})
        for _ in range(20)
        for method, path in ROUTES
    )
    for response in responses:
        assert_no_server_error(response)


raw_values = st.one_of(
    st.sampled_from([value for value in VALUES.values() if len(value) < 20_000]),
    st.text(st.characters(codec=None), max_size=6).map(json.dumps).map(str.encode),
    st.integers().map(lambda number: b"%d" % number),
    st.floats().map(json.dumps).map(str.encode),
    st.sampled_from([json.dumps(value).encode() for value in IDS.values()]),
)


@st.composite
def raw_objects(
    draw: st.DrawFn, names: list[bytes], inner: st.SearchStrategy[bytes] = raw_values
) -> bytes:
    """An object of raw values, which may be invalid JSON."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), inner), max_size=4))
    return b"{" + b", ".join(b'"%s": %s' % pair for pair in pairs) + b"}"


raw_metadata = raw_objects([b"a", b"b", b"a.b", b"", b"system", b"\\u0000", b"\\ud800", b"\xff"])
raw_messages = raw_objects(_IN_MESSAGE, raw_values | raw_metadata).map(
    lambda raw: b'{"content": "x", ' + raw[1:] if len(raw) > 2 else raw
)
raw_bodies: st.SearchStrategy[bytes] = st.one_of(
    raw_objects([*_NAMES, b"messages"]),
    raw_metadata.map(lambda raw: b'{"user_id": "new", "session_id": "new", "metadata": %s}' % raw),
    raw_metadata.map(lambda raw: b'{"metadata": %s}' % raw),
    st.lists(raw_messages, max_size=3).map(lambda raw: b'{"messages": [%s]}' % b", ".join(raw)),
    raw_values,
    st.binary(max_size=40),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body; one in six is damaged."""
    raw = draw(raw_bodies)
    if draw(st.integers(min_value=0, max_value=5)) > 0:
        return raw
    at = draw(st.integers(min_value=0, max_value=min(len(raw), 200)))
    cut = draw(st.integers(min_value=0, max_value=4))
    return raw[:at] + draw(st.binary(max_size=3)) + raw[at + cut :]


segments = st.one_of(
    st.sampled_from([segment for segment in SEGMENTS if len(segment) < 1_000]),
    st.binary(min_size=1, max_size=6).map(lambda raw: quote_from_bytes(raw, safe="").encode()),
)
queries = st.lists(
    st.tuples(
        st.sampled_from([name for name in QUERY_NAMES if len(name) < 100]),
        st.sampled_from([value for value in QUERY_VALUES if len(value) < 10_000]),
    ),
    max_size=3,
).map(lambda pairs: "&".join(map("=".join, pairs)).encode())


@st.composite
def targets(draw: st.DrawFn, path: str) -> bytes:
    """A path with existing or invalid ids and a query; or arbitrary bytes."""
    kind = draw(st.integers(min_value=0, max_value=19))
    if kind == 0:
        return b"/" + draw(st.binary(max_size=40))
    raw = path_of(path).encode()
    if kind < 6 and "{" in path:
        name = path.split("{")[1].partition("}")[0]
        before, after = (path_of(part).encode() for part in path.split(f"{{{name}}}"))
        raw = before + draw(segments) + after
    return raw + (b"?" + draw(queries) if kind > 12 else b"")


headers = st.dictionaries(
    st.sampled_from(["If-Match", "Idempotency-Key", "Content-Type"]),
    st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=8),
        st.sampled_from(['"1"', '"2"', "key", "other key"]),
    ),
    max_size=1,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A valid or invalid request."""
    method, path = draw(st.sampled_from(ROUTES + 2 * WRITES))
    if draw(st.integers(min_value=0, max_value=19)) == 0:
        method = draw(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "X"]))
    body = draw(bodies()) if method in {"POST", "PUT", "PATCH"} else None
    return Request(method, draw(targets(path)), body, draw(headers))


@given(request=requests())
def test_random_requests_cause_no_server_error(client: InProcessClient, request: Request) -> None:
    repopulate(client)
    response = client.send(request.method, request.target, request.body, headers=request.headers)
    assert_no_server_error(response, request)
    for path in ("/v1/users", "/api/v1/user", "/v1/sessions", "/api/v1/sessions/s/messages"):
        assert_no_server_error(client.send("GET", path), "reading", path, "after", request)


def test_every_route_exists(client: InProcessClient) -> None:
    for method, path in ROUTES:
        response = client.send(method, path_of(path), {})
        assert response.status != 405
        assert NO_SUCH_PATH not in response.text
        assert "page not found" not in response.text


def test_the_check_fails_on_500_and_accepts_404(tmp_path: Path) -> None:
    with serve_in_process(Settings(database_url=f"sqlite:///{tmp_path}/userkeep.db")) as client:
        with pytest.raises(AssertionError):
            assert_no_server_error(Response(500, {}, b""))
        assert_no_server_error(client.send("GET", "/v1/users/nobody"))
