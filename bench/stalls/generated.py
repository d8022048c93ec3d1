"""More inputs of the same kinds as those of the table: each seed makes another one."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from bench.stalls import inputs
from bench.stalls.connections import at_once, request
from bench.stalls.inputs import BODY_BYTES, Hostile, filled
from bench.stalls.texts import MIB, random_text, random_words
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS

_PLACES = {"user_id": "u", "session_id": "s", "id": "x"}
_LARGE = (
    ("search: needle", inputs.thousand_long),
    ("large pages", inputs.hundred_mib),
    ("many words", inputs.sixty_thousand),
)


def hostile(seed: int) -> Hostile:
    """Return the input of a seed."""
    random = Random(seed)
    made = random.choice((_text, _text, _body, _body, _filter, _query, _page))(random)
    number = random.choice((1, 1, 1, 4, inputs.TOGETHER))
    name = f"generated {seed}: {made.name}" + (f", {number} at once" if number > 1 else "")
    attack = made.attack if number == 1 else at_once(number, made.attack)
    return made._replace(name=name, attack=attack)


def _text(random: Random) -> Hostile:
    """Append random texts, by either API."""
    number = random.choice((1, 1, 4, 20, 1_000))
    size_bytes = min(MIB, (BODY_BYTES - 100_000) // number) * random.randint(30, 90) // 100
    path = random.choice(("/v1/sessions/s/messages", "/api/v1/sessions/s/memory"))
    make = random.choice((random_text, random_text, random_words))
    text = make(random, size_bytes)

    def body() -> Any:
        return {"messages": [{"role": "user", "content": text}] * number}

    name = f"POST {path}, {number} x {size_bytes >> 10} KiB"
    return Hostile(name, request("POST", path, body), inputs.nothing)


def _body(random: Random) -> Hostile:
    """Send a wide, deep or long JSON value in some field of some operation."""
    operation = random.choice([each for each in OPERATIONS if each.body is not None])
    field = random.choice(_fields_of(operation))
    return Hostile(
        f"{operation.method} {operation.path}, {field}",
        request(operation.method, operation.path.format(**_PLACES), _large_field(random, field)),
        inputs.nothing,
    )


def _fields_of(operation: APIOperation) -> list[str]:
    return [*operation.body.__struct_fields__, "unknown"]


def _large_field(random: Random, field: str) -> Callable[[], bytes]:
    start, unit, end = random.choice(_SHAPES)
    size_bytes = random.choice((BODY_BYTES // 10, BODY_BYTES // 2, BODY_BYTES))
    others = random.choice(("", '"content":"x",', '"user_id":"u",'))
    return filled(f'{{{others}"{field}":{start}', unit, f"{end}}}", size_bytes)


_SHAPES = [
    ("[", "0,", "]"),
    ("[", "[],", "]"),
    ("[", "{},", "]"),
    ("[", '"",', "]"),
    ("[", "null,", "]"),
    ("[", '{"a":{"b":[1]}},', "]"),
    ("[[", "1e9,", "]]"),
    ('{"a":[', '{"content":"x"},', "]}"),
    ("{", '"a":1,', "}"),
    ('"', "x", '"'),
    ('"', "\\u00e9", '"'),
    ('"', "\\ud800", '"'),
    ('"', "\u0e48", '"'),
    ("", "[", ""),
    ("", '{"a":', ""),
    ("", "9", ""),
    ("0.", "9", ""),
    ("[1", " ", "]"),
    ("[", ",", "]"),
]


def _filter(random: Random) -> Hostile:
    """Search by a random tree, as large as a body may be."""
    is_zep = random.random() < 0.5
    levels = random.choice((2, 8, 15, 40, 900))
    budget = [random.choice((50, 100, 1_000, 50_000))]
    leaf = _zep_leaf if is_zep else _native_leaf
    tree = _tree(random, levels, budget, leaf)
    value = {"metadata": {"where": tree}} if is_zep else {"filter": tree}
    path = "/api/v1/sessions/s/search" if is_zep else "/v1/search"
    name = f"filter on {path}, {levels} levels"
    return Hostile(name, request("POST", path, value), inputs.nothing)


def _tree(
    random: Random, levels: int, budget: list[int], leaf: Callable[[Random], dict[str, Any]]
) -> dict[str, Any]:
    """Return a tree of groups: one branch goes down to all levels, the others are leaves."""
    node = leaf(random)
    for _ in range(levels):
        width = max(budget[0] // levels, 1)
        node = {random.choice(("and", "or")): [*_leaves(random, width, leaf), node]}
    return node


def _leaves(
    random: Random, width: int, leaf: Callable[[Random], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    made = leaf(random)
    for _ in range(width):
        yield random.choice((made, {}, {"and": []}))


def _native_leaf(random: Random) -> dict[str, Any]:
    field = "metadata" + ".a" * random.choice((1, 30, 300))
    value = random.choice((1, "x" * 1_000, random_text(random, 3_000), [1] * 500, None))
    op = random.choice(("eq", "in", "contains", "starts_with", "gt"))
    return {"field": field, "op": op, "value": value}


def _zep_leaf(random: Random) -> dict[str, Any]:
    inner = random.choice(
        ("1", "@.a == 1", '@.a like_regex "(a+)+$"', "exists(@.a)", "@.a[*] == 1", "@.**.a == 1")
    )
    joint = random.choice((" && ", " || "))
    return {"jsonpath": f"$[*] ? ({joint.join([inner] * random.choice((1, 20, 500)))})"}


def _query(random: Random) -> Hostile:
    """Search for a random text as long as a query may be."""
    common = " ".join(random.choices([f"word{number}" for number in range(60)], k=1_000))
    query = random.choice((common, random_text(random, 30_000), random_words(random, 10_000)))
    value = {"user_id": "u", "query": query[:10_000], "limit": random.choice((1, 50, 1_000))}
    value["explain"] = random.random() < 0.3
    _, setup = random.choice(_LARGE)
    return Hostile("search: a long query", request("POST", "/v1/search", value), setup)


def _page(random: Random) -> Hostile:
    """Request a page of large rows."""
    _, setup = random.choice(_LARGE)
    limit = random.choice((10, 100, 101, 1_000))
    path = random.choice(
        (
            f"/v1/sessions/s/messages?limit={limit}",
            f"/v1/sessions/s/memory?last={limit}",
            f"/api/v1/sessions/s/memory?lastn={limit}",
            f"/api/v1/sessions/s/messages?limit={limit}",
        )
    )
    return Hostile(f"GET {path}", request("GET", path), setup)
