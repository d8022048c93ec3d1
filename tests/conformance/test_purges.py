"""Purges, by every way in: an erasure that was asked to be purged says so, and when it is so."""

from typing import Any

import pytest

from tests.conformance.steps import (
    ERASURE,
    ERASURES,
    MESSAGE,
    MESSAGES,
    NOT_BEGUN,
    NOT_FOUND,
    PURGE,
    SESSION,
    USER,
    add_user,
    append,
    contents,
    delete,
    get_user,
    invalid,
    moment,
    open_session,
    pages,
    purged,
    refusal,
    say,
    search,
)
from tests.ways import Way


def test_a_user_is_purged_at_once_where_that_is_asked_for(way: Way, fresh: str) -> None:
    say(way, f"of {fresh}", "I live in Oslo", "I moved to Rome", user_id=fresh)
    erasure = purged(way, USER, fresh)
    assert moment(erasure["purged_at"]) > moment(erasure["deleted_at"])
    assert erasure["counts"] == {"users": 1, "sessions": 1, "messages": 2}
    assert erasure["purge"] == NOT_BEGUN
    assert way.request("GET", ERASURE, erasure["id"]).json == erasure


@pytest.mark.parametrize("path", [SESSION, MESSAGE])
def test_so_are_a_session_and_a_message(way: Way, fresh: str, path: str) -> None:
    open_session(way, fresh)
    [message] = append(way, fresh, {"content": "I live in Oslo"})
    ids = (fresh,) if path == SESSION else (fresh, message["uuid"])
    assert purged(way, path, *ids)["counts"]["messages"] == 1


def test_what_nobody_asked_for_is_deleted_and_not_yet_purged(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = delete(way, USER, fresh)
    assert (erasure["purged_at"], erasure["purge"]) == (None, NOT_BEGUN)


def test_an_erasure_can_be_purged_afterwards(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    uuid = delete(way, USER, fresh)["id"]
    asked = way.request("POST", PURGE, uuid)
    assert asked.status in {200, 202}
    assert _at_the_end(way, asked)["state"] == "purged"


def test_to_ask_for_a_purge_again_changes_nothing(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = purged(way, USER, fresh)
    again = way.request("POST", PURGE, erasure["id"])
    assert (again.status, again.json) == (200, erasure)


def test_one_purge_serves_all_that_was_deleted_before(way: Way, fresh: str) -> None:
    for number in range(3):
        add_user(way, f"{number} {fresh}")
    erasures = [delete(way, USER, f"{number} {fresh}")["id"] for number in range(2)]
    erasures.append(purged(way, USER, f"2 {fresh}")["id"])
    states = [way.request("GET", ERASURE, uuid).json["state"] for uuid in erasures]
    assert states == ["purged"] * 3


def test_lists_say_which_are_purged(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = purged(way, USER, fresh)
    newest = next(pages(way, ERASURES, order="-created", limit=1))
    assert newest == [erasure]


def test_others_keep_what_is_theirs_and_find_it(way: Way, fresh: str) -> None:
    say(way, f"stays {fresh}", "The blue shoes arrived", user_id=f"john {fresh}")
    say(way, f"goes {fresh}", "The blue shoes were lost", user_id=fresh)
    purged(way, USER, fresh)
    assert get_user(way, f"john {fresh}")["user_id"] == f"john {fresh}"
    assert contents(way, f"stays {fresh}") == ["The blue shoes arrived"]
    [hit] = search(way, "shoes", user_id=f"john {fresh}")
    assert hit["message"]["session_id"] == f"stays {fresh}"
    assert say(way, f"stays {fresh}", "They fit").status == 201
    assert len(search(way, "shoes fit", user_id=f"john {fresh}")) == 2


def test_a_namesake_may_come_at_once_and_shares_nothing(way: Way, fresh: str) -> None:
    uuid = add_user(way, fresh, email="jane@example.org")["uuid"]
    purged(way, USER, fresh)
    namesake = add_user(way, fresh)
    assert namesake["uuid"] != uuid
    assert namesake["email"] is None


def test_an_edited_message_reads_as_it_was_edited_after_a_purge(way: Way, fresh: str) -> None:
    say(way, f"stays {fresh}", "I live in Oslo", user_id=f"john {fresh}")
    [message] = way.request("GET", MESSAGES, f"stays {fresh}").json["items"]
    path_ids = (f"stays {fresh}", message["uuid"])
    way.request("PATCH", MESSAGE, *path_ids, json={"content": "I live in Rome"})
    add_user(way, fresh)
    purged(way, USER, fresh)
    assert contents(way, f"stays {fresh}") == ["I live in Rome"]
    assert search(way, "Oslo", user_id=f"john {fresh}") == []


def test_a_purge_of_nothing_is_not_found(way: Way, fresh: str) -> None:
    uuid = add_user(way, fresh)["uuid"]
    for unknown in (uuid, fresh, "1"):
        assert refusal(way.request("POST", PURGE, unknown)) == NOT_FOUND


@pytest.mark.parametrize("value", ["later", "", "NOW", "1"])
def test_a_purge_is_now_or_left_to_the_server(way: Way, fresh: str, value: str) -> None:
    add_user(way, fresh)
    refused = way.request("DELETE", USER, fresh, params={"purge": value})
    assert refusal(refused) == invalid("purge")
    assert get_user(way, fresh)["user_id"] == fresh


def _at_the_end(way: Way, asked: Any) -> Any:
    uuid = asked.json["id"]
    while asked.json["state"] != "purged":
        asked = way.request("POST", PURGE, uuid)
    return asked.json
