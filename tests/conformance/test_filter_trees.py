"""Filters as JSON trees: they match the same rows on every engine."""

import json
from typing import Any

import pytest

from tests.conformance.listed import Messages, Sessions, SessionsOfUser, Users
from tests.conformance.steps import ERASURES, MESSAGES, NOT_FOUND, delete, error_of, invalid
from tests.ways import Reply, Way

Filter = Any


@pytest.fixture(
    params=[Users, Sessions, SessionsOfUser, Messages], ids=lambda kind: kind.__name__.lower()
)
def rows(request: pytest.FixtureRequest, way: Way, fresh: str) -> Users:
    """Rows of each list that takes a filter."""
    kind: type[Users] = request.param
    return kind(way, fresh)


@pytest.fixture
def messages(way: Way, fresh: str) -> Messages:
    """The messages of one test."""
    return Messages(way, fresh)


def found(rows: Users, node: Filter, **params: Any) -> list[str]:
    """Return the names of the rows that match a filter."""
    return rows.find(filter=json.dumps(node), **params)


def get_page(rows: Users, filter: str, **params: Any) -> Reply:
    """Request a page with a filter, given as text."""
    given = {**rows.filters, "filter": filter, **params}
    return rows.way.request("GET", rows.path, *rows.ids, params=given)


def is_(op: str, value: Any, field: str = "metadata.x") -> Filter:
    """Return a condition."""
    return {"field": field, "op": op, "value": value}


SHOES = is_("eq", "shoes", "metadata.topic")
OLD = is_("gte", 3, "metadata.age")


def test_every_list_takes_a_filter(rows: Users) -> None:
    rows.add("a", metadata={"topic": "shoes", "age": 1})
    rows.add("b", metadata={"topic": "shoes", "age": 3})
    rows.add("c", metadata={"topic": "hats", "age": 3.5})
    rows.add("empty", metadata={})
    rows.add("none")
    assert found(rows, SHOES) == ["a", "b"]
    assert found(rows, {"and": [SHOES, OLD]}) == ["b"]
    assert found(rows, {"or": [SHOES, OLD]}) == ["a", "b", "c"]
    assert found(rows, {"not": SHOES}) == ["c", "empty", "none"]
    assert found(rows, {"and": [{"not": {"or": [SHOES, OLD]}}]}) == ["empty", "none"]
    assert found(rows, {"field": "metadata", "op": "exists"}) == ["a", "b", "c", "empty"]
    assert found(rows, is_("exists", False, "metadata")) == ["none"]


STORED: dict[str, Any] = {
    "one": 1,
    "one_point_oh": 1.0,
    "two_and_a_half": 2.5,
    "minus": -3,
    "zero": 0,
    "great": 2**63 - 1,
    "double": 1e300,
    "text_one": "1",
    "true": True,
    "false": False,
    "text_true": "true",
    "null": None,
    "text_null": "null",
    "empty_text": "",
    "paris": "Paris",
    "lower": "paris",
    "accent": "Pâris",
    "emoji": "😀",
    "percent": "100%_",
    "array": [1, "Paris", None, True, [2]],
    "empty_array": [],
    "object": {"Paris": 1},
    "empty_object": {},
}
TEXTS = ["text_one", "text_true", "text_null", "empty_text", "paris", "lower", "accent", "emoji",
         "percent"]  # fmt: skip


def all_but(*names: str) -> list[str]:
    """Return the names of all stored values except these."""
    return [name for name in STORED if name not in names]


