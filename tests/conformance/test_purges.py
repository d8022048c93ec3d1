"""Purges: an erasure shows if and when it was purged."""

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
    append_text,
    contents,
    delete,
    error_of,
    get_user,
    invalid,
    moment,
    open_session,
    pages,
    purged,
    search,
)
from tests.ways import Way


def test_a_user_can_be_purged_immediately(way: Way, fresh: str) -> None:
    append_text(way, f"of {fresh}", "I live in Oslo", "I moved to Rome", user_id=fresh)
    erasure = purged(way, USER, fresh)
    assert moment(erasure["purged_at"]) > moment(erasure["deleted_at"])
    assert erasure["counts"] == {"users": 1, "sessions": 1, "messages": 2, "documents": 0}
    assert erasure["purge"] == NOT_BEGUN
    assert way.request("GET", ERASURE, erasure["id"]).json == erasure


@pytest.mark.parametrize("path", [SESSION, MESSAGE])
def test_a_session_or_a_message_can_be_purged_immediately(way: Way, fresh: str, path: str) -> None:
    open_session(way, fresh)
    [message] = append(way, fresh, {"role": "user", "content": "I live in Oslo"})
    ids = (fresh,) if path == SESSION else (fresh, message["id"])
    assert purged(way, path, *ids)["counts"]["messages"] == 1


def test_a_deleted_user_is_not_purged_immediately_by_default(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = delete(way, USER, fresh)
    assert (erasure["purged_at"], erasure["purge"]) == (None, NOT_BEGUN)


def test_an_erasure_can_be_purged_later(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    uuid = delete(way, USER, fresh)["id"]
    asked = way.request("POST", PURGE, uuid)
    assert asked.status in {200, 202}
    assert _at_the_end(way, asked)["state"] == "purged"


def test_requesting_a_purge_again_changes_nothing(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = purged(way, USER, fresh)
    again = way.request("POST", PURGE, erasure["id"])
    assert (again.status, again.json) == (200, erasure)


def test_one_purge_covers_all_earlier_erasures(way: Way, fresh: str) -> None:
    for number in range(3):
        add_user(way, f"{number} {fresh}")
    erasures = [delete(way, USER, f"{number} {fresh}")["id"] for number in range(2)]
    erasures.append(purged(way, USER, f"2 {fresh}")["id"])
    states = [way.request("GET", ERASURE, uuid).json["state"] for uuid in erasures]
    assert states == ["purged"] * 3


def test_lists_show_which_erasures_are_purged(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    erasure = purged(way, USER, fresh)
    newest = next(pages(way, ERASURES, order="-created", limit=1))
    assert newest == [erasure]


def test_data_of_other_users_can_be_read_and_searched_after_a_purge(way: Way, fresh: str) -> None:
    append_text(way, f"stays {fresh}", "The blue shoes arrived", user_id=f"john {fresh}")
    append_text(way, f"goes {fresh}", "The blue shoes were lost", user_id=fresh)
    purged(way, USER, fresh)
    assert get_user(way, f"john {fresh}")["user_id"] == f"john {fresh}"
    assert contents(way, f"stays {fresh}") == ["The blue shoes arrived"]
    [hit] = search(way, "shoes", user_id=f"john {fresh}")
    assert hit["message"]["session_id"] == f"stays {fresh}"
    assert append_text(way, f"stays {fresh}", "They fit").status == 201
    assert len(search(way, "shoes fit", user_id=f"john {fresh}")) == 2


def test_an_id_can_be_reused_after_a_purge_and_inherits_nothing(way: Way, fresh: str) -> None:
    uuid = add_user(way, fresh, email="jane@example.org")["uuid"]
    purged(way, USER, fresh)
    new_user = add_user(way, fresh)
    assert new_user["uuid"] != uuid
    assert new_user["email"] is None


def test_a_purge_keeps_the_edited_content_of_a_message(way: Way, fresh: str) -> None:
    append_text(way, f"stays {fresh}", "I live in Oslo", user_id=f"john {fresh}")
    [message] = way.request("GET", MESSAGES, f"stays {fresh}").json["items"]
    path_ids = (f"stays {fresh}", message["id"])
    way.request("PATCH", MESSAGE, *path_ids, json={"content": "I live in Rome"})
    add_user(way, fresh)
    purged(way, USER, fresh)
    assert contents(way, f"stays {fresh}") == ["I live in Rome"]
    assert search(way, "Oslo", user_id=f"john {fresh}") == []


def test_a_purge_of_an_unknown_erasure_is_not_found(way: Way, fresh: str) -> None:
    uuid = add_user(way, fresh)["uuid"]
    for unknown in (uuid, fresh, "1"):
        assert error_of(way.request("POST", PURGE, unknown)) == NOT_FOUND


@pytest.mark.parametrize("value", ["later", "", "NOW", "1"])
def test_an_invalid_purge_parameter_is_rejected(way: Way, fresh: str, value: str) -> None:
    add_user(way, fresh)
    rejected = way.request("DELETE", USER, fresh, params={"purge": value})
    assert error_of(rejected) == invalid("purge")
    assert get_user(way, fresh)["user_id"] == fresh


def _at_the_end(way: Way, asked: Any) -> Any:
    uuid = asked.json["id"]
    while asked.json["state"] != "purged":
        asked = way.request("POST", PURGE, uuid)
    return asked.json
