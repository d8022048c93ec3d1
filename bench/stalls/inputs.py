"""The table of hostile inputs: what each needs in the database, and what it sends.

A setup fills a new database, once for all inputs that name it. `scale` makes the large ones
smaller.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic, sleep
from typing import Any, NamedTuple

from bench.stalls.connections import (
    WAITING,
    Answer,
    Attack,
    Target,
    at_once,
    encoded,
    endless,
    exchange,
    head_and_body,
    held,
    pipelined,
    request,
)
from bench.stalls.texts import MIB, TEXTS, random_words

BODY_BYTES = 5 * MIB
TOGETHER = 16
_SPARE_BYTES = 4_096
_AT_A_TIME = 4
_POLL_S = 0.1
_PURGES = 5
_TEXT_BYTES = 258_000
"""As much of a content as an index reads, or almost: in a longer text, the end costs nothing."""
_LETTERS_OF_QUERY = 10_000

Setup = Callable[[Target, float], None]
"""Fills a database: by its server, at a scale."""

_HEAD = b"Host: 127.0.0.1\r\n"
_MESSAGES = "/v1/sessions/s/messages"
_MEMORY, _ZEP_SEARCH = "/api/v1/sessions/s/memory", "/api/v1/sessions/s/search"


class Hostile(NamedTuple):
    """A hostile input.

    Attributes:
        attack: sends it, and returns how each connection ended.
        setup: fills the database for it.
        is_ended: whether the server must end the connection, because the request never ends.
        watched_s: how long the others are watched after it has ended.
    """

    name: str
    attack: Attack
    setup: Setup
    is_ended: bool = False
    watched_s: float = 1.0


# Set-ups.


def nothing(target: Target, scale: float) -> None:
    """Make a user with a session, as all of them do."""
    del scale
    target.call("POST", "/v1/users", {"user_id": "u"})
    target.call("POST", "/v1/sessions", {"session_id": "s", "user_id": "u"})


def appended(size_bytes: int, number: int, content: Callable[[int], str], at_a_time: int) -> Setup:
    """Append messages to the session, as many in a request as at a time."""

    def setup(target: Target, scale: float) -> None:
        nothing(target, scale)
        most = max(int(number * scale), 1)
        for start in range(0, most, at_a_time):
            places = range(start, min(start + at_a_time, most))
            messages = [
                {"role": "user", "content": content(place)[:size_bytes]} for place in places
            ]
            target.call("POST", _MESSAGES, {"messages": messages})

    return setup


_VOCABULARY = random_words(Random("vocabulary"), 50_000).split()
"""Each word is in most of the long messages: a search has many candidates and matches."""


def _many_words(place: int) -> str:
    return " ".join(Random(place).choices(_VOCABULARY, k=12_000))


_COMMON = [f"word{number}" for number in range(60)]
_LONG = "needle " + " ".join(f"{number:060d}" for number in range(20_000))
hundred_of_words = appended(100 << 10, 100, _many_words, 40)
sixty_thousand = appended(1_000, 60_000, lambda _: " ".join(_COMMON), 1_000)
thousand_long = appended(256 << 10, 1_000, lambda _: _LONG, 19)
hundred_mib = appended(MIB, 100, lambda _: _LONG, _AT_A_TIME)
thirty_mib = appended(MIB, 30, lambda place: random_words(Random(place), MIB), _AT_A_TIME)
spaces_of_20_mib = appended(MIB, 20, lambda _: " " * MIB, _AT_A_TIME)


def with_erasure(setup: Setup) -> Setup:
    """The same, and a user who was deleted."""

    def erased(target: Target, scale: float) -> None:
        setup(target, scale)
        target.call("POST", "/v1/users", {"user_id": "gone"})
        target.call("DELETE", "/v1/users/gone")

    return erased


def many_sessions(target: Target, scale: float) -> None:
    """Add 5,000 sessions of a user, each with 20 KiB of metadata."""
    nothing(target, scale)

    def add(number: int) -> None:
        value = {"session_id": f"s{number}", "user_id": "u", "metadata": {"note": "x" * 20_000}}
        target.call("POST", "/v1/sessions", value)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(int(5_000 * scale))))


# Bodies. They are made when they are sent: all of them together are hundreds of MiB.


def filled(start: str, unit: str, end: str, size_bytes: int = BODY_BYTES) -> Callable[[], bytes]:
    """Repeat a unit between start and end, up to a size; the last one without its comma."""
    space = size_bytes - len((start + end).encode()) - _SPARE_BYTES

    def body() -> bytes:
        units = unit.encode() * (space // len(unit.encode()))
        return start.encode() + units.rstrip(b",") + end.encode()

    return body


def wide_and_deep() -> bytes:
    deep = b"[" * 1_500 + b"]" * 1_500
    return b'{"user_id":"d","metadata":{"a":[' + b"[]," * 1_745_000 + deep + b"]}}"


def text_with_late_half() -> bytes:
    return b'{"user_id":"h","first_name":"' + b"x" * (BODY_BYTES - 5_000) + b'\\ud800"}'


def zeros() -> bytes:
    return filled('{"user_id":"z","metadata":{"a":[', "0,", "]}}")()


def append_of(number: int, size_bytes: int, make: Callable[[int], str]) -> Callable[[], Any]:
    return lambda: {"messages": [{"role": "user", "content": make(size_bytes)}] * number}


def _as_many_as_fit(text: str) -> Callable[[], Any]:
    """Return a body of messages with the same content, as large as a body may be."""
    size_bytes = len(encoded({"role": "user", "content": text})) + 1
    return lambda: {
        "messages": [{"role": "user", "content": text}]
        * ((BODY_BYTES - _SPARE_BYTES) // size_bytes)
    }


def zep_filter(groups: str, unit: str) -> Callable[[], bytes]:
    return filled(f'{{"metadata":{{"where":{{"{groups}":[', unit, "]}}}")


def native_filter(groups: str, unit: str) -> Callable[[], bytes]:
    return filled(f'{{"filter":{{"{groups}":[', unit, "]}}")


_CONDITION = '{"field":"metadata.a","op":"eq","value":1},'
_IN_VALUES = ('{"filter":{"field":"metadata.a","op":"in","value":[', "1,", "]}}")
_PATH_OF_1_MIB = "$[*] ? (" + " && ".join(["@.a == 1"] * 80_000) + ")"
_TERMS = [" " * 1_000 + f"abcde{number:03d}" for number in range(100)]
_COMMON_QUERY = " ".join(_COMMON)


def zep_path(path: str) -> dict[str, Any]:
    return {"metadata": {"where": {"jsonpath": path}}}


# Attacks of more than one request.


def verification(target: Target) -> list[Answer]:
    """Verify an erasure, and wait until the verification has finished."""
    began = monotonic()
    erasure = json.loads(target.call("GET", "/v1/erasures?limit=1").detail)["items"][0]["id"]
    body = {target.translated("search_terms"): _TERMS}
    [answer] = request("POST", f"/v1/erasures/{erasure}/verify", body)(target)
    if answer.status != 202:
        return [answer]
    path = f"/v1/verifications/{json.loads(answer.detail)['id']}"
    while monotonic() < began + target.bound_s:
        sleep(_POLL_S)
        verification = json.loads(target.call("GET", path).detail)
        if verification["finished_at"] is not None:
            return [answer._replace(took_s=monotonic() - began, status=200)]
    return [Answer(WAITING, monotonic() - began)]


def purges(target: Target) -> list[Answer]:
    """Delete a user with purge=now, again and again."""
    return [
        answer
        for number in range(_PURGES)
        for answer in (
            *request("POST", "/v1/users", {"user_id": f"small-{number}"})(target),
            *request("DELETE", f"/v1/users/small-{number}?purge=now")(target),
        )
    ]


def half_sent(target: Target) -> list[Answer]:
    """Send 4.9 MiB of a body, and then nothing."""
    head = b"POST /v1/users HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (_HEAD, BODY_BYTES)
    raw = head + b'{"user_id": "' + b"x" * (BODY_BYTES - 100_000)
    return [exchange(target, iter([raw]))]


def leaving(method: str, path: str, value: Any) -> Attack:
    """Send a request, and leave after 0.2 s."""

    def attack(target: Target) -> list[Answer]:
        raw = head_and_body(method, target.translated(path), encoded(value))
        return [exchange(target, [raw], leaves_after_s=0.2)]

    return attack


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), _HEAD)


# The table.


def _texts() -> Iterator[Hostile]:
    for name, make in TEXTS.items():
        append = request("POST", _MESSAGES, _as_many_as_fit(make(_TEXT_BYTES)))
        yield Hostile(f"text: {name}, 5 MiB", append, nothing)
    append = request("POST", _MESSAGES, append_of(1, MIB, TEXTS["one word"]))
    yield Hostile("text: one word of 1 MiB", append, nothing)
    marks = TEXTS["Thai marks"]
    append = request("POST", _MESSAGES, append_of(1, _TEXT_BYTES, marks))
    yield Hostile("text: Thai marks, 258 KB", append, nothing)
    deleted = appended(_TEXT_BYTES, 1, lambda _: marks(_TEXT_BYTES), 1)
    yield Hostile("text: Thai marks, 258 KB, deleted", request("DELETE", "/v1/users/u"), deleted)
    search = {
        "session_id": "s",
        "query": marks(6 * _LETTERS_OF_QUERY)[: _LETTERS_OF_QUERY // 2]
        + marks(6 * _LETTERS_OF_QUERY)[-_LETTERS_OF_QUERY // 2 :],
    }
    yield Hostile("text: Thai marks as a query", request("POST", "/v1/search", search), nothing)
    append = request("POST", _MEMORY, append_of(4, MIB, TEXTS["Latin marks in turn"]))
    yield Hostile("text: Latin marks, 4 x 1 MiB, Zep", append, nothing)


def _searches() -> Iterator[Hostile]:
    words = {"user_id": "u", "query": " ".join(_VOCABULARY[:3]), "limit": 50}
    yield Hostile(
        "search: 3 words in 100 messages of 100 KiB",
        request("POST", "/v1/search", words),
        hundred_of_words,
    )
    common = {"user_id": "u", "query": _COMMON_QUERY, "limit": 10}
    yield Hostile(
        "search: 60 words in each of 60,000 messages",
        request("POST", "/v1/search", common),
        sixty_thousand,
    )
    yield Hostile(
        "search: 60 common words, client gone after 0.2 s",
        at_once(2, leaving("POST", "/v1/search", common)),
        sixty_thousand,
        watched_s=10.0,
    )
    text = {"text": _COMMON_QUERY}
    yield Hostile(
        "search: 60 common words, Zep", request("POST", _ZEP_SEARCH, text), sixty_thousand
    )
    hits = {"user_id": "u", "query": "needle", "limit": 1_000}
    yield Hostile(
        "search: 1,000 hits of 256 KiB", request("POST", "/v1/search", hits), thousand_long
    )
    yield Hostile(
        "search: 1,000 hits, client gone after 0.2 s",
        at_once(2, leaving("POST", "/v1/search", hits)),
        thousand_long,
        watched_s=10.0,
    )
    newest = {"user_id": "u", "limit": 1_000}
    yield Hostile(
        "search: no words, 1,000 rows of 256 KiB",
        request("POST", "/v1/search", newest),
        thousand_long,
    )


def _bodies() -> Iterator[Hostile]:
    empty = filled('{"messages":[', "{},", "]}")
    yield Hostile("body: 1.7M empty messages, Zep", request("POST", _MEMORY, empty), nothing)
    yield Hostile("body: 1.7M empty messages", request("POST", _MESSAGES, empty), nothing)
    users = "/v1/users"
    for name, body in {
        "wide and deep metadata": wide_and_deep,
        "half a surrogate after 5 MiB": text_with_late_half,
        "5 MiB of zeros as metadata": zeros,
        "5M levels": filled('{"user_id":"d","metadata":', "[", ""),
        "1M objects, each in another": filled('{"user_id":"d","metadata":', '{"a":', ""),
        "5 MiB that is no JSON": filled('{"user_id":"d","metadata":', "]", ""),
        "a number of 5M digits": filled('{"user_id":"d","metadata":{"a":', "9", "}}"),
        "500k unknown fields": filled('{"user_id":"d"', ',"a":1', "}"),
        "a user_id of 5 MiB": filled('{"user_id":"', "x", '"}'),
        "5 MiB of escapes": filled('{"user_id":"', "\\u0041", '"}'),
        "5 MiB of spaces": filled('{"user_id":"d"', " ", "}"),
    }.items():
        yield Hostile(f"body: {name}", request("POST", users, body), nothing)
    yield Hostile("body: zeros as data", request("POST", _MESSAGES, _data_of_zeros), nothing)
    yield Hostile("body: zeros, Zep", request("PATCH", "/api/v1/user/u", _zep_zeros), nothing)


_data_of_zeros = filled('{"messages":[{"role": "user", "content":"x","data":[', "0,", "]}]}")
_zep_zeros = filled('{"user_id":"u","metadata":{"a":[', "0,", "]}}")


def _filters() -> Iterator[Hostile]:
    for name, body in {
        "1,100 constants": zep_filter_of_constants(1_100),
        "280k constants": zep_filter_of_constants(280_000),
        "1.7M empty groups": zep_filter("and", "{},"),
        "650k empty lists": zep_filter("or", '{"or":[]},'),
        "a path of 1 MiB": lambda: zep_path(_PATH_OF_1_MIB),
        "a path of 100k brackets": lambda: zep_path("$[*] ? (" + "(" * 100_000),
        "a path of 200k keys": lambda: zep_path("$[*] ? (@" + ".a" * 200_000 + " == 1)"),
    }.items():
        yield Hostile(f"filter: Zep, {name}", request("POST", _ZEP_SEARCH, body), nothing)
    for name, body in {
        "120k conditions": native_filter("and", _CONDITION),
        "1.7M empty groups": native_filter("and", "{},"),
        "600k empty lists": native_filter("or", '{"or":[]},'),
        "2.6M values": filled(*_IN_VALUES),
        "600k levels": filled('{"filter":', '{"not":', ""),
        "a path of 5 MiB": filled('{"filter":{"field":"metadata', ".a", '","op":"exists"}}'),
        "a list of 5 MiB as value": filled(
            '{"filter":{"field":"metadata.a","op":"eq","value":[', "0,", "]}}"
        ),
    }.items():
        yield Hostile(f"filter: {name}", request("POST", "/v1/search", body), nothing)


def zep_filter_of_constants(number: int) -> dict[str, Any]:
    return {"metadata": {"where": {"and": [{"jsonpath": "1"}] * number}}}


def _pages() -> Iterator[Hostile]:
    page, long_page = f"{_MESSAGES}?limit=100", f"{_MESSAGES}?limit=1000"
    yield Hostile("page: 100 messages of 1 MiB", request("GET", page), hundred_mib)
    yield Hostile("page: 1,000 messages of 256 KiB", request("GET", long_page), thousand_long)
    yield Hostile("page: memory of 100 x 1 MiB", request("GET", _memory), hundred_mib)
    yield Hostile(
        "page: Zep memory of 100 x 1 MiB", request("GET", f"{_MEMORY}?lastn=100"), hundred_mib
    )
    yield Hostile(
        "page: Zep messages of 100 x 1 MiB",
        request("GET", f"{_zep_messages}?limit=100"),
        hundred_mib,
    )
    yield Hostile("page: not read", held(get(page)), hundred_mib, is_ended=True)
    yield Hostile(
        "page: Zep, 5,000 sessions of 20 KiB",
        request("GET", "/api/v1/user/u/sessions"),
        many_sessions,
    )
    yield Hostile(
        "page: 1,000 sessions of 20 KiB",
        request("GET", "/v1/users/u/sessions?limit=1000"),
        many_sessions,
    )


_memory, _zep_messages = "/v1/sessions/s/memory?last=100", "/api/v1/sessions/s/messages"


def _writes() -> Iterator[Hostile]:
    words = Random("appended")
    append = append_of(1_000, 5_000, lambda size: random_words(words, size))
    yield Hostile("append: 1,000 x 5 KiB", request("POST", _MESSAGES, append), nothing)
    large = append_of(5, MIB - 2_000, lambda size: random_words(words, size))
    yield Hostile("append: 5 x 1 MiB", request("POST", _MESSAGES, large), nothing)
    yield Hostile("append: 5 x 1 MiB, Zep", request("POST", _MEMORY, large), nothing)
    yield Hostile("delete: a user with 30 x 1 MiB", request("DELETE", "/v1/users/u"), thirty_mib)
    yield Hostile("delete: the same, Zep", request("DELETE", "/api/v1/user/u"), thirty_mib)
    yield Hostile("purge: now, of 256 MiB, five times", purges, thousand_long)
    yield Hostile(
        "verify: 100 terms in 20 MiB of spaces", verification, with_erasure(spaces_of_20_mib)
    )


def _connections() -> Iterator[Hostile]:
    start = b"GET /healthz HTTP/1.1\r\n" + _HEAD
    chunked = b"POST /v1/users HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    for name, attack in {
        "endless headers": endless(start, b"a:b\r\n" * 13_000),
        "an endless header": endless(start + b"a: ", b"b" * 65_536),
        "an endless URL": endless(b"GET /", b"a" * 65_536),
        "endless trailers": endless(chunked, b"a:b\r\n" * 13_000),
        "one trailer without end": endless(chunked + b"a: ", b"b" * 65_536),
        "an endless chunk": endless(chunked[:-3] + b"fffffff\r\n", b"x" * 65_536),
        "chunks of one byte": endless(chunked[:-3], b"1\r\nx\r\n" * 10_000),
        "600k pipelined GETs": pipelined(get("/healthz"), 600_000, reads=True),
        "600k pipelined GETs, not read": pipelined(get("/healthz"), 600_000, reads=False),
        "60 half-sent bodies of 4.9 MiB": at_once(60, half_sent),
        "half a head": held(start),
    }.items():
        yield Hostile(f"connection: {name}", attack, nothing, is_ended=True)


_ALSO_TOGETHER = (
    "text: Thai marks, 258 KB",
    "text: Chinese without spaces, 5 MiB",
    "search: 3 words in 100 messages of 100 KiB",
    "search: 60 words in each of 60,000 messages",
    "search: 1,000 hits of 256 KiB",
    "body: 1.7M empty messages, Zep",
    "body: wide and deep metadata",
    "body: 5 MiB of zeros as metadata",
    "filter: Zep, 280k constants",
    "filter: 1.7M empty groups",
    "page: 100 messages of 1 MiB",
    "page: 1,000 messages of 256 KiB",
    "page: not read",
    "append: 1,000 x 5 KiB",
    "append: 5 x 1 MiB",
    "connection: endless headers",
    "connection: 600k pipelined GETs",
)


def handed() -> Iterator[Hostile]:
    """Yield the inputs of the table, some of them also many at once."""
    yield Hostile("(nothing)", _pause, nothing)
    for group in (_texts, _searches, _bodies, _filters, _pages, _writes, _connections):
        for hostile in group():
            yield hostile
            if hostile.name in _ALSO_TOGETHER:
                yield together(hostile)


def together(hostile: Hostile) -> Hostile:
    return hostile._replace(
        name=f"{hostile.name}, {TOGETHER} at once", attack=at_once(TOGETHER, hostile.attack)
    )


def _pause(target: Target) -> list[Answer]:
    """Send nothing: how long others wait without any of this."""
    sleep(2.0)
    return request("GET", "/v1/users/u")(target)