CASES: list[tuple[str, Any, list[str]]] = [
    # Equal: numbers by value; values of different types are never equal; no arrays or objects.
    ("eq", 1, ["one", "one_point_oh"]),
    ("eq", 1.0, ["one", "one_point_oh"]),
    ("eq", -0.0, ["zero"]),
    ("eq", 2**63 - 1, ["great"]),
    ("eq", 2**63 - 2, []),
    ("eq", 1e300, ["double"]),
    ("eq", "1", ["text_one"]),
    ("eq", True, ["true"]),
    ("eq", False, ["false"]),
    ("eq", "true", ["text_true"]),
    ("eq", None, ["null"]),
    ("eq", "null", ["text_null"]),
    ("eq", "", ["empty_text"]),
    ("eq", "Paris", ["paris"]),
    ("eq", "[]", []),
    ("eq", "{}", []),
    # Not equal: all other existing values.
    ("ne", 1, all_but("one", "one_point_oh")),
    ("ne", "Paris", all_but("paris")),
    ("ne", None, all_but("null")),
    ("ne", True, all_but("true")),
    # Greater and less: numbers, and texts by code points.
    ("gt", 1, ["two_and_a_half", "great", "double"]),
    ("gte", 1, ["one", "one_point_oh", "two_and_a_half", "great", "double"]),
    ("lt", 1, ["minus", "zero"]),
    ("lte", 1.0, ["one", "one_point_oh", "minus", "zero"]),
    ("gt", 1e299, ["double"]),
    ("gt", 2**63 - 2, ["great", "double"]),
    ("lt", -3.5, []),
    ("gt", "", ["text_one", "text_true", "text_null", "paris", "lower", "accent", "emoji",
                "percent"]),
    ("gte", "", TEXTS),
    ("gt", "Paris", ["text_true", "text_null", "lower", "accent", "emoji"]),
    ("gt", "Parit", ["text_true", "text_null", "lower", "accent", "emoji"]),
    ("gt", "z", ["emoji"]),
    ("gte", "\uffff", ["emoji"]),
    ("lt", "2", ["text_one", "empty_text", "percent"]),
    ("lte", "1", ["text_one", "empty_text"]),
    # One of several.
    ("in", [1, "Paris", True, None], ["one", "one_point_oh", "true", "null", "paris"]),
    ("in", ["1", False], ["text_one", "false"]),
    ("in", [0], ["zero"]),
    ("in", ["nothing"], []),
    ("in", [2.5, 1e300], ["two_and_a_half", "double"]),
    # Exists or not.
    ("exists", True, all_but()),
    ("exists", False, ["elsewhere", "empty", "none"]),
    # Substring of a text, or element of an array.
    ("contains", "ari", ["paris", "lower"]),
    ("contains", "Paris", ["paris", "array"]),
    ("contains", "%", ["percent"]),
    ("contains", "_", ["percent"]),
    ("contains", "\U0001f600", ["emoji"]),
    ("contains", "", TEXTS),
    ("contains", 1, ["array"]),
    ("contains", 1.0, ["array"]),
    ("contains", True, ["array"]),
    ("contains", False, []),
    ("contains", None, ["array"]),
    ("contains", 2, []),
    # Prefix of a text.
    ("starts_with", "P", ["paris", "accent"]),
    ("starts_with", "Paris", ["paris"]),
    ("starts_with", "Parisian", []),
    ("starts_with", "", TEXTS),
    ("starts_with", "😀", ["emoji"]),
    ("starts_with", "100%", ["percent"]),
    ("starts_with", "1", ["text_one", "percent"]),
]  # fmt: skip


def test_an_operator_matches_only_values_of_its_type(messages: Messages) -> None:
    stored: dict[str, Any] = {name: {"x": value} for name, value in STORED.items()}
    messages.add_all(stored | {"elsewhere": {"y": {"x": 1}}, "empty": {}, "none": None})
    results = [(op, value, found(messages, is_(op, value))) for op, value, _ in CASES]
    assert results == CASES


def test_not_matches_all_rows_that_the_condition_does_not_match(messages: Messages) -> None:
    stored: dict[str, Any] = {name: {"x": value} for name, value in STORED.items()}
    stored |= {"elsewhere": {"y": {"x": 1}}, "empty": {}, "none": None}
    messages.add_all(stored)
    for op, value, names in CASES:
        others = [name for name in stored if name not in names]
        assert found(messages, {"not": is_(op, value)}) == others, (op, value)


def test_a_path_goes_through_objects_but_not_into_arrays(messages: Messages) -> None:
    messages.add_all(
        {
            "deep": {"a": {"b": {"c": 1}}},
            "dotted": {"a.b.c": 1},
            "in_array": {"a": [{"b": {"c": 1}}]},
            "of_index": {"a": {"0": 1, "-1": 1, "length": 1}},
            "array": {"a": [1]},
            "text": {"a": '{"b": 1}'},
        }
    )
    assert found(messages, is_("eq", 1, "metadata.a.b.c")) == ["deep"]
    assert found(messages, is_("exists", True, "metadata.a.b")) == ["deep"]
    assert found(messages, is_("eq", 1, "metadata.a.0")) == ["of_index"]
    assert found(messages, is_("eq", 1, "metadata.a.-1")) == ["of_index"]
    assert found(messages, is_("eq", 1, "metadata.a.length")) == ["of_index"]
    assert found(messages, is_("eq", 1, "metadata.a")) == []
    assert found(messages, is_("exists", False, f"metadata.{'.'.join('a' * 2000)}")) == [
        "deep", "dotted", "in_array", "of_index", "array", "text",
    ]  # fmt: skip


