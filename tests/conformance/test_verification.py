"""Verification of erasures: existing data is found, and nothing else."""

import json
from secrets import token_hex
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGE,
    NOT_FOUND,
    SESSION,
    USER,
    VERIFY,
    add_user,
    append,
    append_text,
    delete,
    error_of,
    invalid,
    open_session,
    purged,
)
from tests.ways import Reply, Way

TABLES = [
    "users",
    "api_keys",
    "user_words",
    "user_usage",
    "sessions",
    "messages",
    "embeddings",
    "collections",
    "collection_deletions",
    "document_deletions",
    "documents",
    "document_vectors",
    "erasures",
    "deleted_sessions",
    "idempotency",
]
WHOLE = "Rows that are there have it"
WORDS = {"word of the index", "end of a word of the index"}


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine."""
    name: str = request.node.callspec.params["way"][1]
    return name


@pytest.fixture
def jane(way: Way, fresh: str) -> SimpleNamespace:
    """A user with a unique word in every field."""
    word = f"qz{token_hex(6)}"
    jane = SimpleNamespace(id=f"jane-{word}", word=word, session_id=f"chat-{word}")
    jane.email = f"jane.{word}@example.com"
    jane.content = f"The {word} papers are in “locker” nine/ten"
    user = add_user(way, jane.id, email=jane.email, first_name=f"J {word}", metadata={"of": word})
    jane.uuid = user["uuid"]
    open_session(way, jane.session_id, user_id=jane.id, metadata={"of": word})
    message = {"content": jane.content, "name": f"Jane {word}", "data": {"quoted": jane.content}}
    jane.message_id = append(way, jane.session_id, message)[0]["id"]
    return jane


def verify(way: Way, erasure: Any, **body: Any) -> Any:
    """Return the result of a verification."""
    done = request(way, erasure["id"], **body)
    assert done.status == 200, done
    assert done.json["found"] == bool(done.json["hits"]) == (done.json["hit_count"] > 0)
    assert len(done.json["hits"]) == min(done.json["hit_count"], 1000)
    gaps = [each["name"] for each in done.json["skipped"] if each["is_gap"]]
    unseen = "inconclusive" if gaps else "clear"
    assert done.json["result"] == ("found" if done.json["found"] else unseen)
    return done.json


def request(way: Way, erasure_id: str, **body: Any) -> Reply:
    """Start a verification, wait for its end, and return the last response."""
    reply = way.request("POST", VERIFY, erasure_id, json=body)
    while reply.status in {200, 202} and reply.json["state"] == "running":
        sleep(0.2)
        reply = way.request("GET", "/v1/verifications/{}", reply.json["id"])
    return reply


def in_rows(done: Any) -> list[tuple[str, int | None, str]]:
    """Return the hits in tables."""
    hits = [(hit["where"], hit["search_term"], hit["encoding"]) for hit in done["hits"]]
    return [hit for hit in hits if hit[0].startswith("table ")]


def reasons(done: Any) -> dict[str, str]:
    """Return what was skipped, and why."""
    return {each["name"]: each["reason"] for each in done["skipped"]}


# Results.


def test_an_erasure_can_be_verified_without_search_terms(way: Way, jane: Any, engine: str) -> None:
    erasure = delete(way, USER, jane.id)
    done = verify(way, erasure)
    assert (done["found"], done["hits"], done["hit_count"]) == (False, [], 0)
    assert done["erasure"] == erasure
    assert done["id_reused"] is False
    scanned = [each["name"] for each in done["scanned"]]
    assert scanned == [f"table {table}" for table in TABLES]
    assert all(each["rows"] >= 0 for each in done["scanned"])
    assert "no text to look for" in reasons(done)["files"]
    assert done["result"] == ("clear" if engine == "sqlite memory" else "inconclusive")


def test_search_terms_that_were_never_stored_are_not_found(
    way: Way, jane: Any, engine: str
) -> None:
    erasure = delete(way, USER, jane.id)
    done = verify(
        way, erasure, search_terms=[f"never {token_hex(8)}", f"never{token_hex(8)}@a.org"]
    )
    assert (done["hits"], done["result"]) == ([], "clear")
    files = [each for each in done["scanned"] if each["name"].startswith("file")]
    if engine == "sqlite memory":
        assert files == []
        assert reasons(done)["files"] == "The database is in memory and has no files."
    else:
        assert sum(each["size_bytes"] for each in files) > 100_000


def test_short_words_of_search_terms_are_listed_by_their_place(way: Way, jane: Any) -> None:
    erasure = delete(way, USER, jane.id)
    terms = [f"is {jane.word}81 at no 9?", f"王明 {jane.word}", f"{jane.word}@{jane.word}"]
    done = verify(way, erasure, search_terms=terms)
    listed = [
        (each["search_term"], terms[each["search_term"]][each["start"] : each["end"]])
        for each in done["short_words"]
    ]
    assert listed == [(0, "is"), (0, "at"), (0, "no"), (0, "9")]
    assert jane.word not in json.dumps(done)


def test_a_search_term_of_short_words_alone_is_inconclusive(
    way: Way, jane: Any, engine: str
) -> None:
    erasure = delete(way, USER, jane.id)
    done = verify(way, erasure, search_terms=[f"{token_hex(8)} documents", "Zo Qu Xyz"])
    assert [each["search_term"] for each in done["short_words"]] == [1, 1, 1]
    if engine == "sqlite memory":
        assert done["result"] == "clear"
    else:
        assert "short" in reasons(done)["search_terms[1] in the index of words"]
        assert done["result"] == "inconclusive"


def test_a_short_id_is_looked_for_in_rows_alone(way: Way, jane: Any, engine: str) -> None:
    user_id = token_hex(2)
    add_user(way, user_id)
    erasure = delete(way, USER, user_id)
    alone = verify(way, erasure, subject_id=user_id)
    assert "too short" in reasons(alone)["subject_id in the files"]
    assert alone["result"] == ("clear" if engine == "sqlite memory" else "inconclusive")
    with_a_term = verify(way, erasure, subject_id=user_id, search_terms=[token_hex(8)])
    assert "subject_id in the files" in reasons(with_a_term)
    assert with_a_term["result"] == "clear"


def test_deleted_data_is_found_in_the_files_before_the_purge(
    way: Way, jane: Any, engine: str
) -> None:
    erasure = delete(way, USER, jane.id)
    search_terms = [jane.content, jane.email, jane.word]
    done = verify(way, erasure, subject_id=jane.id, search_terms=search_terms)
    assert in_rows(done) == []
    if engine == "sqlite memory":
        assert done["hits"] == []
        return
    assert {hit["search_term"] for hit in done["hits"]} == {0, 1, 2, None}
    assert {hit["encoding"] for hit in done["hits"]} >= {"utf-8", "word of the index"}
    name = "file userkeep.db" if engine == "sqlite file" else "file pg_wal/"
    assert all(hit["where"].startswith("file ") for hit in done["hits"])
    assert any(hit["where"].startswith(name) for hit in done["hits"])
    assert jane.word not in json.dumps(done), "a search term is named by its index"


def test_nothing_is_found_in_the_files_after_the_purge(way: Way, jane: Any) -> None:
    erasure = purged(way, USER, jane.id)
    search_terms = [jane.content, jane.email, jane.word, f"Jane {jane.word}"]
    done = verify(way, erasure, subject_id=jane.id, search_terms=search_terms)
    assert done["hits"] == []


# Hits in rows of other users.


def test_data_of_other_users_about_the_deleted_user_is_found(
    way: Way, jane: Any, fresh: str
) -> None:
    word, other = jane.word, f"tom {fresh}"
    add_user(way, other, last_name=f"Friend of {word}", metadata={"spouse": {"name": f"J {word}"}})
    message = {"name": "tom", "content": f"Ask {jane.email.upper()}!"}
    message["data"] = {"quoted": jane.content}  # type: ignore[assignment]
    open_session(way, f"{other} 1", user_id=other)
    append(way, f"{other} 1", message)
    erasure = delete(way, USER, jane.id)
    done = verify(
        way, erasure, search_terms=[f"J {word}", jane.email, jane.content, f"never {fresh}"]
    )
    assert sorted(in_rows(done), key=str) == [
        ("table messages.content", 1, "utf-8, in another case"),
        ("table messages.data", 2, "utf-8"),
        ("table users.metadata", 0, "utf-8"),
    ]
    skipped = reasons(done)
    for index, where in enumerate(("users.metadata", "messages.content", "messages.data")):
        assert skipped[f"search_terms[{index}] in the files"].startswith(f"{WHOLE} (table {where})")
    assert {hit["encoding"] for hit in done["hits"] if "file" in hit["where"]} <= WORDS


def test_an_escaped_text_is_found(way: Way, jane: Any, fresh: str) -> None:
    open_session(way, fresh, metadata={"note": f'Jane "{jane.word}"\nDoe'})
    erasure = delete(way, USER, jane.id)
    done = verify(way, erasure, search_terms=[f'Jane "{jane.word}"\nDoe'])
    assert in_rows(done) == [("table sessions.metadata", 0, "json, escaped")]


def test_a_word_that_other_messages_contain_is_not_residue(way: Way, jane: Any, fresh: str) -> None:
    append_text(way, fresh, f"I found some {jane.word} today", user_id=f"tom {fresh}")
    erasure = delete(way, USER, jane.id)
    done = verify(way, erasure, search_terms=[f"{jane.word} documents are in"])
    assert in_rows(done) == []
    assert not any(hit["encoding"] in WORDS for hit in done["hits"])
    name = "1 of 2 words of search_terms[0] in the index of words"
    assert reasons(done)[name] == "Messages that are there have them too."


# Reused ids.


def test_a_user_with_a_reused_id_is_not_residue(way: Way, jane: Any, fresh: str) -> None:
    erasure = delete(way, USER, jane.id)
    add_user(way, jane.id)
    append_text(way, f"new {fresh}", "Hello", user_id=jane.id)
    key = {"Idempotency-Key": fresh}
    message = {"messages": [{"role": "user", "content": "Hello"}]}
    way.request("POST", "/v1/sessions/{}/messages", f"new {fresh}", json=message, headers=key)
    done = verify(way, erasure, subject_id=jane.id)
    assert (in_rows(done), done["id_reused"]) == ([], True)
    assert reasons(done)["subject_id in the files"].startswith(f"{WHOLE} (table users.user_id)")


def test_a_session_with_a_reused_id_is_not_residue(way: Way, jane: Any) -> None:
    erasure = delete(way, SESSION, jane.session_id)
    open_session(way, jane.session_id)
    append(way, jane.session_id, {"role": "user", "content": "Hello", "id": jane.message_id})
    done = verify(way, erasure, subject_id=jane.session_id)
    assert (in_rows(done), done["id_reused"]) == ([], True)


def test_a_message_is_searched_for_only_in_its_session(way: Way, jane: Any, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, {"role": "user", "content": "A copy", "id": jane.message_id})
    erasure = delete(way, MESSAGE, jane.session_id, jane.message_id)
    done = verify(way, erasure, subject_id=jane.session_id)
    assert (in_rows(done), done["id_reused"]) == ([], False)
    append(way, jane.session_id, {"role": "user", "content": "Here again", "id": jane.message_id})
    done = verify(way, erasure)
    assert in_rows(done) == [("table messages.id", None, "uuid")]


def test_the_uuid_in_an_erasure_is_not_residue(way: Way, jane: Any) -> None:
    erasure = delete(way, USER, jane.id)
    done = verify(way, erasure, search_terms=[jane.uuid])
    # A uuid begins with the time, so a part of it may be a word of data deleted recently.
    assert [hit for hit in done["hits"] if hit["encoding"] != "word of the index"] == []
    reason = reasons(done)["search_terms[0] in the files"]
    assert reason.startswith(f"{WHOLE} (table erasures.subject_uuid)")


@pytest.mark.parametrize("path", [USER, SESSION, MESSAGE])
def test_a_subject_id_that_does_not_match_is_rejected(way: Way, jane: Any, path: str) -> None:
    ids = {
        USER: (jane.id,),
        SESSION: (jane.session_id,),
        MESSAGE: (jane.session_id, jane.message_id),
    }[path]
    erasure = delete(way, path, *ids)
    assert verify(way, erasure, subject_id=ids[0])["erasure"]["subject_uuid"]
    for other in (f"{ids[0]} ", "", ids[0].upper(), jane.message_id):
        rejected = request(way, erasure["id"], subject_id=other)
        assert error_of(rejected) == invalid("subject_id")
        assert jane.word not in rejected.json["detail"]


# Invalid requests.


def test_an_unknown_erasure_is_not_found(way: Way, jane: Any) -> None:
    for unknown in (jane.uuid, jane.id, "1"):
        assert error_of(request(way, unknown, search_terms=[jane.email])) == NOT_FOUND


def test_invalid_search_terms_are_rejected_by_their_index(way: Way, jane: Any) -> None:
    erasure = delete(way, USER, jane.id)
    for search_terms, field in (
        ([jane.email, "Jane"], "search_terms[1]"),
        (["      "], "search_terms[0]"),
        ([""], "search_terms[0]"),
        ([jane.email, jane.email, f"{jane.email} " * 50], "search_terms[2]"),
        ([jane.email + "\0"], "search_terms[0]"),
        ([jane.email] * 101, "search_terms"),
    ):
        rejected = request(way, erasure["id"], search_terms=search_terms)
        assert error_of(rejected) == invalid(field)
        assert "Jane" not in rejected.json["detail"]
        assert jane.word not in rejected.json["detail"]


def test_a_hundred_search_terms_of_any_script_are_accepted(way: Way, jane: Any, fresh: str) -> None:
    erasure = delete(way, USER, jane.id)
    rare = [f"{'漢字かな交じり文'} {token_hex(4)} {number}"[:1024] for number in range(99)]
    append_text(way, fresh, rare[7], user_id=f"tom {fresh}")
    done = verify(way, erasure, search_terms=[*rare, ("王明" * 512)])
    assert in_rows(done) == [("table messages.content", 7, "utf-8")]


@pytest.mark.wire("values that the types of the methods do not allow")
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"search_terms": "Jane Doe"}, ["search_terms"]),
        ({"search_terms": [7]}, ["search_terms[...]"]),
        ({"search_terms": None}, ["search_terms"]),
        ({"subject_id": 7}, ["subject_id"]),
        ({"search_term": "Jane Doe"}, ["search_term"]),
    ],
)
def test_an_invalid_body_is_rejected(way: Way, jane: Any, body: Any, fields: list[str]) -> None:
    erasure = delete(way, USER, jane.id)
    rejected = request(way, erasure["id"], **body)
    assert rejected.status == 422
    assert "Doe" not in rejected.text


def test_verifying_changes_nothing(way: Way, jane: Any) -> None:
    erasure = delete(way, USER, jane.id)
    first = verify(way, erasure, search_terms=[jane.word])
    assert verify(way, erasure, search_terms=[jane.word])["found"] == first["found"]
    assert way.request("GET", "/v1/erasures/{}", erasure["id"]).json == erasure
