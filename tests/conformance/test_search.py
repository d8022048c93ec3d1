"""Full-text search. The quality of the ranking is measured in tests/recall."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SEARCH,
    SESSION,
    SESSIONS,
    USER,
    add_user,
    append,
    append_text,
    delete,
    error_of,
    get_messages,
    invalid,
    open_session,
    raw,
    search,
)
from tests.ways import Way

_NUMBERS = count(1)
ROLES = ["norole", "system", "developer", "assistant", "user", "function", "tool"]
_APART = 4
"""Messages of one session that are at least so far apart are not neighbours."""


@pytest.fixture
def rare() -> str:
    """A word that no other test uses, for searches in the whole project."""
    return f"zyx{next(_NUMBERS)}q"


@pytest.fixture
def user(way: Way, fresh: str) -> str:
    """The id of a new user."""
    add_user(way, fresh)
    return fresh


def add_messages(way: Way, user_id: str, *contents: str, **fields: Any) -> list[Any]:
    """Add each message in its own session, so that none is a neighbour of another."""
    return [
        add_message(way, user_id, {"content": content, **fields}, number)
        for number, content in enumerate(contents, 1)
    ]


def add_message(way: Way, user_id: str, message: dict[str, Any], number: int) -> Any:
    """Append a message to the session of the user with this number."""
    body = {"messages": [{"role": "norole", **message}], "user_id": user_id}
    appended = way.request("POST", MESSAGES, f"{user_id} {number}", json=body)
    assert appended.status == 201, appended
    return appended.json["messages"][0]


def found(way: Way, query: str | None = None, **asked: Any) -> list[str]:
    """Return the contents of the hits, best first."""
    return [hit["message"]["content"] for hit in search(way, query, **asked)]


def marked(hit: Any) -> list[str]:
    """Return the marked words of a snippet."""
    text = hit["snippet"]["text"]
    return [text[mark["start"] : mark["end"]] for mark in hit["snippet"]["marks"]]


# Matches.


def test_a_message_is_found_as_it_is_stored(way: Way, user: str) -> None:
    message = {
        "name": "Jane",
        "role": "user",
        "content": "I bought red shoes",
        "metadata": {"topic": "shoes"},
        "data": [1, None],
        "token_count": 4,
        "created_at": "2020-02-29T12:00:00.123456Z",
    }
    [hit] = [add_message(way, user, message, 1)] and search(way, "shoes", user_id=user)
    [stored] = get_messages(way, f"{user} 1")
    assert hit["message"] == {**stored, "session_id": f"{user} 1"}
    assert hit["score"] > 0
    assert hit["snippet"] == {"text": "I bought red shoes", "marks": [{"start": 13, "end": 18}]}
    assert hit["explanation"] is None


def test_an_appended_message_is_found_immediately(way: Way, user: str) -> None:
    for number in range(20):
        add_message(way, user, {"content": f"number n{number}"}, number)
        assert found(way, f"n{number}", user_id=user) == [f"number n{number}"]


FOUND_BY = {
    "I bought red shoes": ["shoe", "SHOES", "shoes?", "what shoes", "a red-shoe dance"],
    "We are hiking in Norway": ["hike", "hiked", "norway's"],
    "Ein Café in Zürich": ["cafe", "CAFÉ", "zurich", "Zu\u0308rich"],
    "naïve coöperation": ["naive", "cooperation"],
    "\uff26\uff35\uff2c\uff2c wide": ["full"],
    "\U0001d401\U0001d428\U0001d425\U0001d41d letters": ["bold"],
    "Ещё один дом": ["еще", "ДОМ"],
    "η Αθήνα το καλοκαίρι": ["αθηνα", "ΚΑΛΟΚΑΊΡΙ"],
    "ذهبت إلى مَدرسة": ["مدرسة"],
    "हिन्दी में बोलो": ["हिन्दी"],
    "昨日京都に行きました": ["京都", "京都に", "行き", "都"],
    "我喜欢吃北京烤鸭": ["烤鸭", "北京", "我喜欢"],
    "어제 서울에서 만났어요": ["서울", "서울에서"],
    "ฉันชอบอาหารไทย": ["อาหาร", "ไทย"],
    "Friday is 🍕 day": ["🍕", "🍕🍕🍕"],
    "version 3.14 of app_name": ["3.14", "app_name", "name", "app-name"],
}


FOUND_BY |= {
    "soft\u00adhyphe\u00adnated": ["softhyphenated", "soft\u00adhyphenated"],
    "\ufeffmarked at the start": ["marked", "\ufeffmarked"],
    "glue\u2060words \u202aturned\u202c": ["gluewords", "turned", "\u2066turned\u2069"],
    "zero\u200bwidth": ["zero", "width", "zero\u200bwidth"],
    "می\u200cروم": ["می\u200cروم", "میروم", "روم"],
    "مـــرحبا": ["مرحبا", "مرحـبا"],
    "葛\U000e0100城市": ["葛城", "葛\U000e0100城"],
    "Łódź and Tromsø": ["lodz", "TROMSO", "łódź"],
    "œuvre Ærø Đakovo": ["oeuvre", "aero", "dakovo", "ŒUVRE"],
    "key 7\ufe0f\u20e3": ["7", "7\ufe0f\u20e3"],
    "क्\u200dष": ["क्ष"],
}


def test_words_are_found_in_any_form_and_script(way: Way, user: str) -> None:
    add_messages(way, user, *FOUND_BY)
    for content, queries in FOUND_BY.items():
        for query in queries:
            assert found(way, query, user_id=user) == [content], query


ANY_TEXTS = [
    "what's up?",
    "a-b",
    "c:d",
    "AND",
    "OR",
    "NOT",
    "NEAR(",
    "NEAR(sailing harbour, 5)",
    '"',
    '""',
    '"sailing',
    "'",
    "''",
    "*",
    "sail*",
    "^sailing",
    "{words}: x",
    "words : sailing",
    "(",
    ")",
    "((",
    "sailing & harbour | !x <-> y:*",
    "\\",
    "\\'",
    "%",
    "_",
    "$1 %s %(query)s :query ?",
    "#1",
    "@sailing",
    "'; DROP TABLE messages; --",
    "\t\n\r",
    "\u200b\u200d\ufe0f",
    "\u202eabc",
    "\x01\x1f\x7f",
    "👩‍👩‍👧‍👦",
    "null",
    "",
    " ",
]


def test_a_query_can_be_any_text(way: Way, user: str) -> None:
    add_messages(way, user, "Sailing in the harbour", "Other things")
    for text in ANY_TEXTS:
        search(way, text, user_id=user)
        combined = found(way, f"{text} sailing {text}", user_id=user)
        assert combined[0] == "Sailing in the harbour", text


def test_messages_with_any_text_are_found(way: Way, user: str) -> None:
    add_messages(way, user, *(f"{text} sailing {text}" for text in ANY_TEXTS))
    assert len(found(way, "sailing", user_id=user, limit=1000)) == len(ANY_TEXTS)


@pytest.mark.parametrize("query", ["?!…", '"', "( * )", "\u200b"])
def test_a_query_without_a_word_finds_nothing(way: Way, user: str, query: str) -> None:
    add_messages(way, user, "Is it so?!…", '"', "( * )")
    assert found(way, query, user_id=user) == []


@pytest.mark.parametrize("query", ["", " ", "\t\n", "\u00a0\u3000"])
def test_a_blank_query_finds_the_newest_messages(way: Way, user: str, query: str) -> None:
    add_messages(way, user, "first", "second")
    assert found(way, query, user_id=user) == ["second", "first"]
    assert found(way, query, user_id=user, syntax="web") == ["second", "first"]


def test_stop_words_are_searched_for_if_there_are_no_other_words(way: Way, user: str) -> None:
    add_messages(way, user, "To be or not to be", "The shoes", "Nothing")
    assert found(way, "to be or not to be", user_id=user) == ["To be or not to be"]
    assert found(way, "or the shoes", user_id=user) == ["The shoes"]


def test_long_words_with_the_same_beginning_are_different(way: Way, user: str) -> None:
    words = [f"{'x' * 64}{end}" for end in ("", "a", "b", "é")] + ["é" * 300, "é" * 301]
    add_messages(way, user, *words)
    for word in words:
        assert found(way, word, user_id=user) == [word]
    assert found(way, words[2].upper(), user_id=user) == [words[2]]


def test_a_message_with_any_of_the_words_is_found(way: Way, user: str) -> None:
    add_messages(way, user, "I like red", "I like blue")
    assert set(found(way, "red blue green", user_id=user)) == {"I like red", "I like blue"}


@pytest.mark.parametrize("unit", ["a", "shoes ", "京", "🍕", "é", '"'])
def test_a_query_can_have_up_to_10_000_characters(way: Way, user: str, unit: str) -> None:
    query = (unit * 10_000)[:10_000]
    search(way, query, user_id=user)
    rejected = way.request("POST", SEARCH, json={"query": f"{query}x", "user_id": user})
    assert error_of(rejected) == invalid("query")


def test_a_query_can_have_many_different_words(way: Way, user: str) -> None:
    add_messages(way, user, "number w999", "number w5")
    query = " ".join(f"w{number}" for number in range(1500))
    assert set(found(way, query, user_id=user)) == {"number w999", "number w5"}


def test_only_the_first_256_kib_of_a_message_are_indexed(way: Way, user: str) -> None:
    near, far = "x " * 1000, "x " * 200_000
    add_messages(way, user, f"early {near}", f"{far} late")
    assert len(found(way, "early", user_id=user)) == 1
    assert found(way, "late", user_id=user) == []


def test_the_longest_messages_are_found(way: Way, user: str) -> None:
    add_messages(way, user, "shoe " * 200_000, "京都に" * 100_000)
    assert len(found(way, "shoe hat", user_id=user)) == 1
    assert len(found(way, "京都 東京", user_id=user)) == 1


# Ranking.


def test_messages_with_more_and_rarer_words_rank_higher(way: Way, user: str) -> None:
    both, rarer, common = "A red bicycle", "The bicycle", "The red one"
    add_messages(way, user, common, rarer, both, "Red wine", "Red roses", "Red ink")
    hits = search(way, "red bicycle", user_id=user)
    assert [hit["message"]["content"] for hit in hits][:2] == [both, rarer]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len(hits) == 6


def test_a_short_message_ranks_higher_than_a_long_one(way: Way, user: str) -> None:
    add_messages(way, user, f"bicycle {'and so on ' * 100}", "bicycle it is")
    assert found(way, "bicycle", user_id=user)[0] == "bicycle it is"


def test_the_newest_of_equal_messages_ranks_first(way: Way, user: str) -> None:
    for number, year in enumerate((2021, 2023, 2022), 1):
        message = {"content": f"shoes {year}", "created_at": f"{year}-01-01T00:00:00Z"}
        add_message(way, user, message, number)
    assert found(way, "shoes", user_id=user) == ["shoes 2023", "shoes 2022", "shoes 2021"]


def test_neighbours_of_a_match_are_found_too(way: Way, user: str) -> None:
    texts = ["far", "three", "two", "one", "Do you have pets?", "one", "two", "three", "far"]
    append_text(way, f"{user} 1", *texts, user_id=user)
    hits = search(way, "pets", user_id=user)
    best = hits[0]["score"]
    shares = [
        (hit["message"]["content"], hit["message"]["seq"], round(hit["score"] / best, 6))
        for hit in hits
    ]
    assert shares == [
        ("Do you have pets?", 5, 1.0),
        ("one", 6, 0.4),
        ("one", 4, 0.4),
        ("two", 7, 0.3),
        ("two", 3, 0.3),
        ("three", 8, 0.2),
        ("three", 2, 0.2),
    ]
    assert marked(hits[1]) == []


def test_no_message_of_another_session_is_a_neighbour(way: Way, user: str) -> None:
    add_messages(way, user, "Do you have pets?", "Yes")
    assert found(way, "pets", user_id=user) == ["Do you have pets?"]


def test_without_a_query_the_newest_messages_are_first(way: Way, user: str) -> None:
    for number, year in enumerate((2021, 2023, 2022), 1):
        message = {"content": str(year), "created_at": f"{year}-01-01T00:00:00Z"}
        add_message(way, user, message, number)
    hits = search(way, user_id=user, explain=True)
    assert [hit["message"]["content"] for hit in hits] == ["2023", "2022", "2021"]
    assert {hit["score"] for hit in hits} == {0}
    assert hits[0]["snippet"] == {"text": "2023", "marks": []}
    assert hits[0]["explanation"]["words"] == []
    assert found(way, user_id=user, limit=2) == ["2023", "2022"]


@pytest.mark.parametrize(
    ("query", "syntax", "words"),
    [
        ("Red shoes, red!", "plain", ["Red", "shoes"]),
        ("red -shoes hik*", "web", ["hik*", "red"]),
        ("?! …", "plain", []),
        ("-shoes", "web", []),
        ('-"red shoes"', "web", []),
    ],
)
def test_an_explanation_has_the_words_that_are_left_of_the_query(
    way: Way, user: str, query: str, syntax: str, words: list[str]
) -> None:
    add_messages(way, user, "red shoes")
    asked = {"user_id": user, "query": query, "syntax": syntax}
    assert "query" not in way.request("POST", SEARCH, json=asked).json
    explained = way.request("POST", SEARCH, json=asked | {"explain": True}).json
    assert sorted(explained["query"]["words"]) == sorted(words)
    assert (explained["query"]["note"] is None) == bool(words)
    if not words:
        assert explained["items"] == []
        assert "No word is left" in explained["query"]["note"]


def test_without_a_query_there_are_no_words_to_explain(way: Way, user: str) -> None:
    add_messages(way, user, "red shoes")
    for query in (None, "", " "):
        asked = {"user_id": user, "query": query, "explain": True}
        explained = way.request("POST", SEARCH, json=asked).json
        assert explained["query"] is None
        assert len(explained["items"]) == 1


def test_the_default_limit_is_10(way: Way, user: str) -> None:
    append_text(way, f"{user} 1", *["shoes"] * 30, user_id=user)
    for query in ("shoes", None):
        assert len(found(way, query, user_id=user)) == 10
        for limit in (1, 29, 30, 1000):
            assert len(found(way, query, user_id=user, limit=limit)) == min(limit, 30)


def test_a_smaller_limit_returns_the_first_hits_of_a_larger_one(way: Way, user: str) -> None:
    colours = ("red", "blue", "green")
    texts = [f"{colours[n % 3]} {colours[n % 2]} {n % 7}" for n in range(200)]
    append_text(way, f"{user} 1", *texts, user_id=user)
    everything = search(way, "blue green 5", user_id=user, limit=1000)
    for limit in (1, 7, 50, 120):
        assert search(way, "blue green 5", user_id=user, limit=limit) == everything[:limit]


# Pages, context and scores.


def test_an_offset_leaves_out_the_first_hits(way: Way, user: str) -> None:
    texts = [f"{('red', 'blue')[n % 2]} shoes {n}" for n in range(60)]
    append_text(way, f"{user} 1", *texts, user_id=user)
    for query in ("red shoes", None):
        everything = search(way, query, user_id=user, limit=60)
        assert len(everything) == 60
        for offset, limit in ((0, 7), (7, 7), (50, 10), (55, 10), (60, 10), (990, 10)):
            some = search(way, query, user_id=user, offset=offset, limit=limit)
            assert some == everything[offset : offset + limit]


@pytest.mark.parametrize(("offset", "limit"), [(991, 10), (1000, 1), (1, 1000)])
def test_an_offset_and_a_limit_have_a_common_bound(way: Way, offset: int, limit: int) -> None:
    body = {"query": "shoes", "offset": offset, "limit": limit}
    assert error_of(way.request("POST", SEARCH, json=body)) == invalid("offset", "limit")


def test_hits_below_the_lowest_score_are_left_out(way: Way, user: str) -> None:
    append_text(way, f"{user} 1", "Do you have pets?", "Yes", "Two", "Dogs", user_id=user)
    everything = search(way, "pets", user_id=user)
    assert len(everything) == 4
    for number, hit in enumerate(everything, 1):
        least = hit["score"]
        assert search(way, "pets", user_id=user, min_score=least) == everything[:number]
    assert search(way, "pets", user_id=user, min_score=1000) == []
    assert search(way, user_id=user, min_score=0.1) == []
    assert len(search(way, user_id=user, min_score=0)) == 4


def test_without_context_each_hit_has_a_word(way: Way, user: str) -> None:
    texts = ["one", "Do you have pets?", "Yes", "A dog", "one"]
    append_text(way, f"{user} 1", *texts, user_id=user)
    with_context = search(way, "pets dog", user_id=user, explain=True)
    assert len(with_context) == 5
    without = search(way, "pets dog", user_id=user, explain=True, context=False)
    assert {hit["message"]["content"] for hit in without} == {"Do you have pets?", "A dog"}
    assert without == [hit for hit in with_context if hit in without]
    assert len(search(way, user_id=user, context=False)) == 5


def test_a_message_without_words_is_no_hit_for_its_neighbours(way: Way, user: str) -> None:
    contents = ("Do you have pets?", "", " ?! ", "Yes")
    new = [{"role": "user", "content": content, "data": 1} for content in contents]
    body = {"messages": new, "user_id": user}
    assert way.request("POST", MESSAGES, f"{user} 1", json=body).status == 201
    assert found(way, "pets", user_id=user) == ["Do you have pets?", "Yes"]
    assert found(way, user_id=user) == ["Yes", " ?! ", "", "Do you have pets?"]


def test_each_hit_has_its_session_if_it_is_included(way: Way, user: str) -> None:
    add_messages(way, user, "red shoes", "blue shoes")
    open_session(way, f"{user} unowned", title="Shoes")
    append(way, f"{user} unowned", {"role": "user", "content": "shoes"})
    for query in ("shoes", None):
        hits = search(way, query, user_id=user, include=["session"])
        sessions = {hit["message"]["session_id"]: hit["session"] for hit in hits}
        assert sessions == {
            session_id: {"session_id": session_id, "title": None, "user_id": user}
            for session_id in (f"{user} 1", f"{user} 2")
        }
        unowned = {"session_id": f"{user} unowned", "include": ["session"]}
        [hit] = search(way, query, **unowned)
        expected = {"session_id": f"{user} unowned", "title": "Shoes", "user_id": None}
        assert hit["session"] == expected
        assert {hit["session"] for hit in search(way, query, user_id=user)} == {None}
        assert {hit["session"] for hit in search(way, query, user_id=user, include=[])} == {None}
    assert search(way, "bicycle", user_id=user, include=["session"]) == []


# Scope.


def test_a_search_can_be_limited_to_a_user_or_a_session(way: Way, fresh: str, rare: str) -> None:
    one, other, unowned = f"{fresh} one", f"{fresh} other", f"{fresh} unowned"
    add_messages(way, one, f"{rare} 1", f"{rare} 2")
    add_messages(way, other, f"{rare} 3")
    open_session(way, unowned)
    append(way, unowned, {"content": f"{rare} 4"})
    for query in (rare, None):
        assert set(found(way, query, user_id=one)) == {f"{rare} 1", f"{rare} 2"}
        assert found(way, query, user_id=other) == [f"{rare} 3"]
        assert found(way, query, session_id=f"{one} 1") == [f"{rare} 1"]
        assert found(way, query, session_id=unowned) == [f"{rare} 4"]
    assert set(found(way, rare)) == {f"{rare} {number}" for number in (1, 2, 3, 4)}


def test_the_newest_messages_of_the_project_can_be_searched(way: Way, fresh: str) -> None:
    add_messages(way, fresh, "the newest", created_at="9999-01-01T00:00:00Z")
    # Other tests have added messages up to the end of the year 9999.
    assert found(way, limit=1, created_before="9999-02-01T00:00:00Z") == ["the newest"]
    delete(way, USER, fresh)


@pytest.mark.parametrize("query", ["shoes", None])
def test_a_session_of_another_user_is_not_found(way: Way, user: str, query: str | None) -> None:
    add_messages(way, user, "shoes")
    add_messages(way, f"{user} other", "shoes")
    open_session(way, f"{user} unowned")
    assert found(way, query, user_id=user, session_id=f"{user} 1") == ["shoes"]
    body = {"query": query, "session_id": f"{user} 1"}
    for other in (f"{user} other", f"{user} unknown"):
        rejected = way.request("POST", SEARCH, json={**body, "user_id": other})
        assert error_of(rejected) == NOT_FOUND
    body = {"query": query, "session_id": f"{user} unowned", "user_id": user}
    assert error_of(way.request("POST", SEARCH, json=body)) == NOT_FOUND


@pytest.mark.parametrize("query", ["shoes", None])
@pytest.mark.parametrize("name", ["user_id", "session_id"])
def test_an_unknown_user_or_session_is_not_found(
    way: Way, fresh: str, name: str, query: str | None
) -> None:
    for unknown in (fresh, "", "x" * 600, "ü ' \" %"):
        rejected = way.request("POST", SEARCH, json={"query": query, name: unknown})
        assert error_of(rejected) == NOT_FOUND


def test_a_user_or_session_without_messages_has_no_hits(way: Way, user: str) -> None:
    open_session(way, f"{user} 1", user_id=user)
    for query in ("shoes", None):
        assert found(way, query, user_id=user) == []
        assert found(way, query, session_id=f"{user} 1") == []


def test_messages_of_a_session_are_found_for_an_owner_set_later(way: Way, user: str) -> None:
    session = f"{user} unowned"
    open_session(way, session)
    append(way, session, {"content": "My shoes", "name": "Melanie"}, {"content": "Are red"})
    assert found(way, "shoes", user_id=user) == []
    assert found(way, "shoes", session_id=session) == ["My shoes", "Are red"]
    owned = way.request("PATCH", SESSION, session, json={"user_id": user})
    assert owned.status == 200
    for where in ({"user_id": user}, {"session_id": session}):
        assert found(way, "shoes", **where) == ["My shoes", "Are red"]
        assert found(way, **where) == ["Are red", "My shoes"]
    append(way, session, *[{"content": "."}] * _APART, {"content": "My hat"})
    assert found(way, "hat", user_id=user, limit=1) == ["My hat"]
    [hit] = search(way, "what shoes has melanie", user_id=user, limit=1, explain=True)
    assert hit["explanation"]["participant"] == "Melanie"


def test_the_rarity_of_a_word_depends_on_what_is_searched(way: Way, fresh: str) -> None:
    # For one of them shoes are rare and hats common; for the other it is the reverse.
    for name, common, rarer in (("one", "hat", "shoe"), ("other", "shoe", "hat")):
        add_messages(way, f"{fresh} {name}", *[f"a {common}"] * 9, f"a {rarer}")
        assert found(way, "hat shoe", user_id=f"{fresh} {name}", limit=1) == [f"a {rarer}"]


# Edited and deleted messages.


def test_an_edited_message_is_found_by_its_current_content(way: Way, user: str) -> None:
    [message] = add_messages(way, user, "red shoes")
    change = {"content": "blue hats"}
    for _ in range(2):
        edited = way.request("PATCH", MESSAGE, f"{user} 1", message["id"], json=change)
        assert edited.status == 200
        assert found(way, "shoes", user_id=user) == []
        assert found(way, "hats", user_id=user) == ["blue hats"]
        assert found(way, "hats", session_id=f"{user} 1") == ["blue hats"]


def test_an_edited_name_changes_the_participant(way: Way, user: str) -> None:
    first = {"content": "I bought shoes", "name": "Melanie"}
    message = add_message(way, user, first, 1)
    add_message(way, user, {"content": "Other shoes", "name": "Bob"}, 2)
    assert found(way, "melanie shoes", user_id=user)[0] == "I bought shoes"
    change = {"name": "Caroline"}
    way.request("PATCH", MESSAGE, f"{user} 1", message["id"], json=change)
    for name, participant in (("Caroline", "Caroline"), ("Melanie", None)):
        hits = search(way, f"{name} shoes", user_id=user, explain=True)
        [hit] = [each for each in hits if each["message"]["id"] == message["id"]]
        assert hit["explanation"]["participant"] == participant, name
    assert found(way, "melanie", user_id=user) == []


def test_a_deleted_message_is_not_found(way: Way, user: str) -> None:
    [message, _kept] = add_messages(way, user, "red shoes", "blue shoes")
    delete(way, MESSAGE, f"{user} 1", message["id"])
    assert found(way, "shoes", user_id=user) == ["blue shoes"]
    assert found(way, user_id=user) == ["blue shoes"]
    assert found(way, "shoes", session_id=f"{user} 1") == []


def test_neighbours_of_a_deleted_message_are_not_found(way: Way, user: str) -> None:
    messages = ({"content": "Do you have pets?"}, {"content": "Yes"})
    open_session(way, f"{user} 1", user_id=user)
    [question, _answer] = append(way, f"{user} 1", *messages)
    assert len(found(way, "pets", user_id=user)) == 2
    delete(way, MESSAGE, f"{user} 1", question["id"])
    assert found(way, "pets", user_id=user) == []


def test_nothing_of_a_deleted_session_is_found(way: Way, user: str, rare: str) -> None:
    add_messages(way, user, f"{rare} gone", f"{rare} kept")
    delete(way, SESSION, f"{user} 1")
    assert found(way, rare, user_id=user) == [f"{rare} kept"]
    assert found(way, rare) == [f"{rare} kept"]
    assert found(way, user_id=user) == [f"{rare} kept"]
    rejected = way.request("POST", SEARCH, json={"query": rare, "session_id": f"{user} 1"})
    assert error_of(rejected) == NOT_FOUND


def test_nothing_of_a_deleted_user_is_found(way: Way, user: str, rare: str) -> None:
    add_messages(way, user, f"{rare} 1", f"{rare} 2")
    delete(way, USER, user)
    assert found(way, rare) == []
    rejected = way.request("POST", SEARCH, json={"query": rare, "user_id": user})
    assert error_of(rejected) == NOT_FOUND


def test_reused_ids_inherit_nothing(way: Way, user: str, rare: str) -> None:
    add_message(way, user, {"content": f"{rare} old shoes", "name": "Melanie"}, 1)
    delete(way, USER, user)
    add_user(way, user)
    open_session(way, f"{user} 1", user_id=user)
    append(way, f"{user} 1", {"content": f"{rare} new"})
    for where in ({"user_id": user}, {"session_id": f"{user} 1"}):
        assert found(way, f"{rare} shoes", **where) == [f"{rare} new"]
    assert found(way, rare) == [f"{rare} new"]
    [hit] = search(way, f"melanie {rare}", user_id=user, explain=True)
    assert hit["explanation"]["participant"] is None
    words = {part["word"] for part in hit["explanation"]["words"]}
    assert words == {rare}


# Filters and weights.


def test_roles_limit_the_hits(way: Way, user: str) -> None:
    for number, role in enumerate(ROLES):
        message = {"content": f"shoes {role}", "role": role}
        add_message(way, user, message, number)
    for query in ("shoes", None):
        for role in ROLES:
            wanted = [f"shoes {role}"]
            assert found(way, query, user_id=user, roles=[role]) == wanted
        both = found(way, query, user_id=user, roles=["user", "tool", "user"])
        assert set(both) == {"shoes user", "shoes tool"}


def test_messages_of_users_weigh_more_by_default(way: Way, user: str) -> None:
    for number, role in enumerate(("user", "assistant"), 1):
        message = {"content": f"{role} shoes", "name": role, "role": role}
        add_message(way, user, message, number)

    def scores(**asked: Any) -> dict[str, float]:
        hits = search(way, "shoes", user_id=user, **asked)
        return {hit["message"]["role"]: hit["score"] for hit in hits}

    usual = scores()
    assert usual["user"] / usual["assistant"] == pytest.approx(1.5)
    given = scores(role_weights={"assistant": 4, "user": 0.5})
    assert given["assistant"] / given["user"] == pytest.approx(8)
    assert scores(role_weights={"assistant": 0})["assistant"] == 0
    assert found(way, "shoes", user_id=user, role_weights={"assistant": 4})[0] == "assistant shoes"


def test_a_weight_can_raise_a_message_that_ranks_low_by_words(way: Way, user: str) -> None:
    messages = [{"content": "shoes shoes", "role": "assistant"}] * 300
    last = {"content": f"shoes {'and so on ' * 50}", "role": "tool"}
    open_session(way, f"{user} 1", user_id=user)
    append(way, f"{user} 1", *messages, last)
    asked = {"user_id": user, "limit": 1, "role_weights": {"tool": 100}}
    assert found(way, "shoes", **asked) == [last["content"]]


def test_times_limit_the_hits(way: Way, user: str) -> None:
    for number, year in enumerate((2021, 2022, 2023)):
        message = {"content": f"shoes {year}", "created_at": f"{year}-01-01T00:00:00Z"}
        add_message(way, user, message, number)
    start, middle, end = (f"{year}-01-01T00:00:00Z" for year in (2021, 2022, 2023))
    for query in ("shoes", None):
        asked = {"user_id": user, "query": query}
        assert found(way, created_after=middle, **asked) == ["shoes 2023"]
        assert found(way, created_before=middle, **asked) == ["shoes 2021"]
        assert found(way, created_after=start, created_before=end, **asked) == ["shoes 2022"]
        assert found(way, created_after=end, created_before=start, **asked) == []
        just_before = "2021-12-31T23:59:59.999999"
        assert "shoes 2022" in found(way, created_after=just_before, **asked)
        elsewhere = "2022-01-01T02:00:00.000001+02:00"
        assert "shoes 2022" in found(way, created_before=elsewhere, **asked)


def test_a_metadata_filter_limits_the_hits(way: Way, user: str) -> None:
    for number, topic in enumerate(("shoes", "boots", None), 1):
        metadata = {"topic": topic} if topic else None
        add_message(way, user, {"content": f"shoes {number}", "metadata": metadata}, number)
    of_topic = {"field": "metadata.topic", "op": "eq", "value": "boots"}
    for query in ("shoes", None):
        asked = {"user_id": user, "query": query}
        assert found(way, filter=of_topic, **asked) == ["shoes 2"]
        assert sorted(found(way, filter={"not": of_topic}, **asked)) == ["shoes 1", "shoes 3"]
        there = {"field": "metadata.topic", "op": "exists"}
        assert sorted(found(way, filter=there, **asked)) == ["shoes 1", "shoes 2"]


# Participants and dates in queries.


def add_turns(way: Way, user: str, *turns: tuple[str, str], role: str = "norole") -> None:
    """Add messages of participants, each in its own session."""
    for number, (name, content) in enumerate(turns):
        message = {"name": name, "content": content, "role": role}
        add_message(way, user, message, number)


def test_messages_of_a_named_participant_rank_higher(way: Way, user: str) -> None:
    add_turns(way, user, ("Melanie", "I adopted a dog"), ("Caroline", "I adopted a cat"))
    for name, first in (("Caroline", "I adopted a cat"), ("melanie's", "I adopted a dog")):
        hits = search(way, f"What has {name} adopted?", user_id=user, explain=True)
        assert hits[0]["message"]["content"] == first
        assert hits[0]["score"] / hits[1]["score"] == pytest.approx(2)
        participants = [hit["explanation"]["participant"] for hit in hits]
        assert participants == [hits[0]["message"]["name"], None]


def test_all_named_participants_rank_higher(way: Way, user: str) -> None:
    texts = ("I adopted a dog", "I adopted a cat", "I adopted a fish")
    add_turns(way, user, *zip(("Melanie", "Caroline", "Bob"), texts, strict=True))
    query = "What have Melanie and Caroline adopted?"
    hits = search(way, query, user_id=user, explain=True)
    participants = [hit["explanation"]["participant"] for hit in hits]
    assert sorted(participants[:2]) == ["Caroline", "Melanie"]
    assert participants[2:] == [None]
    assert hits[0]["score"] == hits[1]["score"] == pytest.approx(2 * hits[2]["score"])


def test_a_participants_name_is_a_word_like_any_other(way: Way, user: str) -> None:
    add_turns(way, user, ("Melanie", "A dog"), ("Caroline", "Melanie is nice"))
    assert set(found(way, "melanie dog", user_id=user)) == {"A dog", "Melanie is nice"}
    assert found(way, "Melanie?", user_id=user) == ["Melanie is nice"]
    assert found(way, "Caroline?", user_id=user) == []


@pytest.mark.parametrize(
    ("name", "query", "content"),
    [
        ("Bill", "my electricity bill", "The bill for electricity came"),
        ("refund", "a refund", "When do I get the refund?"),
        ("Customer Support", "support", "The support was helpful"),
    ],
)
def test_a_participants_name_hides_no_message(
    way: Way, user: str, name: str, query: str, content: str
) -> None:
    add_turns(way, user, (name, "Hello"), ("Jane", content))
    assert found(way, query, user_id=user) == [content]
    [hit] = search(way, query, user_id=user, explain=True)
    assert query.rsplit(maxsplit=1)[-1] in {part["word"] for part in hit["explanation"]["words"]}


def test_a_name_of_one_user_changes_no_hit_of_another(way: Way, fresh: str, rare: str) -> None:
    query = f"{rare} x{rare}"
    add_messages(way, f"{fresh} one", f"{rare} x{rare}", f"a {rare}", name="Jane")
    before = search(way, query, explain=True)
    for number, name in enumerate((rare, query, f"x{rare}")):
        add_message(way, f"{fresh} other", {"name": name, "content": "", "data": 1}, number)
    after = search(way, query, explain=True)
    assert [hit["message"] for hit in after] == [hit["message"] for hit in before]
    for hits in (before, after):
        assert [hit["explanation"]["participant"] for hit in hits] == [None, None]
        assert [len(hit["explanation"]["words"]) for hit in hits] == [2, 1]


def test_a_name_that_is_no_participant_is_an_ordinary_word(way: Way, user: str) -> None:
    add_turns(way, user, ("Melanie", "Oscar has a dog"), ("Caroline", "A dog"))
    assert found(way, "Oscar dog", user_id=user)[0] == "Oscar has a dog"
    assert found(way, "Oscar", user_id=user) == ["Oscar has a dog"]


@pytest.mark.parametrize("name", ["user", "Human", "assistant", "Customer", "bot"])
def test_a_generic_name_names_no_participant(way: Way, user: str, name: str) -> None:
    add_turns(way, user, (name, "My shoes"), ("Melanie", f"A {name} has shoes"))
    hits = search(way, f"{name} shoes", user_id=user, explain=True)
    assert hits[0]["message"]["name"] == "Melanie"
    assert {hit["explanation"]["participant"] for hit in hits} == {None}


def test_a_participant_is_found_by_any_words_of_the_name(way: Way, user: str) -> None:
    add_turns(way, user, ("Anna Lena Groß", "my shoes"), ("Bob", "my shoes"), role="user")
    for name in ("Anna", "lena", "GROSS", "Anna Lena"):
        [first, *_] = search(way, f"{name} shoes", user_id=user, explain=True)
        assert first["explanation"]["participant"] == "Anna Lena Groß", name


def test_only_participants_of_the_searched_messages_are_names(way: Way, fresh: str) -> None:
    add_turns(way, f"{fresh} one", ("Melanie", "A dog"))
    add_messages(way, f"{fresh} other", "Melanie has a dog", "A dog")
    assert found(way, "melanie", user_id=f"{fresh} other") == ["Melanie has a dog"]
    [first, *_] = search(way, "melanie dog", user_id=f"{fresh} other", explain=True)
    assert first["explanation"]["participant"] is None
    assert {part["word"] for part in first["explanation"]["words"]} == {"melanie", "dog"}


def add_at_times(way: Way, user: str, *times: str) -> None:
    """Add a message about shoes at each of the times."""
    for number, time in enumerate(times):
        message = {"content": "shoes", "created_at": time}
        add_message(way, user, message, number)


def days_of_date(way: Way, user: str, query: str) -> set[str]:
    """Return the days of the messages that the date in a query refers to."""
    hits = search(way, query, user_id=user, explain=True, limit=100)
    return {
        hit["message"]["created_at"][:10] for hit in hits if hit["explanation"]["date"] is not None
    }


MONTHS = {
    "shoes in May 2023": {"2023-05-01", "2023-05-31"},
    "shoes in 2023-05": {"2023-05-01", "2023-05-31"},
    "shoes in October": {"2022-10-10"},
    "shoes in oct. 2022": {"2022-10-10"},
    "shoes on 2023-06-01": {"2023-05-31", "2023-06-15"},
    "shoes on 1 June 2023": {"2023-05-31", "2023-06-15"},
    "shoes on June 1st, 2023": {"2023-05-31", "2023-06-15"},
    "shoes on the 1st of june": {"2023-05-31", "2023-06-15"},
    "shoes on 2 June 2023": {"2023-06-15", "2023-06-16"},
    "shoes on 28 December": {"2022-12-31", "2023-01-11"},
    "shoes, may I?": set(),
    "march in shoes": set(),
    "shoes on 2023-02-30": set(),
    "shoes on 31 June 2023": set(),
    "shoes in 2023-13": set(),
    "shoes in 2023": set(),
    "shoes in May 0000": set(),
    "shoes in May 99999": set(),
}


def test_a_month_or_a_day_in_a_query_refers_to_messages_of_that_time(way: Way, user: str) -> None:
    days = (
        "2022-10-10",
        "2022-12-31",
        "2023-01-11",
        "2023-03-03",
        "2023-05-01",
        "2023-05-31",
        "2023-06-15",
        "2023-06-16",
    )
    add_at_times(way, user, *(f"{day}T12:00:00Z" for day in days))
    for query, meant in MONTHS.items():
        assert days_of_date(way, user, query) == meant, query


def test_messages_of_the_date_in_a_query_rank_higher(way: Way, user: str) -> None:
    add_at_times(way, user, "2023-05-05T00:00:00Z", "2024-05-05T00:00:00Z")
    hits = search(way, "shoes in May 2023", user_id=user, explain=True)
    assert hits[0]["message"]["created_at"] == "2023-05-05T00:00:00.000000Z"
    assert hits[0]["score"] / hits[1]["score"] == pytest.approx(1.5)
    assert hits[0]["explanation"]["date"] == "may 2023"


# Explanations and snippets.


def test_an_explanation_adds_up(way: Way, user: str) -> None:
    messages = [
        {"name": "Melanie", "content": "Any pets?", "created_at": "2023-05-05T00:00:00Z"},
        {"name": "Caroline", "content": "A red dog", "created_at": "2023-05-05T00:00:00Z"},
        *[{"name": "Melanie", "content": "."}] * _APART,
        {"name": "Melanie", "content": "My red shoes", "role": "user"},
    ]
    open_session(way, f"{user} 1", user_id=user)
    append(way, f"{user} 1", *({"role": "norole", **each} for each in messages))
    query = "Which Red pets had Caroline in May 2023?"
    hits = search(way, query, user_id=user, explain=True)
    best = hits[0]
    why = best["explanation"]
    assert best["message"]["content"] == "A red dog"
    assert (why["participant"], why["date"], why["role_weight"]) == ("Caroline", "may 2023", 1)
    assert {(part["word"], part["seq"]) for part in why["words"]} == {("Red", 2), ("pets", 1)}
    for hit in hits:
        why = hit["explanation"]
        scores = [part["score"] for part in why["words"]]
        assert scores == sorted(scores, reverse=True)
        weight = (2 if why["participant"] else 1) * (1.5 if why["date"] else 1)
        assert hit["score"] == pytest.approx(sum(scores) * weight * why["role_weight"])
    role_weights = {hit["message"]["content"]: hit["explanation"]["role_weight"] for hit in hits}
    assert role_weights["My red shoes"] == 1.5


def test_a_snippet_marks_the_words_of_the_query(way: Way, user: str) -> None:
    contents = {
        "🍕🍕 Red shoes, and SHOE trees 🎉": ("shoes red", ["Red", "shoes", "SHOE"]),
        "昨日は京都に行きました": ("京都に", ["京都に"]),
        "e\u0301te\u0301 1999": ("été", ["e\u0301te\u0301"]),
        "👨‍👩‍👧 is family": ("family", ["family"]),
        "my elec\u00adtri\u00adcity\u00ad bill": ("electricity", ["elec\u00adtri\u00adcity"]),
        "\ufeffنمی\u200cروم a": ("نمیروم", ["نمی\u200cروم"]),
        "葛\U000e0100城 is a town": ("葛城 town", ["葛\U000e0100城", "town"]),
    }
    add_messages(way, user, *contents)
    for content, (query, words) in contents.items():
        [hit] = search(way, query, user_id=user)
        assert hit["snippet"]["text"] == content
        assert marked(hit) == words


@pytest.mark.parametrize("filler", ["so and so on ", "🎉🎉 ", "それから、"])
def test_a_snippet_of_long_content_is_cut_around_the_words(
    way: Way, user: str, filler: str
) -> None:
    before, after = filler * 100, filler * 80
    content = f"{before}then I bought red shoes for the hike {after}"
    add_messages(way, user, content)
    [hit] = search(way, "red shoes hike", user_id=user)
    text = hit["snippet"]["text"]
    assert marked(hit) == ["red", "shoes", "hike"]
    assert text == f"…{text[1:-1]}…"
    assert text[1:-1] in content
    assert len(text) <= 242


def test_a_snippet_without_the_words_is_the_beginning_of_the_content(way: Way, user: str) -> None:
    append_text(way, f"{user} 1", "Any shoes?", "so and so on " * 100, user_id=user)
    neighbour = search(way, "shoes", user_id=user)[1]
    assert neighbour["snippet"]["text"].startswith("so and so on so")
    assert neighbour["snippet"]["text"].endswith("…")
    assert neighbour["snippet"]["marks"] == []


# Invalid requests.


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"query": "a\0b"}, "query"),
        ({"query": "\ud800"}, "query"),
        ({"query": 5}, "query"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"user_id": 5}, "user_id"),
        ({"session_id": "a\0b"}, "session_id"),
        ({"session_id": ["s"]}, "session_id"),
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 1001}, "offset"),
        ({"offset": "5"}, "offset"),
        ({"min_score": -1}, "min_score"),
        ({"min_score": "1"}, "min_score"),
        ({"context": "no"}, "context"),
        ({"include": ["message"]}, "include[0]"),
        ({"include": ["session", "session"]}, "include"),
        ({"include": "session"}, "include"),
        ({"roles": []}, "roles"),
        ({"roles": "user"}, "roles"),
        ({"roles": ["human"]}, "roles[0]"),
        ({"role_weights": {"human": 1}}, "role_weights"),
        ({"role_weights": {"user": -1}}, "role_weights"),
        ({"role_weights": {"user": 1001}}, "role_weights"),
        ({"role_weights": {"user": "2"}}, "role_weights"),
        ({"role_weights": ["user"]}, "role_weights"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": 5}, "created_before"),
        ({"explain": "yes"}, "explain"),
        ({"filter": {"field": "metadata.a", "op": "like", "value": 1}}, "filter.op"),
        ({"filter": {"and": [{"field": "content", "op": "exists"}]}}, "filter.and[0].field"),
    ],
    ids=str,
)
def test_invalid_search_fields_are_named(way: Way, asked: dict[str, Any], field: str) -> None:
    body = {"query": "shoes", **asked}
    rejected = _search(way, body)
    assert error_of(rejected) == invalid(field)


def _search(way: Way, body: dict[str, Any]) -> Any:
    return way.request("POST", SEARCH, content=raw(body))


@pytest.mark.wire("typed methods have no such argument and no other body")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"query": "shoes", "filters": {}}', invalid("filters")),
        (b'{"query": "shoes", "cursor": 10}', invalid("cursor")),
        (b"[]", (422, "invalid_field", [])),
        (b"", (400, "bad_request", [])),
        (b"{", (400, "bad_request", [])),
    ],
)
def test_an_invalid_search_body_is_rejected(way: Way, content: bytes, expected: Any) -> None:
    assert error_of(way.request("POST", SEARCH, content=content)) == expected


@pytest.mark.wire("typed methods leave out what is None")
def test_null_is_the_same_as_absent(way: Way, user: str) -> None:
    add_messages(way, user, "shoes")
    names: Sequence[str] = ("query", "session_id", "created_after", "created_before", "roles")
    body = {"user_id": user, **dict.fromkeys(names)}
    reply = way.request("POST", SEARCH, json=body)
    assert [hit["message"]["content"] for hit in reply.json["items"]] == ["shoes"]


def test_a_search_changes_nothing(way: Way, user: str) -> None:
    add_messages(way, user, "shoes")
    before = way.request("GET", SESSIONS, params={"user_id": user}).json
    search(way, "shoes", user_id=user)
    assert way.request("GET", SESSIONS, params={"user_id": user}).json == before