ENTITIES: dict[str, Any] = {
    "org": [{"Label": "ORG", "Name": "Acme", "n": [1, 2]}],
    "both": [{"Label": "PER", "Name": "Acme"}, {"Label": "ORG", "Name": "Other", "n": []}],
    "scalars": ["ORG", 5, None, True],
    "nested": [[{"Label": "ORG"}], ["ORG"]],
    "text_of_json": ['{"Label": "ORG"}'],
    "empty": [],
    "object": {"Label": "ORG", "0": {"Label": "ORG"}},
    "text": "ORG",
}


def test_any_matches_an_array_with_a_matching_element(messages: Messages) -> None:
    messages.add_all({name: {"e": value} for name, value in ENTITIES.items()} | {"none": None})

    def any_(node: Filter) -> list[str]:
        return found(messages, {"field": "metadata.e", "any": node})

    org, acme = is_("eq", "ORG", "Label"), is_("eq", "Acme", "Name")
    assert any_(org) == ["org", "both"]
    assert any_({"and": [org, acme]}) == ["org"], "of one element, not of several"
    assert any_({"or": [org, acme]}) == ["org", "both"]
    assert any_({"not": org}) == ["both", "scalars", "nested", "text_of_json"]
    assert any_(is_("eq", "ORG", ".")) == ["scalars"]
    assert any_(is_("in", [5.0], ".")) == ["scalars"]
    assert any_(is_("gt", 4, ".")) == ["scalars"]
    assert any_(is_("eq", None, ".")) == ["scalars"]
    assert any_(is_("eq", True, ".")) == ["scalars"]
    assert any_(is_("eq", 1, ".")) == [], "true is not 1"
    assert any_(is_("starts_with", "{", ".")) == ["text_of_json"]
    assert any_(is_("contains", "ORG", ".")) == ["scalars", "nested", "text_of_json"]
    assert any_(is_("contains", 2, "n")) == ["org"]
    assert any_(is_("exists", True, "n")) == ["org", "both"]
    assert any_({"field": "n", "any": is_("gt", 1, ".")}) == ["org"]
    assert any_({"field": ".", "any": org}) == ["nested"]
    assert any_({"field": ".", "any": is_("eq", "ORG", ".")}) == ["nested"]
    assert any_(is_("exists", True, ".")) == ["org", "both", "scalars", "nested", "text_of_json"]
    assert found(messages, {"field": "metadata", "any": org}) == []
    not_any = {"not": {"field": "metadata.e", "any": is_("exists", True, ".")}}
    assert found(messages, not_any) == ["empty", "object", "text", "none"]


# Would have a meaning if inserted into SQL or a JSON path unescaped.
LOOKS_LIKE_SQL = [
    "'; DROP TABLE users; --", "' OR '1'='1", '" ? (@ == 1)', "$1", "$v", ":p0", ":filter_1", "?",
    "{filter}", "{user_columns}", "%s", "%(x)s", "%", "_", "*", "\\", "\\'", "/*", "*/", "--",
    "[0]", "[*]", "$", "@", "a\nb", "\x01", "\x7f", "\u2028", "é", "e\u0301", "😀", "null",
    "x" * 5_000,
]  # fmt: skip


def test_a_value_that_looks_like_sql_is_plain_text(messages: Messages) -> None:
    messages.add_all({f"{n}": {"x": text, "list": [text]} for n, text in enumerate(LOOKS_LIKE_SQL)})
    for n, text in enumerate(LOOKS_LIKE_SQL):
        for node in (
            is_("eq", text),
            is_("in", [text]),
            is_("contains", text, "metadata.list"),
            {"and": [is_("gte", text), is_("lte", text)]},
            {"field": "metadata.list", "any": is_("eq", text, ".")},
        ):
            assert found(messages, node) == [f"{n}"], text
        for op in ("contains", "starts_with"):
            assert f"{n}" in found(messages, is_(op, text))


