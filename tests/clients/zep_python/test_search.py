"""Search: the messages of a session, by words; without a text, the newest."""

import pytest
from zep_python import APIError, Memory, MemorySearchPayload, Message

TALK = ("I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats")


@pytest.fixture
def talk(zep, mark):
    """A session in which a few things were said."""
    messages = [
        Message(role="user", content=content, metadata={"place": place}, token_count=place)
        for place, content in enumerate(TALK)
    ]
    zep.memory.add_memory(mark, Memory(messages=messages))
    return mark


def contents(hits):
    return [hit.message["content"] for hit in hits]


def test_what_is_meant_comes_first(zep, talk):
    hits = zep.memory.search_memory(talk, MemorySearchPayload(text="Have I a red hat?"))
    assert contents(hits)[:2] == ["Red hats", "Hats are nice"]
    dists = [hit.dist for hit in hits]
    assert dists == sorted(dists, reverse=True)
    assert dists[0] > dists[1] > 0


def test_a_hit_is_the_message_as_it_is_listed(zep, talk):
    [hit] = zep.memory.search_memory(talk, MemorySearchPayload(text="shoes"), limit=1)
    [listed, *_] = zep.message.get_session_messages(talk)
    assert Message(**hit.message) == listed
    assert (hit.summary, hit.metadata) == (None, None)


def test_without_a_text_the_newest_come_first(zep, talk):
    payload = MemorySearchPayload(metadata={"foo": "bar"})
    hits = zep.memory.search_memory(talk, payload)
    assert contents(hits) == list(reversed(TALK))
    assert {hit.dist for hit in hits} == {0}


def test_hits_are_narrowed_by_their_metadata(zep, talk):
    def search(jsonpath, **more):
        where = {"where": {"jsonpath": jsonpath}}
        payload = MemorySearchPayload(metadata={**where, **more})
        return contents(zep.memory.search_memory(talk, payload))

    assert search("$[*] ? (@.place == 4)") == ["Hats are nice"]
    assert search("$.place ? (@ > 6)") == ["Red hats", "f"]
    assert search("$.none") == []
    assert search("$[*] ? (@.place == 4)", end_date="2020-01-01") == []
    with pytest.raises(APIError, match="400"):
        search("$.[")


def test_there_are_ten_hits_unless_a_limit_is_given(zep, mark):
    messages = [Message(role="user", content=f"shoes {n}") for n in range(30)]
    zep.memory.add_memory(mark, Memory(messages=messages))
    payload = MemorySearchPayload(text="shoes")
    assert len(zep.memory.search_memory(mark, payload)) == 10
    assert len(zep.memory.search_memory(mark, payload, limit=3)) == 3
    assert len(zep.memory.search_memory(mark, payload, limit=-1)) == 30


def test_both_types_and_both_scopes_are_understood(zep, talk):
    def search(**how):
        return zep.memory.search_memory(talk, MemorySearchPayload(text="shoes", **how))

    assert contents(search(search_type="mmr", mmr_lambda=0.3))[0] == "I bought red shoes"
    assert search(search_type="mmr") == search(search_type="similarity")
    assert search(search_scope="summary") == []


def test_what_was_said_a_moment_ago_is_found(zep, mark):
    for number in range(10):
        memory = Memory(messages=[Message(role="user", content=f"number n{number}")])
        zep.memory.add_memory(mark, memory)
        [first, *_] = zep.memory.search_memory(mark, MemorySearchPayload(text=f"n{number}"))
        assert first.message["content"] == f"number n{number}"


def test_any_text_may_be_searched_for(zep, talk):
    for text in ("what's up?", "a-b", '"', "NEAR(", "AND", "100%", "\\", "京都", "🍕"):
        zep.memory.search_memory(talk, MemorySearchPayload(text=text))


def test_in_an_unknown_and_in_a_deleted_session_nothing_is_found(zep, talk):
    payload = MemorySearchPayload(text="shoes")
    assert zep.memory.search_memory(f"{talk}-unknown", payload) == []
    zep.memory.delete_memory(talk)
    assert zep.memory.search_memory(talk, payload) == []


def test_a_search_for_nothing_is_refused(zep, talk):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.search_memory(talk, MemorySearchPayload())
