"""Searches with `syntax: "web"`: phrases, excluded words, and beginnings of words."""

from typing import Any

import pytest

from tests.conformance.steps import SEARCH, append_text, error_of, invalid, search
from tests.conformance.test_search import ANY_TEXTS, add_messages, found, marked
from tests.ways import Way

CONTENTS = [
    "I bought red shoes",
    "Shoes that are red, and boots",
    "We are hiking in Norway",
    "A hiker from Oslo",
    "昨日京都に行きました",
    "The CAFÉ-bar is open",
]
FOUND = {
    '"red shoes"': [0],
    '"RED SHOE"': [0],
    '"shoes red"': [],
    '"shoes that are"': [1],
    '"red, and boots"': [1],
    '"cafe bar"': [5],
    '"京都に"': [4],
    '"都京"': [],
    "“red shoes”": [0],
    'shoes "red and"': [1],
    '"red shoes" "boots"': [],
    '"red" "boots"': [1],
    "shoes -boots": [0],
    "shoes -boot": [0],
    "shoes -boo*": [0],
    "red -café": [0, 1],
    'red -"red shoes"': [1],
    "red -shoes": [],
    "昨日 -京都": [],
    "-shoes": [],
    "hik*": [2, 3],
    "HIK*": [2, 3],
    "hiki*": [2],
    "hiking*": [2],
    "caf*": [5],
    "nor* osl*": [2, 3],
    "hik* -osl*": [2],
    "京*": [4],
    "bicyc*": [],
    "red*shoes": [0, 1],
    '"red shoes': [0, 1],
    "- red": [0, 1],
    "red - shoes": [0, 1],
    "--red": [0, 1],
    "* red": [0, 1],
    "bar-open": [5],
}


@pytest.fixture
def user(way: Way, fresh: str) -> str:
    """The id of a user with messages."""
    add_messages(way, fresh, *CONTENTS)
    return fresh


def test_operators_select_messages(way: Way, user: str) -> None:
    for query, expected in FOUND.items():
        contents = set(found(way, query, user_id=user, syntax="web"))
        assert contents == {CONTENTS[number] for number in expected}, query


def test_operators_are_plain_text_by_default(way: Way, user: str) -> None:
    for syntax in ({}, {"syntax": "plain"}):
        both = set(found(way, '-"shoes red" hik*', user_id=user, **syntax))
        assert both == {CONTENTS[0], CONTENTS[1]}


def test_any_text_is_a_query_in_the_web_syntax(way: Way, user: str) -> None:
    for text in ANY_TEXTS:
        search(way, text, user_id=user, syntax="web")
        combined = found(way, f"{text} norway {text}", user_id=user, syntax="web")
        assert combined[:1] in ([CONTENTS[2]], []), text
    search(way, user_id=user, syntax="web")


@pytest.mark.parametrize("unit", ["-a ", "ab* ", '"a b" ', '-"', "abc* ", "-abc* ", "“ "])
def test_many_operators_are_legal(way: Way, user: str, unit: str) -> None:
    query = (unit * 10_000)[:10_000]
    search(way, query, user_id=user, syntax="web")


def test_words_without_operators_are_ranked_as_in_plain_text(way: Way, user: str) -> None:
    for query in ("red shoes in Norway", "what hiking boots", "京都"):
        plain = search(way, query, user_id=user, explain=True)
        assert search(way, query, user_id=user, explain=True, syntax="web") == plain


def test_each_hit_of_a_phrase_has_the_phrase_itself(way: Way, user: str) -> None:
    session = f"{user} talk"
    append_text(way, session, "Any red shoes?", "red", "shoes", "red shoes!", user_id=user)
    hits = found(way, '"red shoes"', session_id=session, syntax="web")
    assert sorted(hits) == ["Any red shoes?", "red shoes!"]
    excluded = found(way, "red -shoes", session_id=session, syntax="web")
    assert excluded == ["red"]


def test_the_best_hits_are_found_behind_many_that_are_not_allowed(way: Way, user: str) -> None:
    session = f"{user} many"
    texts = [f"blue {'hat' if n % 50 else 'green hat'} {n}" for n in range(300)]
    append_text(way, session, *texts, user_id=user)
    asked: dict[str, Any] = {"session_id": session, "syntax": "web", "context": False}
    wanted = [text for text in texts if "green" in text]
    phrase = found(way, '"green hat" blue', limit=10, **asked)
    assert sorted(phrase) == sorted(wanted)
    assert found(way, '"green hat" blue', limit=3, offset=2, **asked) == phrase[2:5]
    others = found(way, "hat -green", limit=1000, **asked)
    assert sorted(others) == sorted(set(texts) - set(wanted))
    assert found(way, "hat -green", limit=7, **asked) == others[:7]
    assert found(way, 'hat -"green hat"', limit=1000, **asked) == others
    assert found(way, "hat -gree*", limit=1000, **asked) == others
    assert found(way, '"hat blue"', **asked) == []


def test_words_with_a_beginning_are_marked(way: Way, user: str) -> None:
    [hit] = search(way, "hik* norw*", user_id=user, syntax="web", limit=1, explain=True)
    assert marked(hit) == ["hiking", "Norway"]
    assert {part["word"] for part in hit["explanation"]["words"]} == {"hik*", "norw*"}


def test_a_phrase_may_have_a_zero_width_non_joiner(way: Way, user: str) -> None:
    text = "من می\u200cروم خانه"
    add_messages(way, f"{user} other", text)
    for query in ('"من می\u200cروم"', '"من میروم"', '"می روم"'):
        assert found(way, query, user_id=f"{user} other", syntax="web") == [text]


@pytest.mark.parametrize("syntax", ["google", "", 5, ["web"]])
def test_an_unknown_syntax_is_rejected(way: Way, syntax: Any) -> None:
    body = {"query": "shoes", "syntax": syntax}
    assert error_of(way.request("POST", SEARCH, json=body)) == invalid("syntax")
