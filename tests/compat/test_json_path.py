"""SQL/JSON paths match as in PostgreSQL, on both engines, or are rejected by name."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.finding import (
    Find,
    as_stored,
    finding_on_postgres,
    finding_on_sqlite,
    postgres_connection,
)
from userkeep.domain.errors import BadRequest
from userkeep.domain.values.filters import Node
from userkeep.domain.values.times import from_datetime
from userkeep.http.compat.json_path.parser import MAX_DEPTH
from userkeep.http.compat.json_path.translator import MAX_STEPS
from userkeep.http.compat.message_filter import read_message_filter
from userkeep.storage.postgres.errors import SqlError
from userkeep.storage.postgres.statements import statement

PostgresPath = Callable[[str, Any], bool | None]


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Find]:
    """Returns whether a filter matches a document in SQLite."""
    with finding_on_sqlite() as find:
        yield find


@pytest.fixture(scope="module")
def on_postgres() -> Iterator[Find]:
    """Returns whether a filter matches a document in PostgreSQL."""
    with finding_on_postgres() as find:
        yield find


@pytest.fixture(scope="module")
def postgres_path() -> Iterator[PostgresPath]:
    """Returns whether PostgreSQL's own path matches a document; None if it rejects the path."""
    sql = (
        "SELECT CAST(jsonb_path_exists(CAST(:document AS jsonb), CAST(:path AS jsonpath)) AS text)"
    )
    with postgres_connection() as connection:

        def find(path: str, document: Any) -> bool | None:
            values = {"document": as_stored(document), "path": path.replace("'", '"')}
            try:
                [(found,)] = connection.fetch(statement(sql), values)
            except SqlError:
                return None
            return bool(found == "true")

        yield find


def to_filter(path: str) -> Node:
    """Return the filter of a path."""
    node = read_message_filter({"where": {"jsonpath": path}}).node
    assert node is not None
    return node


def rejection(path: str) -> str | None:
    """Return the sentence that rejects a path; None if it is accepted."""
    try:
        to_filter(path)
    except BadRequest as error:
        return error.detail if error.fields == ("metadata.where.jsonpath",) else "another field"
    return None


DOCUMENTS: list[Any] = [
    None,
    {},
    {"a": None},
    {"a": 0},
    {"a": 5},
    {"a": 5.0},
    {"a": 9.5},
    {"a": -3},
    {"a": "5"},
    {"a": "v"},
    {"a": "vw"},
    {"a": ""},
    {"a": "😀"},
    {"a": True},
    {"a": False},
    {"a": []},
    {"a": {}},
    {"a": [5]},
    {"a": [1, 9]},
    {"a": [9, 1]},
    {"a": [[5]]},
    {"a": [[[5]]]},
    {"a": ["x", 5, None]},
    {"a": ["x", "v"]},
    {"a": [True, False]},
    {"a": [{}]},
    {"a": {"b": 5}},
    {"a": {"b": "v"}},
    {"a": {"b": None}},
    {"a": {"b": [4, 5]}},
    {"a": {"b": {"c": 5}}},
    {"a": [{"b": 5}]},
    {"a": [{"b": 1}, {"b": "v"}]},
    {"a": [[{"b": 5}]]},
    {"a": [{"b": [5]}]},
    {"a": [{"b": [{"c": 5}]}]},
    {"a": {"b": 5, "x": 1}, "x": 1},
    {"a": 5, "x": "v"},
    {"a": "v", "x": 5},
    {"x": 5},
    {"0": 5, "a": {"0": 5}},
    {"system": {"entities": [{"Label": "ORG", "Name": "Acme"}, {"Label": "PER", "Name": "Jane"}]}},
    {"system": {"entities": [{"Label": "PER", "Name": "Acme", "Matches": [{"start": 5}]}]}},
    {"system": {"entities": {"Label": "ORG"}}},
    {"system": [{"entities": [[{"Label": "ORG"}]]}]},
    {"system": {"intent": "buying shoes", "entities": []}},
    {"": 5, "a": {"": 5}},
    {"a key": 5, "ключ": 5, "a-b": 5, "a.b": 5, "$": 5, "last": 5, "type": 5, "exists": 5},
]