def test_a_key_that_looks_like_sql_is_a_plain_key(messages: Messages) -> None:
    keys = [text for text in LOOKS_LIKE_SQL if not set(text) & set('."\\') and len(text) < 400]
    assert len(keys) > 20
    messages.add_all({f"{n}": {key: 1, "in": [{key: 1}]} for n, key in enumerate(keys)})
    for n, key in enumerate(keys):
        assert found(messages, is_("eq", 1, f"metadata.{key}")) == [f"{n}"], key
        in_element = {"field": "metadata.in", "any": is_("exists", True, key)}
        assert found(messages, in_element) == [f"{n}"], key


# Pages.


def test_a_filter_works_with_pages_and_orders(rows: Users) -> None:
    for name in "abcdefg":
        rows.add(name, metadata={"topic": "shoes" if name in "aceg" else "hats"})
    assert found(rows, SHOES, limit=1) == ["a", "c", "e", "g"]
    assert found(rows, SHOES, limit=3) == ["a", "c", "e", "g"]
    assert found(rows, SHOES, limit=2, order="-created") == ["g", "e", "c", "a"]


def test_a_filter_can_be_combined_with_other_filters(way: Way, fresh: str) -> None:
    rows = Users(way, fresh)
    first = rows.add("first", metadata={"topic": "shoes", "n": 1})
    for name in "ab":
        rows.add(name, metadata={"topic": "shoes", "n": name})
    rows.filters = {"created_after": first["created_at"], **rows.filters}
    assert found(rows, SHOES) == ["a", "b"]
    assert found(rows, SHOES, **{"metadata.n": "b"}) == ["b"]
    assert found(rows, {"not": SHOES}, **{"metadata.n": "b"}) == []


def test_a_cursor_is_rejected_with_another_filter(rows: Users) -> None:
    for name in "ab":
        rows.add(name, metadata={"topic": "shoes"})
    page = get_page(rows, json.dumps(SHOES), limit=1)
    assert [rows.name_of(row) for row in page.json["items"]] == ["a"]
    cursor = page.json["next"]
    spelled_otherwise = json.dumps(dict(reversed(SHOES.items())), indent=2)
    again = get_page(rows, spelled_otherwise, limit=1, cursor=cursor)
    assert [rows.name_of(row) for row in again.json["items"]] == ["b"]
    others = (is_("eq", "hats", "metadata.topic"), {"not": SHOES}, {"and": [SHOES, SHOES]})
    for other in others:
        rejected = get_page(rows, json.dumps(other), cursor=cursor)
        assert error_of(rejected) == (400, "bad_request", ["cursor"])
    without = {**rows.filters, "cursor": cursor}
    rejected = rows.way.request("GET", rows.path, *rows.ids, params=without)
    assert error_of(rejected) == (400, "bad_request", ["cursor"])


def test_a_cursor_is_rejected_with_a_value_of_another_type(messages: Messages) -> None:
    messages.add_all({name: {"x": value} for name, value in zip("abc", (1, 1, True), strict=True)})
    cursor = get_page(messages, json.dumps(is_("eq", 1)), limit=1).json["next"]
    for other in (True, "1", [1]):
        op = "in" if isinstance(other, list) else "eq"
        rejected = get_page(messages, json.dumps(is_(op, other)), cursor=cursor)
        assert error_of(rejected) == (400, "bad_request", ["cursor"])


def test_a_deleted_row_is_not_found_by_a_filter(way: Way, fresh: str) -> None:
    rows = Users(way, fresh)
    for name in "ab":
        rows.add(name, metadata={"topic": "shoes"})
    delete(way, rows.subject, f"{fresh}/a")
    assert found(rows, SHOES) == ["b"]


def test_filtering_messages_of_an_unknown_session_returns_404(way: Way, fresh: str) -> None:
    reply = way.request("GET", MESSAGES, fresh, params={"filter": json.dumps(SHOES)})
    assert error_of(reply) == NOT_FOUND


def test_a_filter_without_matches_returns_an_empty_list(messages: Messages) -> None:
    assert found(messages, {"not": SHOES}) == []
    messages.add("a")
    assert found(messages, SHOES) == []


# Invalid filters and limits.

