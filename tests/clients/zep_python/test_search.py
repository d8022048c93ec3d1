"""Full-text search in a session; without a text, the newest messages."""

import pytest
from zep_python import APIError, Memory, MemorySearchPayload, Message

CONTENTS = ("I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats")


@pytest.fixture
def session_id(zep, mark):
    """The id of a session with a few messages."""
    messages = [
        Message(role="user", content=content, metadata={"n": n}, token_count=n)
        for n, content in enumerate(CONTENTS)
    ]
    zep.memory.add_memory(mark, Memory(messages=messages))
    return mark


def contents(hits):
    return [hit.message["content"] for hit in hits]


def test_the_best_match_comes_first(zep, session_id):
    hits = zep.memory.search_memory(session_id, MemorySearchPayload(text="Have I a red hat?"))
    assert contents(hits)[:2] == ["Red hats", "Hats are nice"]
    dists = [hit.dist for hit in hits]
    assert dists == sorted(dists, reverse=True)
    assert dists[0] > dists[1] > 0


def test_a_hit_has_the_message_as_listed(zep, session_id):
    [hit] = zep.memory.search_memory(session_id, MemorySearchPayload(text="shoes"), limit=1)
    [listed, *_] = zep.message.get_session_messages(session_id)
    assert Message(**hit.message) == listed
    assert (hit.summary, hit.metadata) == (None, None)


def test_without_a_text_the_newest_messages_come_first(zep, session_id):
    payload = MemorySearchPayload(metadata={"foo": "bar"})
    hits = zep.memory.search_memory(session_id, payload)
    assert contents(hits) == list(reversed(CONTENTS))
    assert {hit.dist for hit in hits} == {0}


def test_hits_are_filtered_by_metadata(zep, session_id):
    def search(jsonpath, **more):
        where = {"where": {"jsonpath": jsonpath}}
        payload = MemorySearchPayload(metadata={**where, **more})
        return contents(zep.memory.search_memory(session_id, payload))

    assert search("$[*] ? (@.n == 4)") == ["Hats are nice"]
    assert search("$.n ? (@ > 6)") == ["Red hats", "f"]
    assert search("$.none") == []
    assert search("$[*] ? (@.n == 4)", end_date="2020-01-01") == []
    with pytest.raises(APIError, match="400"):
        search("$.[")


def test_the_default_limit_is_ten(zep, mark):
    messages = [Message(role="user", content=f"shoes {n}") for n in range(30)]
    zep.memory.add_memory(mark, Memory(messages=messages))
    payload = MemorySearchPayload(text="shoes")
    assert len(zep.memory.search_memory(mark, payload)) == 10
    assert len(zep.memory.search_memory(mark, payload, limit=3)) == 3
    assert len(zep.memory.search_memory(mark, payload, limit=-1)) == 30


def test_both_search_types_and_scopes_are_accepted(zep, session_id):
    def search(**options):
        return zep.memory.search_memory(session_id, MemorySearchPayload(text="shoes", **options))

    assert contents(search(search_type="mmr", mmr_lambda=0.3))[0] == "I bought red shoes"
    # The scores change once, when the messages have embeddings.
    pairs = ((search(search_type="mmr"), search(search_type="similarity")) for _ in range(50))
    assert any(mmr == similarity for mmr, similarity in pairs)
    assert search(search_scope="summary") == []


def test_a_new_message_is_found_immediately(zep, mark):
    for number in range(10):
        memory = Memory(messages=[Message(role="user", content=f"number n{number}")])
        zep.memory.add_memory(mark, memory)
        [first, *_] = zep.memory.search_memory(mark, MemorySearchPayload(text=f"n{number}"))
        assert first.message["content"] == f"number n{number}"


def test_any_text_can_be_searched_for(zep, session_id):
    for text in ("what's up?", "a-b", '"', "NEAR(", "AND", "100%", "\\", "京都", "🍕"):
        zep.memory.search_memory(session_id, MemorySearchPayload(text=text))


def test_unknown_and_deleted_sessions_have_no_hits(zep, session_id):
    payload = MemorySearchPayload(text="shoes")
    assert zep.memory.search_memory(f"{session_id}-unknown", payload) == []
    zep.memory.delete_memory(session_id)
    assert zep.memory.search_memory(session_id, payload) == []


def test_a_search_without_text_and_metadata_is_rejected(zep, session_id):
    with pytest.raises(APIError, match="'status_code': 400"):
        zep.memory.search_memory(session_id, MemorySearchPayload())