PATHS = [
    # Existence.
    "$", "$[*]", "$.a", "$.x", "$.a.b", "$.a.b.c", "lax $.a", "LAX $.a", "$.a[*]", "$.a[*].b",
    "$.a[*][*]", "$.a[0]", "$.a[1]", "$.a[last]", "$.a[LAST]", "$.a[0].b", "$.a[last].b[0].c",
    "$[0].a", "$[last].a", "$[1].a", "$.a[0][0]", "$.a[*][0]", '$."a key"', "$.'a key'", '$."a-b"',
    '$."a.b"', '$."$"', "$.ключ", "$.last", "$.type", "$.exists", r"$.\u0061", r'$."\u{61}"',
    r'$."a\"b"', r'$."a\\b"',
    r'$."\x61"', '$."0"', '$.a."0"', " $ . a /* where */ [ * ] ", "$.nothing", '$.""',
    '$ ? (@.a."" == 5)',
    # A condition without a path returns true, false or null, which is an item.
    "$.a == 1", "$.a > 5 && $.x == 1", "exists($.a)", "!($.a == 5)", "!exists($.a)", "($.a == 5)",
    "($.a == 5) is unknown", "5", '"v"', "null", "-5", "(5)", "1 < $.a", '$.a starts with "v"',
    # Filters.
    "$.a ? (@ > 5)", "$.a ? (@ >= 5)", "$.a ? (@ < 5)", "$.a ? (@ <= 5)", "$.a ? (@ == 5)",
    "$.a ? (@ == 5.0)", "$.a ? (@ == 50e-1)", "$.a ? (@ == +5)", "$.a ? (@ == -3)",
    "$.a ? (@ != 5)", "$.a ? (@ <> 5)", "$.a ? (5 < @)", "$.a ? (5 >= @)", "$.a ? (5 == @)",
    "$.a ? (@ > .5)", "$.a ? (@ > 9e99 || @ == 5)", "$.a ? (@ == 'v')", '$.a ? (@ == "v")',
    "$.a ? (@ > 'v')", "$.a ? (@ <= 'v')", "$.a ? (@ != 'v')", r'$.a ? (@ == "\u0076")',
    r'$.a ? (@ == "\ud83d\ude00")', r'$.a ? (@ == "\v" || @ == "v")', "$.a ? (@ == true)",
    "$.a ? (@ == false)", "$.a ? (@ != true)", "$.a ? (@ > false)", "$.a ? (@ < true)",
    "$.a ? (@ >= false)", "$.a ? (@ <= true)", "$.a ? (@ > true)", "$.a ? (@ == null)",
    "$.a ? (@ != null)", "$.a ? (@ < null)", "$.a ? (@ >= null)", "$.a ? (null == @)",
    "$.a ? (@ > 1 && @ < 9)", "$.a ? (@ == 1 && @ == 9)", "$.a ? (@ == 1 || @ == 9)",
    "$.a ? (@ == 1 || @ == 9 && @ == 2)", "$.a ? ((@ == 1 || @ == 9) && @ == 2)",
    "$.a[*] ? (@ > 1 && @ < 9)", "$ ? (@.a > 1 && @.a < 9)", "$ ? (@.a == 1 && @.a == 9)",
    "$ ? (@.a == 5)", "$[*] ? (@.a == 5)", "$[*] ? (@.a == 'v')", "$[0] ? (@.a == 5)",
    "$ ? (@.a.b == 5)", "$ ? (@.a[*].b == 5)", "$ ? (@.a[0] == 5)", "$ ? (@.a[last] == 9)",
    "$ ? (@.a[1] == 9)", "$ ? (@.a.b[0].c == 5)", "$.a ? (@.b == 5)", "$.a ? (@.b == 5).b",
    "$.a ? (@.b == 5).c", "$.a.b ? (@ > 4)", "$.a ? (@.b ? (@ > 4) == 5)",
    "$.a ? (exists(@.b ? (@ > 4)))", "$ ? (@.a == 5) ? (@.x == 'v')",
    # Not, and unknown.
    "$ ? (!(@.a == 5))", "$ ? (!(@.a != 5))", "$ ? (!(@.a > 5))", "$ ? (!(@.a <= 5))",
    "$ ? (!(@.a == 'v'))", "$ ? (!(@.a < 'v'))", "$ ? (!(@.a == null))", "$ ? (!(@.a != null))",
    "$ ? (!(@.a < null))", "$ ? (!(@.a == true))", "$ ? (!(@.a != true))", "$ ? (!(@.a < true))",
    "$ ? (!(@.a >= true))", "$ ? (!(@.a == 5 && @.x == 1))", "$ ? (!(@.a == 5 || @.x == 1))",
    "$ ? (!(!(@.a == 5)))", "$.a ? (!(@ == 5))", "$.a ? (!(@.b == 5))", "$.a[*] ? (!(@ == 5))",
    "$ ? (!(@.a starts with 'v'))", "$ ? ((@.a == 5) is unknown)",
    "$ ? (!((@.a == 5) is unknown))", "$ ? ((@.a > 'v') IS UNKNOWN)",
    "$ ? ((@.a == null) is unknown)", "$ ? ((exists(@.a)) is unknown)",
    "$ ? (((@.a == 1) is unknown) is unknown)", "$ ? ((@.a starts with 'v') is unknown)",
    "$ ? ((@.a == 5 && @.x == 1) is unknown)", "$ ? (exists(@.a))", "$ ? (!exists(@.a))",
    "$ ? (!(exists(@.a.b)))", "$ ? (exists(@.a[*]))", "$ ? (!exists(@.a[*].b))",
    "$ ? (EXISTS (@.a))", "$.a ? (exists($.x))", "$.a ? (!exists($.x))",
    # Texts.
    "$.a ? (@ starts with 'v')", '$.a ? (@ starts with "")', "$ ? (@.a STARTS WITH 'vw')",
    # The root inside of filters.
    "$.a ? ($.x == 'v')", "$.a ? (@ == 5 && $.x == 'v')", "$.a[*] ? (@.b == 5 && $.x == 1)",
    "$.a.b ? (@ == 5 && !($.x == 2))", "$.a ? (exists($.a ? (@.b == 5)))", "$ ? ($.a == 5)",
    "$ ? (($.a) == 5)", "$ ? (5 == (@.a))", "$ ? ((@.a[*]) > 8)", "($).a", "($.a)[0]",
    # As Zep's clients write them.
    '$.system.entities[*] ? (@.Label == "ORG")',
    "$.system.entities[*] ? (@.Label == 'ORG' && @.Name == 'Acme')",
    '$.system.entities[*] ? (@.Label != "ORG")', '$[*] ? (@.system.entities[*].Label == "ORG")',
    "$.system.entities[*].Matches[*] ? (@.start > 4)", "$.system ? (@.intent starts with 'buy')",
    '$.system.entities[*] ? (!(@.Label == "ORG"))', "$.system.entities[0] ? (@.Label == 'ORG')",
    "$[*] ? (@.a == 'v' || @.x == 'v')", "$[*] ? (@.a == 5 && @.x == 'v')",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_matches_the_same_documents_as_in_postgresql(
    on_sqlite: Find, on_postgres: Find, postgres_path: PostgresPath, path: str
) -> None:
    node = to_filter(path)
    expected = [postgres_path(path, document) for document in DOCUMENTS]
    assert None not in expected, "PostgreSQL rejects it"
    assert expected[0] is False, "a row without metadata never matches"
    assert [on_sqlite(node, document) for document in DOCUMENTS] == expected
    assert [on_postgres(node, document) for document in DOCUMENTS] == expected


def test_numbers_are_compared_as_doubles_unlike_in_postgresql(
    on_sqlite: Find, on_postgres: Find, postgres_path: PostgresPath
) -> None:
    """Userkeep stores a double or 64 bits; PostgreSQL compares all written digits.

    A number with more digits than a double has matches the double, and not nothing.
    """
    for path, document in (
        ("$.a ? (@ == 0.1000000000000000055511151231257827)", {"a": 0.1}),
        ("$.a ? (@ == 1e-400)", {"a": 0}),
        ("$.a ? (@ == 10000000000000000000000001)", {"a": 1e25}),
    ):
        assert postgres_path(path, document) is False
        assert on_sqlite(to_filter(path), document)
        assert on_postgres(to_filter(path), document)


# Random paths.

KEYS = st.sampled_from(["a", "b"])
NUMBERS = st.sampled_from(["0", "1", "5", "-1", "5.0", "1e2", "0.5"])
SCALARS = NUMBERS | st.sampled_from(['"a"', "'b'", '""', "true", "false", "null"])
COMPARISONS = st.sampled_from(["==", "!=", "<>", "<", "<=", ">", ">="])
STEPS = st.sampled_from([".a", ".b", "[*]", "[0]", "[1]", "[last]", '."a"'])
SIMPLE = st.builds(
    lambda start, steps: start + "".join(steps),
    st.sampled_from(["@", "@", "@", "$"]),
    st.lists(STEPS, max_size=3),
)


def filtered(path: str, condition: str, steps: list[str]) -> str:
    """Return a path with a filter in it."""
    return f"{path} ? ({condition}){''.join(steps)}"


def conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return conditions that consist of conditions."""
    return (
        st.builds("({}) && ({})".format, inner, inner)
        | st.builds("({}) || ({})".format, inner, inner)
        | st.builds("!({})".format, inner)
        | st.builds("(({}) is unknown)".format, inner)
        | st.builds(
            "exists ({})".format, st.builds(filtered, SIMPLE, inner, st.lists(STEPS, max_size=2))
        )
    )


CONDITIONS = st.recursive(
    st.builds("{} {} {}".format, SIMPLE, COMPARISONS, SCALARS)
    | st.builds("{} {} {}".format, SCALARS, COMPARISONS, SIMPLE)
    | st.builds('{} starts with "a"'.format, SIMPLE)
    | st.builds("exists({})".format, SIMPLE),
    conditions,
    max_leaves=4,
)
RANDOM_PATHS = st.builds(
    lambda steps, condition, more: filtered("$" + "".join(steps), condition, more),
    st.lists(STEPS, max_size=3),
    CONDITIONS,
    st.lists(STEPS, max_size=2),
)
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 5, 0.5, "", "a", "ab", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=8,
)


@given(RANDOM_PATHS, st.lists(st.dictionaries(KEYS, VALUES, max_size=2), min_size=3, max_size=3))
@example("$.a[0] ? (!(@ == 5))", [{"a": []}, {"a": [[5]]}, {"a": [[], 5]}])
def test_any_accepted_path_matches_the_same_documents_as_in_postgresql(
    on_sqlite: Find, on_postgres: Find, postgres_path: PostgresPath, path: str, documents: list[Any]
) -> None:
    if rejection(path):
        return
    node = to_filter(path)
    for document in documents:
        expected = postgres_path(path, document)
        assert on_sqlite(node, document) is expected
        assert on_postgres(node, document) is expected


TOKENS = st.sampled_from(
    [
        *"$$@@.?()[]*!5,%{=é\t\\'-+ab", " ", " ", ".a", ".b", '"a"', "==", "<", "&&", "||", "1.5",
        "01", "exists", "is", "unknown", "starts", "with", "last", "true", "null", "lax", "strict",
        "to", "[*]", "? (", "@.a == 1", "like_regex", "\\u", "/*", "*/",
    ]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=12).map("".join) | st.text(max_size=20))
@example("$.a ? (@ == 5")
@example("$ ? (@.a == 1) is unknown")
@example("$.a\0")
def test_syntax_is_valid_exactly_if_postgresql_accepts_it(
    postgres_path: PostgresPath, path: str
) -> None:
    if "\0" in path or not path:
        return  # neither is sent as a path
    sentence = rejection(path)
    if sentence is None:
        assert postgres_path(path, {}) is not None
    elif "is not a JSON path" in sentence and not is_known_difference(path):
        assert postgres_path(path, {}) is None, sentence


def is_known_difference(path: str) -> bool:
    r"""Whether PostgreSQL accepts a path that is invalid here.

    Escapes outside of quotes: in PostgreSQL, `\lax` and `e\xists` are keywords.
    """
    return "\\" in path


# Rejected paths.

UNSUPPORTED = {
    "$.a.size()": "the method .size() at character 5",
    "$.a ? (@.type() == 'number')": "the method .type() at character 10",
    "$.*": ".* at character 3",
    "$.**": ".** at character 3",
    "$.a ? (@ like_regex '^v')": "like_regex at character 10",
    "strict $.a": "strict mode at character 1",
    "$.a ? (@ > $n)": "variables at character 12",
    "$.a ? (@ starts with $x)": "variables at character 22",
    "$.a ? (@.b == @.c)": "a comparison of two paths at character 12",
    "$ ? (1 == 1)": "a comparison of two values at character 8",
    "$.a + 1": "arithmetic (+; quote keys that contain it) at character 5",
    "$.a-b": "arithmetic (-; quote keys that contain it) at character 4",
    "$.a ? (@ > -@.b)": "arithmetic (-) at character 12",
    "$.a[0 to 2]": "more than one index in brackets at character 7",
    "$.a[0, 2]": "more than one index in brackets at character 6",
    "$.a[last - 1]": "arithmetic (-) at character 10",
    "$.a[-1]": "an index other than a whole number, * or last at character 5",
    "$.a ? (@ > 1e999)": "a number of more than 308 digits at character 12",
    "'v'.type()": ". after a value at character 4",
    "($.a == 1).type()": ". after parentheses at character 11",
}


@pytest.mark.parametrize("path", UNSUPPORTED)
def test_unsupported_syntax_is_rejected_by_name(postgres_path: PostgresPath, path: str) -> None:
    expected = f"metadata.where.jsonpath has {UNSUPPORTED[path]}, which is not supported"
    assert rejection(path) == expected


INVALID = {
    "$.": "at character 3, a key is expected",
    "$.a ? (@ == )": "at character 13, a path or a value is expected, got ')'",
    "$.a ? (@ == 5": "at character 14, ) is expected, got the end",
    "$.a ? @ == 5": "at character 7, ( is expected, got '@'",
    "$.a ? (@)": "at character 7, a condition is expected",
    "$.a ? (@ = 5)": "at character 10, '=' is not expected",
    "$.a ? (@.b && @.c)": "at character 8, a condition is expected",
    "a": "at character 1, a path or a value is expected, got 'a'",
    "$.a $.b": "at character 5, '$' is not expected",
    "$.a ? (@ == 01)": "at character 13, 01 is not a number",
    "$.a ? (@ == 5x)": "at character 14, 'x' cannot follow a number",
    "$.a ? (@ == 'x)": "at character 13, '\"' is not expected",
    r"$.a ? (@ == '\ud800')": "at character 13, an unpaired surrogate is not a character",
    r"$.a ? (@ == '\u12')": r"at character 13, the escape \u is incomplete or out of range",
    r"$.a ? (@ == '\u0000')": "at character 13, NUL is not allowed",
    "@.a": "at character 1, @ is used outside of a filter",
    "$.a == @.b": "at character 8, @ is used outside of a filter",
    "$ ? (! @.a == 1)": "at character 8, ( is expected, got '@'",
}


@pytest.mark.parametrize("path", INVALID)
def test_invalid_syntax_is_rejected_with_its_position(
    postgres_path: PostgresPath, path: str
) -> None:
    assert rejection(path) == f"metadata.where.jsonpath is not a JSON path: {INVALID[path]}"
    assert postgres_path(path, {}) is None


def test_paths_at_the_limits_are_accepted(on_sqlite: Find, on_postgres: Find) -> None:
    steps, depth = MAX_STEPS, MAX_DEPTH
    as_large = [
        "$" + ".a" * steps,
        "$" + ".a" * (steps - 1) + " ? (@ == 1)",
        "$" + "[*]" * steps,
        "$" + " ? (!(@ == 1))" * 24,
        "$.a" + " ? (exists(@" * (depth // 2 - 1) + " ? (@ == 1)" + "))" * (depth // 2 - 1),
        "$.a" + " ? (!(@ == 5 && exists(@" * (depth // 3) + ".b" + ")))" * (depth // 3),
        "$ ? " + "(" * depth + "@.a == 1" + ")" * depth,
        "$ ? " + "(!" * (depth // 2) + "(" * (depth // 2) + "@.a == 1" + ")" * depth,
        "$ ? (" + " || ".join(f"@.a == {n}" for n in range(99)) + ")",
        "$ ? (" + " && ".join(f"!(@.a == '{n}')" for n in range(24)) + ")",
    ]
    for path in as_large:
        for find in (on_sqlite, on_postgres):
            assert find(to_filter(path), {"a": 1}) in {True, False}


def test_paths_beyond_the_limits_are_rejected() -> None:
    assert "32 nested steps" in str(rejection("$" + ".a" * 33))
    assert "32 nested steps" in str(rejection("$.a" + "[1]" * 1_000))
    assert "16 nested parentheses" in str(rejection("$ ? " + "(" * 17 + "@.a == 1" + ")" * 17))
    assert "4096 characters" in str(rejection("$" + ".a" * 3_000))
    assert "4096 characters" in str(rejection("(" * 100_000))
    many = " || ".join(["@.a == 1"] * 101)
    assert "more than 100 conditions" in str(rejection(f"$ ? ({many})"))
    unknown = "@.a == 1"
    for _ in range(7):
        unknown = f"(({unknown}) is unknown)"
    assert "more than 100 conditions" in str(rejection(f"$ ? ({unknown})"))


# Groups.

ONE, TWO = {"jsonpath": "$ ? (@.a == 1)"}, {"jsonpath": "$ ? (@.b == 2)"}
ROWS: dict[str, Any] = {"1": {"a": 1}, "2": {"b": 2}, "12": {"a": 1, "b": 2}, "": {}, "none": None}


def found(find: Find, where: Any) -> list[str]:
    """Return the rows that match a group."""
    node = read_message_filter({"where": where}).node
    return [name for name, row in ROWS.items() if node is None or find(node, row)]


def test_groups_combine_with_and_and_or(on_sqlite: Find, on_postgres: Find) -> None:
    for find in (on_sqlite, on_postgres):
        assert found(find, ONE) == ["1", "12"]
        assert found(find, {"and": [ONE, TWO]}) == ["12"]
        assert found(find, {"or": [ONE, TWO]}) == ["1", "2", "12"]
        assert found(find, {**ONE, "and": [TWO]}) == ["12"], "side by side"
        assert found(find, {**ONE, "or": [TWO]}) == ["12"]
        assert found(find, {"and": [ONE], "or": [TWO, ONE]}) == ["1", "12"]
        assert found(find, {"or": [ONE, {"and": [TWO]}]}) == ["1", "2", "12"], "unlike Zep"
        assert found(find, {"or": [{"and": [ONE, TWO]}, {"or": [TWO]}]}) == ["2", "12"]
        assert found(find, {"AND": [{"JSONPath": ONE["jsonpath"]}]}) == ["1", "12"], "any case"


def test_empty_and_unknown_parts_match_everything(on_sqlite: Find) -> None:
    everything = list(ROWS)
    nothing: list[Any] = [None, {}, {"and": []}, {"or": []}, {"and": None}, {"jsonpath": ""}]
    for where in (*nothing, {"x": 1}):
        assert found(on_sqlite, where) == everything
    assert found(on_sqlite, {"and": [{}, ONE], "or": [{"and": []}]}) == ["1", "12"]
    for value in ({}, {"foo": "bar"}, {"where": None, "start_date": None, "end_date": None}):
        assert read_message_filter(value) == (None, None, None)


def test_a_row_without_metadata_never_matches(on_sqlite: Find, on_postgres: Find) -> None:
    for path in ("$", "$ ? (!(@.a == 1))", "!exists($.a)", "1 == $.a"):
        for find in (on_sqlite, on_postgres):
            with_metadata = ["2", ""] if "?" in path else ["1", "2", "12", ""]
            assert found(find, {"jsonpath": path}) == with_metadata
            assert found(find, {"or": [{"jsonpath": path}]}) == with_metadata


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ("x", "metadata.where"),
        ([], "metadata.where"),
        ({"jsonpath": 5}, "metadata.where.jsonpath"),
        ({"and": {}}, "metadata.where.and"),
        ({"or": "x"}, "metadata.where.or"),
        ({"or": [5]}, "metadata.where.or[0]"),
        ({"and": [{"or": [{}, {"jsonpath": "x"}]}]}, "metadata.where.and[0].or[1].jsonpath"),
        ({"and": [{"or": [{}, {"jsonpath": []}]}]}, "metadata.where.and[0].or[1].jsonpath"),
    ],
)
def test_an_invalid_group_is_named_in_the_error(where: Any, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_message_filter({"where": where})
    assert caught.value.fields == (field,)
    assert field in caught.value.detail


def test_limits_apply_to_all_groups_together() -> None:
    nested: Any = ONE
    for _ in range(15):
        nested = {"and": [nested]}
    assert read_message_filter({"where": nested}).node is not None
    with pytest.raises(BadRequest, match="deeper than 16 levels"):
        read_message_filter({"where": {"or": [nested]}})
    many = {"or": [ONE] * 33}
    assert read_message_filter({"where": {"and": [many]}}).node is not None
    with pytest.raises(BadRequest, match="more than 100 conditions"):
        read_message_filter({"where": {"and": [many, many, many, many]}})


# Dates.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31", "2024-01-31T00:00:00Z"),
        (" 2024-01-31 ", "2024-01-31T00:00:00Z"),
        ("2024-01-31T10:20:30Z", "2024-01-31T10:20:30Z"),
        ("2024-01-31T10:20:30.123456789Z", "2024-01-31T10:20:30.123456Z"),
        ("2024-01-31T10:20:30.5+05:30", "2024-01-31T04:50:30.5Z"),
        ("2024-01-31 10:20", "2024-01-31T10:20:00Z"),
        ("2024-01-31 10:20:30", "2024-01-31T10:20:30Z"),
        ("2024-01-31 10:20:30+02", "2024-01-31T08:20:30Z"),
        ("2024-01-31 10:20:30 -0200", "2024-01-31T12:20:30Z"),
        ("2024-01-31 10:20 UTC", "2024-01-31T10:20:00Z"),
        ("2024-01-31t10:20z", "2024-01-31T10:20:00Z"),
        ("9999-12-31", "9999-12-31T00:00:00Z"),
    ],
)
def test_dates_are_accepted_in_common_formats(text: str, moment: str) -> None:
    both = read_message_filter({"start_date": text, "end_date": text})
    assert both == (None, *[from_datetime(datetime.fromisoformat(moment))] * 2)


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "2024-13-01", "2024-02-30", "2024-01-31T25:00", "2024-01-31T10", "20240131",
     "2024-W05-3", "2024-01-31\x0010:00", "2024-01-31 10:20 CET", "٢٠٢٤-01-31", "1e9", "infinity",
     5, 1.5, True, [], {}, "2024-01-31T10:00+99:00", "x" * 10_000],
)  # fmt: skip
def test_an_invalid_date_is_named_in_the_error(value: Any) -> None:
    for name in ("start_date", "end_date"):
        with pytest.raises(BadRequest, match=f"metadata.{name} must be a date") as caught:
            read_message_filter({name: value})
        assert caught.value.fields == (f"metadata.{name}",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | TOKENS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["jsonpath", "and", "or", "where", "x"]), inner)
    ),
)


@given(
    st.dictionaries(st.sampled_from(["where", "start_date", "end_date", "x"]), JSON),
    st.lists(TOKENS, max_size=30).map("".join),
)
def test_random_filters_raise_only_bad_request(value: dict[str, Any], path: str) -> None:
    for given_ in (value, {"where": value}, {"where": {"or": [{"jsonpath": path}]}}):
        with suppress(BadRequest):
            read_message_filter(given_)