A = is_("eq", 1)
INVALID: list[tuple[Any, str]] = [
    ({}, "filter"),
    ({"xor": [A]}, "filter"),
    ({"and": A}, "filter.and"),
    ({"and": []}, "filter.and"),
    ({"or": "x"}, "filter.or"),
    ({"or": [A] * 101}, "filter.or"),
    ({"and": [A, 5]}, "filter.and[1]"),
    ({"and": [A, {"or": [None]}]}, "filter.and[1].or[0]"),
    ({"and": [A], "or": [A]}, "filter.or"),
    ({"not": [A]}, "filter.not"),
    ({"not": A, "x": 1}, "filter.x"),
    ({"op": "eq", "value": 1}, "filter"),
    ({"field": "metadata.x", "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": None, "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": ["eq"], "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": "like", "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": "EQ", "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": "= 1 OR 1", "value": 1}, "filter.op"),
    ({"field": "metadata.x", "op": "eq"}, "filter.value"),
    ({"field": "metadata.x", "op": "eq", "values": 1}, "filter.values"),
    ({"field": "metadata.x", "op": "eq", "value": 1, "any": A}, "filter.op"),
    ({"field": "metadata.x", "op": "eq", "value": 1, "not": A}, "filter.field"),
    ({"field": "x", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "user_id", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "metadata_x", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "Metadata.x", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "", "op": "eq", "value": 1}, "filter.field"),
    ({"field": ".", "op": "eq", "value": 1}, "filter.field"),
    ({"field": None, "op": "eq", "value": 1}, "filter.field"),
    ({"field": ["x"], "op": "eq", "value": 1}, "filter.field"),
    ({"field": "metadata.", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "metadata..x", "op": "eq", "value": 1}, "filter.field"),
    ({"field": 'metadata."x', "op": "eq", "value": 1}, "filter.field"),
    ({"field": 'metadata."x"y', "op": "eq", "value": 1}, "filter.field"),
    ({"field": "metadata.x\\", "op": "eq", "value": 1}, "filter.field"),
    ({"field": "metadata.x\0", "op": "eq", "value": 1}, "filter.field"),
    (is_("eq", "a\0b"), "filter.value"),
    (is_("eq", [1]), "filter.value"),
    (is_("eq", {"x": 1}), "filter.value"),
    (is_("ne", []), "filter.value"),
    (is_("gt", True), "filter.value"),
    (is_("lt", None), "filter.value"),
    (is_("gte", [1]), "filter.value"),
    (is_("in", 1), "filter.value"),
    (is_("in", []), "filter.value"),
    (is_("in", [1, [2]]), "filter.value"),
    (is_("in", [1] * 101), "filter.value"),
    (is_("in", ["a", "b\0"]), "filter.value[1]"),
    (is_("exists", 1), "filter.value"),
    (is_("exists", None), "filter.value"),
    (is_("contains", ["x"]), "filter.value"),
    (is_("starts_with", 1), "filter.value"),
    (is_("eq", 2**63), "filter.value"),
    (is_("eq", -(2**63) - 1), "filter.value"),
    ({"field": "metadata.x", "any": 1}, "filter.any"),
    ({"field": "metadata.x", "any": {"not": is_("eq", 1, "")}}, "filter.any.not.field"),
    ({"field": "metadata.x", "any": is_("eq", 1, "a..b")}, "filter.any.field"),
    ({"field": "metadata.x", "any": A, "value": 1}, "filter.value"),
    ({"and": [{"or": [A] * 50}, {"or": [A] * 51}]}, "filter.and[1].or[50]"),
]


def test_an_invalid_filter_is_rejected_with_its_path(messages: Messages) -> None:
    results = [(node, error_of(get_page(messages, json.dumps(node)))) for node, _ in INVALID]
    assert results == [(node, invalid(place)) for node, place in INVALID]


def test_the_error_message_lists_what_is_valid(messages: Messages) -> None:
    unknown = get_page(messages, json.dumps({"and": [{**A, "op": "like"}]})).json["detail"]
    assert unknown == (
        "filter.and[0].op must be one of eq, ne, gt, gte, lt, lte, in, exists, contains, "
        "starts_with; got 'like'."
    )
    wrong = get_page(messages, json.dumps(is_("gt", True))).json["detail"]
    assert wrong == "filter.value must be a text or a number for gt."
    elsewhere = get_page(messages, json.dumps({**A, "field": "user_id"})).json["detail"]
    assert elsewhere == "filter.field must be `metadata`, or `metadata.<path>`."


