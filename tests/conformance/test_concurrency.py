"""Concurrent requests: no lost, duplicate or partial writes."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.steps import (
    END,
    ERASURES,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SEARCH,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    add_user,
    append,
    append_text,
    concurrently,
    contents,
    delete,
    error_of,
    get_messages,
    get_session,
    get_user,
    open_session,
    pages,
)
from tests.ways import Reply, Way

WRITERS = 64


def statuses(replies: list[Reply]) -> Counter[int]:
    """Count the statuses of responses."""
    return Counter(reply.status for reply in replies)


def new_resource(way: Way, noun: str, fresh: str) -> tuple[str, ...]:
    """Create a user, session or message, and return its path and ids."""
    if noun == "user":
        add_user(way, fresh)
        return USER, fresh
    open_session(way, fresh)
    if noun == "session":
        return SESSION, fresh
    return MESSAGE, fresh, append(way, fresh, {"role": "user", "content": "Hello"})[0]["id"]


# Imports.


@pytest.mark.wire("no method imports")
@pytest.mark.parametrize("kind", ["user", "session"])
def test_concurrent_imports_give_a_uuid_to_one_alone(way: Way, fresh: str, kind: str) -> None:
    rest: dict[str, Any] = {} if kind == "user" else {"messages": []}

    def bring_in(uuid: str, number: int) -> Reply:
        body = {f"{kind}_id": f"{fresh} {uuid} {number}", "uuid": uuid, **rest}
        return way.request("PUT", f"/v1/import/{kind}s", json=body)

    for uuid in (str(uuid4()) for _ in range(5)):
        replies = concurrently(*(partial(bring_in, uuid, number) for number in range(4)))
        assert statuses(replies) == {200: 1, 409: 3}


# Changes.


@pytest.mark.parametrize("noun", ["user", "session", "message"])
def test_concurrent_changes_of_different_keys_are_all_kept(way: Way, fresh: str, noun: str) -> None:
    resource = new_resource(way, noun, fresh)

    def write(number: int) -> Reply:
        metadata = {str(number): number, "all": {str(number): True}}
        return way.request("PATCH", *resource, json={"metadata": metadata})

    changes = concurrently(*(partial(write, number) for number in range(WRITERS)))
    assert statuses(changes) == {200: WRITERS}
    there = way.request("GET", *resource).json
    every = {str(number): number for number in range(WRITERS)}
    assert there["metadata"] == {**every, "all": dict.fromkeys(every, True)}
    if noun != "message":
        assert there["revision"] == WRITERS + 1
        revisions = {change.json["revision"] for change in changes}
        assert revisions == set(range(2, WRITERS + 2))


@pytest.mark.parametrize("noun", ["user", "session"])
def test_only_one_of_many_changes_to_a_revision_succeeds(way: Way, fresh: str, noun: str) -> None:
    resource = new_resource(way, noun, fresh)

    def write(number: int) -> Reply:
        body = {"metadata": {"number": number}}
        return way.request("PATCH", *resource, json=body, headers={"If-Match": '"1"'})

    changes = concurrently(*(partial(write, number) for number in range(16)))
    assert statuses(changes) == {200: 1, 412: 15}
    [made] = [change.json for change in changes if change.status == 200]
    assert way.request("GET", *resource).json == made


def test_only_one_of_many_users_becomes_the_owner_of_a_session(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    for number in range(16):
        add_user(way, f"{number} {fresh}")

    def claim(number: int) -> Reply:
        body = {"user_id": f"{number} {fresh}"}
        return way.request("PATCH", SESSION, fresh, json=body)

    claims = concurrently(*(partial(claim, number) for number in range(16)))
    assert statuses(claims) == {200: 1, 404: 15}
    [owned] = [claim.json for claim in claims if claim.status == 200]
    assert get_session(way, fresh)["user_id"] == owned["user_id"]


# Additions.


@pytest.mark.parametrize(("path", "field"), [(USERS, "user_id"), (SESSIONS, "session_id")])
def test_only_one_of_many_requests_creates_an_id(
    way: Way, fresh: str, path: str, field: str
) -> None:
    add = partial(way.request, "POST", path, json={field: fresh})
    added = concurrently(*[add] * 16)
    assert statuses(added) == {201: 1, 409: 15}
    [made] = [each.json for each in added if each.status == 201]
    assert way.request("GET", f"{path}/{{}}", fresh).json == made


def test_only_one_of_many_puts_creates_the_user(way: Way, fresh: str) -> None:
    put = concurrently(*[partial(way.request, "PUT", USER, fresh, json={"email": "x"})] * 16)
    assert statuses(put) == {201: 1, 200: 15}
    assert {reply.json["revision"] for reply in put} == set(range(1, 17))
    assert len({reply.json["uuid"] for reply in put}) == 1


def test_concurrent_appends_are_numbered_without_gaps(way: Way, fresh: str) -> None:
    open_session(way, fresh)

    def write(number: int) -> list[list[Any]]:
        return [
            append(way, fresh, *({"role": "user", "content": f"{number}"},) * 3) for _ in range(4)
        ]

    batches = [
        batch for each in concurrently(*map(bound_later(write), range(16))) for batch in each
    ]
    for batch in batches:
        first = batch[0]["seq"]
        assert [message["seq"] for message in batch] == [first, first + 1, first + 2]
    messages = get_messages(way, fresh)
    assert [message["seq"] for message in messages] == list(range(1, 16 * 4 * 3 + 1))
    assert get_session(way, fresh)["message_count"] == len(messages)
    in_order = sorted((message for batch in batches for message in batch), key=lambda m: m["seq"])
    assert in_order == messages


def bound_later(function: Callable[[int], Any]) -> Callable[[int], Callable[[], Any]]:
    """Return a function that binds its argument, to be called later."""
    return lambda number: partial(function, number)


def test_message_count_is_correct_after_concurrent_appends_and_deletes(
    way: Way, fresh: str
) -> None:
    open_session(way, fresh)
    uuids = [m["id"] for m in append(way, fresh, *({"role": "user", "content": "old"},) * 16)]
    erasures = [partial(way.request, "DELETE", MESSAGE, fresh, uuid) for uuid in uuids]
    appends = [partial(append_text, way, fresh, "new") for _ in range(16)]
    done = concurrently(*erasures, *appends)
    assert statuses(done) == {200: 16, 201: 16}
    assert [m["seq"] for m in get_messages(way, fresh)] == list(range(17, 33))
    assert get_session(way, fresh)["message_count"] == 16


def test_concurrent_appends_open_one_session_for_one_user(way: Way, fresh: str) -> None:
    appended = concurrently(*[partial(append_text, way, fresh, "Hello", user_id=fresh)] * 32)
    assert statuses(appended) == {201: 32}
    assert [message["seq"] for message in get_messages(way, fresh)] == list(range(1, 33))
    assert get_user(way, fresh)["revision"] == 1
    assert len(way.request("GET", SESSIONS_OF_USER, fresh).json["items"]) == 1


def test_concurrent_appends_to_many_sessions_add_one_user(way: Way, fresh: str) -> None:
    appended = concurrently(
        *(
            partial(append_text, way, f"{number} {fresh}", "Hello", user_id=fresh)
            for number in range(32)
        )
    )
    assert statuses(appended) == {201: 32}
    assert len(way.request("GET", SESSIONS_OF_USER, fresh).json["items"]) == 32


def test_concurrent_requests_with_one_key_are_performed_once(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    key = {"Idempotency-Key": fresh}
    send = partial(way.request, "POST", MESSAGES, fresh, json=body, headers=key)
    replies = concurrently(*[send] * 16)
    assert statuses(replies) == {201: 16}
    assert all(reply.json == replies[0].json for reply in replies)
    assert contents(way, fresh) == ["Hello"]


@pytest.mark.wire("a header of the response")
def test_all_but_one_of_the_requests_with_one_key_are_replayed(way: Way, fresh: str) -> None:
    headers = {"Idempotency-Key": fresh}
    add = partial(way.request, "POST", USERS, json={"user_id": fresh}, headers=headers)
    replies = concurrently(*[add] * 16)
    replayed = Counter(reply.headers.get("idempotent-replayed") for reply in replies)
    assert replayed == {None: 1, "true": 15}


def test_nothing_is_appended_after_a_session_has_ended(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    appends = [partial(append_text, way, fresh, "Hello") for _ in range(16)]
    end = partial(way.request, "POST", END, fresh)
    done = concurrently(*appends[:8], end, *appends[8:])
    assert set(statuses(done)) <= {200, 201, 409}
    count = statuses(done)[201]
    assert [m["seq"] for m in get_messages(way, fresh)] == list(range(1, count + 1))
    assert get_session(way, fresh)["message_count"] == count


# Erasures.


def test_concurrent_deletes_of_a_user_make_one_erasure(way: Way, fresh: str) -> None:
    append_text(way, fresh, *["Hello"] * 1000, user_id=fresh)
    deleted = concurrently(*[partial(way.request, "DELETE", USER, fresh)] * 8)
    assert set(statuses(deleted)) <= {200, 404}
    assert len({reply.json["id"] for reply in deleted if reply.status == 200}) == 1
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


def test_appends_concurrent_with_a_delete_leave_no_data(way: Way, fresh: str) -> None:
    sessions = [f"{number} {fresh}" for number in range(8)]
    for session_id in sessions:
        append_text(way, session_id, *["I live in Oslo"] * 100, user_id=fresh)

    def write(session_id: str) -> list[Reply]:
        named = [append_text(way, session_id, "still in Oslo", user_id=fresh) for _ in range(5)]
        return named + [append_text(way, session_id, "still in Oslo") for _ in range(5)]

    def delete() -> list[Reply]:
        return [way.request("DELETE", USER, fresh)]

    writers = [partial(write, session_id) for session_id in sessions]
    late, [deleted] = [], [Reply(0, None, {})]
    for replies in concurrently(*writers[:4], delete, *writers[4:]):
        if len(replies) == 1:
            [deleted] = replies
        else:
            late.extend(replies)
    assert (deleted.status, deleted.json["state"]) == (200, "deleted")
    assert set(statuses(late)) <= {201, 404, 410}
    assert deleted.json["counts"]["messages"] == 800 + statuses(late)[201]
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND
    for session_id in sessions:
        assert error_of(way.request("GET", SESSION, session_id)) == NOT_FOUND
    assert way.request("GET", SESSIONS, params={"user_id": fresh}).json["items"] == []


def test_sessions_opened_while_their_user_is_deleted_are_deleted(way: Way, fresh: str) -> None:
    append_text(way, fresh, *["I live in Oslo"] * 500, user_id=fresh)
    ids = [f"{number} {fresh}" for number in range(16)]

    def open_(session_id: str) -> Reply:
        body = {"session_id": session_id, "user_id": fresh}
        return way.request("POST", SESSIONS, json=body)

    def give(session_id: str) -> Reply:
        open_session(way, f"given {session_id}")
        return way.request("PATCH", SESSION, f"given {session_id}", json={"user_id": fresh})

    delete = partial(way.request, "DELETE", USER, fresh)
    opened = [partial(open_, id_) for id_ in ids]
    given = [partial(give, id_) for id_ in ids]
    done = concurrently(*opened[:8], *given[:8], delete, *opened[8:], *given[8:])
    assert set(statuses(done)) <= {200, 201, 404, 410}
    assert way.request("GET", SESSIONS, params={"user_id": fresh}).json["items"] == []
    for session_id in ids:
        assert error_of(way.request("GET", SESSION, session_id)) == NOT_FOUND


def test_a_reader_sees_all_of_a_session_or_nothing(way: Way, fresh: str) -> None:
    append_text(way, fresh, *[str(number) for number in range(1, 1001)], user_id=fresh)
    for number in range(4):
        append_text(way, f"{number} {fresh}", *["Hello"] * 500, user_id=fresh)

    def read() -> list[tuple[int, Any]]:
        seen: list[tuple[int, Any]] = []
        while len(seen) < 200 and (not seen or seen[-1][0] != 404):
            memory = way.request("GET", MEMORY, fresh, params={"last": 1000})
            is_whole = memory.status != 200 or len(memory.json["messages"]) == 1000
            seen.append((memory.status, is_whole))
        return seen

    def delete() -> list[tuple[int, Any]]:
        return [(way.request("DELETE", USER, fresh).status, None)]

    *readers, deleted = concurrently(read, read, delete)
    assert deleted == [(200, None)]
    for seen in readers:
        assert all(is_whole for _, is_whole in seen)
        in_time = [status for status, _ in seen]
        assert in_time == sorted(in_time, key=[200, 410, 404].index)


def test_an_erasure_has_its_subject_id_only_while_it_runs(way: Way, fresh: str) -> None:
    for number in range(4):
        append_text(way, f"{number} {fresh}", *["Hello"] * 1000, user_id=fresh)
    uuid = get_user(way, fresh)["uuid"]

    def watch() -> list[Any]:
        seen: list[Any] = []
        for _ in range(500):
            newest = way.request("GET", ERASURES, params={"order": "-created", "limit": 1})
            seen += [each for each in newest.json["items"] if each["subject_uuid"] == uuid]
            if seen and seen[-1]["state"] == "deleted":
                break
        return seen

    def delete() -> list[Any]:
        return [way.request("DELETE", USER, fresh).json]

    seen, [deleted] = concurrently(watch, delete)
    for erasure in seen:
        is_running = erasure["state"] == "deleting"
        assert erasure["subject_id"] == (fresh if is_running else None)
        assert (erasure["deleted_at"] is None) == is_running
        assert (erasure["id"], erasure["started_at"]) == (deleted["id"], deleted["started_at"])
    counts = [erasure["counts"]["messages"] for erasure in [*seen, deleted]]
    assert counts == sorted(counts)
    assert counts[-1] == 4000


@pytest.mark.parametrize("noun", ["users", "sessions", "messages"])
def test_a_list_has_all_unchanged_rows_while_others_change(way: Way, fresh: str, noun: str) -> None:
    count = 40
    names = [str(number) for number in range(count)]
    going, staying = names[::2], names[1::2]
    path, ids, params, add, remove = rows(way, fresh, noun)
    for name in names:
        add(name)

    def list_all(limit: int) -> list[list[str]]:
        lists = []
        for _ in range(3):
            listed = pages(way, path, *ids, limit=limit, **params)
            lists.append([name_of(row, fresh) for page in listed for row in page])
        return lists

    def add_and_remove() -> list[list[str]]:
        for name in going:
            remove(name)
            add(f"new {name}")
        return []

    for lists in concurrently(partial(list_all, 4), partial(list_all, 7), add_and_remove):
        for names_listed in lists:
            assert len(names_listed) == len(set(names_listed))
            assert [name for name in names_listed if name in staying] == staying
            old = [name for name in names_listed if name in names]
            assert old == sorted(old, key=int)
            assert names_listed[: len(old)] == old


def rows(way: Way, fresh: str, noun: str) -> tuple[Any, ...]:
    """Return the path, ids and parameters of a list, and functions that add and remove a row."""
    uuids: dict[str, str] = {}
    if noun == "messages":
        open_session(way, fresh)

        def add_message(name: str) -> None:
            uuids[name] = append(way, fresh, {"role": "user", "content": f"{fresh}/{name}"})[0][
                "id"
            ]

        def remove_message(name: str) -> None:
            assert way.request("DELETE", MESSAGE, fresh, uuids[name]).status == 200

        return MESSAGES, (fresh,), {}, add_message, remove_message
    if noun == "users":

        def add_one(name: str) -> None:
            add_user(way, f"{fresh}/{name}", email=fresh)

        path, where, params = USERS, USER, {"email": fresh}
    else:
        add_user(way, fresh)

        def add_one(name: str) -> None:
            open_session(way, f"{fresh}/{name}", user_id=fresh)

        path, where, params = SESSIONS, SESSION, {"user_id": fresh}

    def remove(name: str) -> None:
        assert way.request("DELETE", where, f"{fresh}/{name}").status == 200

    return path, (), params, add_one, remove


def name_of(row: Any, fresh: str) -> str:
    """Return the name that a row was added with."""
    text: str = row.get("content") or row.get("session_id") or row["user_id"]
    return text.removeprefix(f"{fresh}/")


# Searches.


def test_a_search_that_starts_after_a_delete_finds_no_deleted_data(way: Way, fresh: str) -> None:
    word = uuid4().hex
    for number in range(10):
        append_text(way, f"{number} {fresh}", *[f"I bought {word}"] * 50, user_id=fresh)
    is_deleted = threading.Event()

    def search_repeatedly(**where: str) -> list[bool]:
        """Search until after the delete; return whether each search found deleted data."""
        found_late: list[bool] = []
        for query in itertools.cycle((word, None)):
            is_late = is_deleted.is_set()
            asked = {**where, "limit": 1000, **({"query": query} if query else {})}
            reply = way.request("POST", SEARCH, json=asked)
            hits = reply.json["items"] if reply.status == 200 else []
            is_found = any(fresh in hit["message"]["session_id"] for hit in hits)
            found_late.append(is_late and is_found)
            if is_late and query is None:
                break
        return found_late

    def delete_them() -> list[bool]:
        delete(way, USER, fresh)
        is_deleted.set()
        return []

    wheres: list[dict[str, str]] = [{}, {"user_id": fresh}, {"session_id": f"3 {fresh}"}]
    searches = concurrently(*(partial(search_repeatedly, **where) for where in wheres), delete_them)
    assert not any(any(found_late) for found_late in searches)
