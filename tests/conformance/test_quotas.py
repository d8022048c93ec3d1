"""Quotas: how many messages and documents, and bytes of them, each user of a project can have."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from secrets import token_hex
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGE,
    MESSAGES,
    PROJECT,
    SESSION,
    USER,
    ErrorSummary,
    add_user,
    append,
    append_text,
    concurrently,
    contents,
    delete,
    error_of,
    get_session,
    open_session,
)
from tests.ways import Reply, Way

EXCEEDED: ErrorSummary = (403, "quota_exceeded", [])
WRITERS = 24

Limit = Callable[..., None]


@pytest.fixture
def limit(way: Way) -> Iterator[Limit]:
    """Sets quotas of the project; at the end there are none."""

    def set_quotas(
        messages: int | None = None, size: int | None = None, documents: int | None = None
    ) -> None:
        quotas = {"max_messages_per_user": messages, "max_bytes_per_user": size}
        quotas["max_documents_per_user"] = documents
        changed = way.request("PATCH", PROJECT, "default", json=quotas)
        assert changed.status == 200, changed

    yield set_quotas
    set_quotas()


@pytest.fixture
def jane(way: Way, fresh: str) -> str:
    """A user with two sessions, `<user> 1` and `<user> 2`."""
    add_user(way, fresh)
    for number in (1, 2):
        open_session(way, f"{fresh} {number}", user_id=fresh)
    return fresh


def count_of(way: Way, user_id: str) -> int:
    listed = way.request("GET", "/v1/users/{}/sessions", user_id).json["items"]
    return sum(each["message_count"] for each in listed)


def test_a_user_cannot_have_more_messages_than_the_quota(way: Way, jane: str, limit: Limit) -> None:
    append_text(way, f"{jane} 1", "before there was a quota")
    limit(messages=3)
    assert append_text(way, f"{jane} 2", "second", "third").status == 201
    for session in (f"{jane} 1", f"{jane} 2"):
        rejected = append_text(way, session, "fourth")
        assert error_of(rejected) == EXCEEDED
        assert "3" in rejected.json["detail"]
    assert count_of(way, jane) == 3
    add_user(way, f"{jane} other")
    assert append_text(way, f"{jane} 3", "x", user_id=f"{jane} other").status == 201
    limit(messages=4)
    assert append_text(way, f"{jane} 1", "fourth").status == 201


def test_a_batch_is_appended_as_a_whole_or_not_at_all(way: Way, jane: str, limit: Limit) -> None:
    limit(messages=3)
    assert error_of(append_text(way, f"{jane} 1", *"abcd")) == EXCEEDED
    assert contents(way, f"{jane} 1") == []
    assert append_text(way, f"{jane} 1", *"abc").status == 201


def test_a_user_cannot_have_more_bytes_than_the_quota(way: Way, jane: str, limit: Limit) -> None:
    limit(size=10)
    assert append_text(way, f"{jane} 1", "éé").status == 201
    with_data = {"role": "user", "content": "", "data": [1]}
    append(way, f"{jane} 2", with_data)
    assert error_of(append_text(way, f"{jane} 1", "1234")) == EXCEEDED
    assert append_text(way, f"{jane} 2", "123").status == 201
    assert error_of(append_text(way, f"{jane} 2", "1")) == EXCEEDED
    limit(size=11)
    assert append_text(way, f"{jane} 2", "1").status == 201


def test_an_edit_counts_by_what_it_adds(way: Way, jane: str, limit: Limit) -> None:
    limit(size=10)
    id_ = append(way, f"{jane} 1", {"content": "12345"})[0]["id"]
    edit = partial(way.request, "PATCH", MESSAGE, f"{jane} 1", id_)
    assert error_of(edit(json={"content": "12345678901"})) == EXCEEDED
    assert contents(way, f"{jane} 1") == ["12345"]
    assert edit(json={"content": "1234567890"}).status == 200
    assert error_of(append_text(way, f"{jane} 2", "1")) == EXCEEDED
    assert edit(json={"content": "123"}).status == 200
    assert append_text(way, f"{jane} 2", "1234567").status == 201


def test_a_user_who_has_too_much_can_edit_and_delete(way: Way, jane: str, limit: Limit) -> None:
    id_ = append(way, f"{jane} 1", {"content": "12345"})[0]["id"]
    append_text(way, f"{jane} 1", "12345")
    limit(messages=1, size=4)
    shorter = way.request("PATCH", MESSAGE, f"{jane} 1", id_, json={"content": "1234"})
    assert shorter.status == 200
    delete(way, MESSAGE, f"{jane} 1", id_)
    assert error_of(append_text(way, f"{jane} 1", "1")) == EXCEEDED


@pytest.mark.parametrize("how", ["message", "session", "rewind"])
def test_what_is_deleted_does_not_count(way: Way, jane: str, limit: Limit, how: str) -> None:
    limit(messages=3, size=9)
    appended = append_text(way, f"{jane} 1", "123", "456", "789").json["messages"]
    assert error_of(append_text(way, f"{jane} 2", "1")) == EXCEEDED
    if how == "message":
        delete(way, MESSAGE, f"{jane} 1", appended[0]["id"])
    elif how == "session":
        delete(way, SESSION, f"{jane} 1")
    else:
        way.request("DELETE", MESSAGES, f"{jane} 1", params={"after_seq": 2})
    assert append_text(way, f"{jane} 2", "abc").status == 201
    assert append_text(way, f"{jane} 2", "1234567").status == 403


def test_messages_of_a_session_count_once_it_has_an_owner(
    way: Way, jane: str, limit: Limit
) -> None:
    limit(messages=3, size=9)
    append_text(way, f"{jane} 1", "123", "456")
    open_session(way, f"{jane} free")
    assert append_text(way, f"{jane} free", *"abcd").status == 201
    change = {"user_id": jane}
    adopted = way.request("PATCH", SESSION, f"{jane} free", json=change)
    assert error_of(adopted) == EXCEEDED
    assert get_session(way, f"{jane} free")["user_id"] is None
    assert error_of(append_text(way, f"{jane} free", "x", user_id=jane)) == EXCEEDED
    limit(messages=6, size=10)
    assert way.request("PATCH", SESSION, f"{jane} free", json=change).status == 200
    assert error_of(append_text(way, f"{jane} 1", "x")) == EXCEEDED


def test_bytes_of_a_session_count_once_it_has_an_owner(way: Way, jane: str, limit: Limit) -> None:
    limit(size=10)
    open_session(way, f"{jane} free")
    append_text(way, f"{jane} free", "1234", "1234")
    assert append_text(way, f"{jane} 1", "123").status == 201
    adopted = way.request("PATCH", SESSION, f"{jane} free", json={"user_id": jane})
    assert error_of(adopted) == EXCEEDED


def test_bytes_count_if_as_many_messages_were_deleted_before(
    way: Way, jane: str, limit: Limit
) -> None:
    limit(size=10)
    open_session(way, f"{jane} free")
    append_text(way, f"{jane} free", "12345678")
    id_ = append(way, f"{jane} 1", {"content": "1"}, {"content": "2"})[0]["id"]
    delete(way, MESSAGE, f"{jane} 1", id_)
    assert error_of(append_text(way, f"{jane} free", "12", user_id=jane)) == EXCEEDED
    assert append_text(way, f"{jane} free", "1", user_id=jane).status == 201
    assert error_of(append_text(way, f"{jane} 1", "1")) == EXCEEDED


def test_a_session_without_an_owner_has_no_quota(way: Way, fresh: str, limit: Limit) -> None:
    limit(messages=1, size=1)
    open_session(way, fresh)
    assert append_text(way, fresh, "12345", "67890").status == 201


def test_quotas_are_exact_under_concurrency(way: Way, jane: str, limit: Limit) -> None:
    limit(messages=WRITERS // 2, size=WRITERS // 2 * 3)

    def write(number: int) -> Reply:
        return append_text(way, f"{jane} {number % 2 + 1}", "123")

    replies = concurrently(*(partial(write, number) for number in range(WRITERS)))
    assert Counter(reply.status for reply in replies) == {201: WRITERS // 2, 403: WRITERS // 2}
    assert count_of(way, jane) == WRITERS // 2


def test_quotas_are_exact_where_concurrent_writers_create_the_user(
    way: Way, fresh: str, limit: Limit
) -> None:
    limit(messages=4)

    def write(number: int) -> Any:
        return append_text(way, f"{fresh} {number}", "x", user_id=fresh)

    replies = concurrently(*(partial(write, number) for number in range(12)))
    assert Counter(reply.status for reply in replies) == {201: 4, 403: 8}
    assert count_of(way, fresh) == 4


def test_a_user_who_is_created_again_has_nothing(way: Way, jane: str, limit: Limit) -> None:
    limit(messages=2, size=6)
    assert append_text(way, f"{jane} 1", "123", "456").status == 201
    delete(way, USER, jane)
    add_user(way, jane)
    open_session(way, f"{jane} again", user_id=jane)
    assert append_text(way, f"{jane} again", "123", "456").status == 201
    assert error_of(append_text(way, f"{jane} again", "7")) == EXCEEDED


# Documents.

COLLECTION = "/v1/collections/{}"
DOCUMENTS = "/v1/collections/{}/documents"
DOCUMENT = "/v1/collections/{}/documents/{}"


@pytest.fixture
def notes(way: Way) -> Iterator[str]:
    """A collection."""
    name = f"notes-{token_hex(4)}"
    created = way.request("POST", "/v1/collections", json={"name": name, "dimensions": 8})
    assert created.status == 201, created
    yield name
    way.request("DELETE", COLLECTION, name)


def add_notes(way: Way, name: str, user_id: str | None, *contents: str) -> Reply:
    new = [{"content": each, "user_id": user_id, "embedding": [1] * 8} for each in contents]
    return way.request("POST", DOCUMENTS, name, json={"documents": new})


def ids_of(added: Reply) -> list[str]:
    assert added.status == 201, added
    return [each["document_id"] for each in added.json["documents"]]


def test_a_user_cannot_have_more_documents_than_the_quota(
    way: Way, jane: str, notes: str, limit: Limit
) -> None:
    limit(documents=3)
    first, *_ = ids_of(add_notes(way, notes, jane, "a", "b"))
    rejected = add_notes(way, notes, jane, "c", "d")
    assert error_of(rejected) == EXCEEDED
    assert "4 documents" in rejected.json["detail"]
    add_user(way, f"{jane} other")
    assert add_notes(way, notes, f"{jane} other", "c", "d").status == 201
    assert add_notes(way, notes, None, *"abcde").status == 201
    assert add_notes(way, notes, jane, "c").status == 201
    assert error_of(add_notes(way, notes, jane, "d")) == EXCEEDED
    assert append_text(way, f"{jane} 1", "messages are counted by themselves").status == 201
    assert way.request("DELETE", DOCUMENT, notes, first).status == 200
    assert add_notes(way, notes, jane, "d").status == 201
    delete(way, COLLECTION, notes)
    way.request("POST", "/v1/collections", json={"name": notes, "dimensions": 8})
    assert add_notes(way, notes, jane, "a", "b", "c").status == 201


def test_bytes_of_documents_and_messages_count_together(
    way: Way, jane: str, notes: str, limit: Limit
) -> None:
    limit(size=10)
    assert append_text(way, f"{jane} 1", "123").status == 201
    [id_] = ids_of(add_notes(way, notes, jane, "éé"))
    assert error_of(add_notes(way, notes, jane, "1234")) == EXCEEDED
    assert error_of(append_text(way, f"{jane} 1", "1234")) == EXCEEDED
    edit = partial(way.request, "PATCH", DOCUMENT, notes, id_)
    rejected = edit(json={"content": "12345678", "embedding": [1] * 8})
    assert error_of(rejected) == EXCEEDED
    assert edit(json={"content": "1234567", "embedding": [1] * 8}).status == 200
    assert error_of(append_text(way, f"{jane} 2", "1")) == EXCEEDED
    assert edit(json={"metadata": {"long": "metadata do not count"}}).status == 200
    assert way.request("DELETE", DOCUMENT, notes, id_).status == 200
    assert append_text(way, f"{jane} 2", "1234567").status == 201
    assert error_of(add_notes(way, notes, jane, "1")) == EXCEEDED


def test_quotas_of_documents_are_exact_under_concurrency(
    way: Way, jane: str, notes: str, limit: Limit
) -> None:
    limit(documents=6, size=18)
    replies = concurrently(*(partial(add_notes, way, notes, jane, "123") for _ in range(12)))
    assert Counter(reply.status for reply in replies) == {201: 6, 403: 6}
    assert way.request("GET", COLLECTION, notes).json["document_count"] == 6


@pytest.mark.wire("no method imports")
def test_an_import_of_documents_counts(way: Way, jane: str, notes: str, limit: Limit) -> None:
    limit(documents=2)

    def import_notes(*ids: str) -> Reply:
        new = [
            {"document_id": each, "content": each, "user_id": jane, "embedding": [1] * 8}
            for each in ids
        ]
        body = {"name": notes, "documents": new}
        return way.request("PUT", "/v1/import/documents", json=body)

    assert error_of(import_notes("a", "b", "c")) == EXCEEDED
    assert import_notes("a", "b").status == 200
    assert import_notes("a", "b").json["present"] == 2
    assert error_of(import_notes("a", "c")) == EXCEEDED