def nested(levels: int) -> Filter:
    """Return a filter of this many levels."""
    node: Filter = A
    for _ in range(levels - 1):
        node = {"not": node}
    return node


def test_a_filter_can_be_as_large_as_the_limits_allow(messages: Messages) -> None:
    messages.add_all({"one": {"x": 1}, "two": {"x": 2}})
    assert found(messages, nested(15)) == ["one"]
    assert found(messages, nested(16)) == ["two"]
    assert error_of(get_page(messages, json.dumps(nested(17)))) == invalid("filter" + ".not" * 16)
    many = {"or": [is_("eq", n) for n in range(2, 102)]}
    assert found(messages, many) == ["two"]
    assert found(messages, {"not": many}) == ["one"]
    in_elements: Filter = is_("eq", 1, ".")
    for _ in range(14):
        in_elements = {"field": ".", "any": in_elements}
    messages.add("deep", metadata={"x": json.loads("[" * 15 + "1" + "]" * 15)})
    assert found(messages, {"field": "metadata.x", "any": in_elements}) == ["deep"]
    everything = [
        {"field": "metadata.y", "any": is_(op, value, "a.b.c")}
        for op, value in [("in", ["x" * 5] * 10), ("contains", "x")] * 50
    ]
    assert found(messages, {"and": [is_("eq", 1), {"not": {"or": everything[:99]}}]}) == ["one"]


def test_conditions_in_the_query_string_count_toward_the_limit(way: Way, fresh: str) -> None:
    rows = Users(way, fresh)
    rows.add("a", metadata={f"k{n}": 1 for n in range(101)})
    ninety_nine = {f"metadata.k{n}": "1" for n in range(99)}
    assert found(rows, is_("eq", 1, "metadata.k100"), **ninety_nine) == ["a"]
    too_many = ninety_nine | {"metadata.k99": "1", "metadata.k100": "1"}
    rejected = way.request("GET", rows.path, params={**rows.filters, **too_many})
    assert error_of(rejected) == invalid("metadata")


# What only HTTP can send.


@pytest.mark.wire("typed methods take a dict")
@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "nonsense", "'x'", '{"and": [', "NaN", '{"field": "metadata.x", "op": "eq", '
     '"value": 1e400}', "[" * 100_000][:8],
)  # fmt: skip
def test_a_filter_that_is_not_json_is_rejected(messages: Messages, text: str) -> None:
    reply = get_page(messages, text)
    assert error_of(reply) == invalid("filter")


@pytest.mark.wire("typed methods take a dict")
@pytest.mark.parametrize("text", ["null", "5", '"x"', "[]", "true", f"[{json.dumps(A)}]"])
def test_a_filter_that_is_not_an_object_is_rejected(messages: Messages, text: str) -> None:
    assert error_of(get_page(messages, text)) == invalid("filter")


@pytest.mark.wire("a JSON encoder does not write it")
def test_an_unpaired_surrogate_in_a_filter_is_named(messages: Messages) -> None:
    text = '{"and": [{"field": "metadata.x", "op": "eq", "value": "\\ud800"}]}'
    assert error_of(get_page(messages, text)) == invalid("filter.and[0].value")


@pytest.mark.wire("the SDK rejects it before sending")
@pytest.mark.parametrize("depth", [65, 1_000, 2_000])
def test_a_filter_nested_too_deeply_is_rejected(messages: Messages, depth: int) -> None:
    text = '{"not":' * depth + json.dumps(A) + "}" * depth
    status, code, [place] = error_of(get_page(messages, text))
    assert (status, code) == (422, "invalid_field")
    assert place.startswith("filter")


@pytest.mark.wire("an argument of a method cannot be repeated")
def test_a_repeated_filter_parameter_is_rejected(messages: Messages) -> None:
    path = f"{MESSAGES}?filter={{}}&filter={{}}"
    text = '{"field":"metadata.x","op":"exists"}'
    reply = messages.way.request("GET", path, messages.fresh, text, text)
    assert error_of(reply) == invalid("filter")


@pytest.mark.wire("the method has no such argument")
def test_a_list_of_rows_without_metadata_takes_no_filter(way: Way) -> None:
    reply = way.request("GET", ERASURES, params={"filter": json.dumps(A)})
    assert error_of(reply) == invalid("filter")
