"""Lists of users and sessions on `/api/v1`: both readings of the cursor, and all of a long list."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import pytest

from tests.compat.steps import (
    Page,
    Row,
    add_users,
    after_last_id,
    chunks,
    delete_users,
    ok,
    pages_of,
    user_ids_of,
)
from tests.conftest import ENGINES, fresh_settings
from tests.http.doors import InProcess, Request, in_process

CROWD = [f"u{number:05}" for number in range(2_500)]

Walk = Callable[[Page], Iterator[list[Row]]]
WALKS: list[Any] = [
    pytest.param(lambda page: chunks(page, 100), id="by_chunks"),
    pytest.param(after_last_id, id="by_the_last_id"),
]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def crowded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcess]:
    """A server with 2,500 users, from u00000 to u02499, whom nobody deletes."""
    folder = tmp_path_factory.mktemp("crowded")
    with in_process(fresh_settings(request.param, folder)) as doors:
        assert add_users(doors, 2_500) == CROWD
        yield doors


def test_a_list_without_a_limit_gives_all_in_pieces(crowded: InProcess) -> None:
    answer = crowded.send("GET", "/api/v1/user")
    assert [user["user_id"] for user in answer.json] == CROWD
    assert [user["id"] for user in answer.json] == list(range(1, 2_501))
    assert answer.pieces > 2, "it is streamed in batches"
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=&cursor=", "limit=-5&cursor=-5"])
def test_no_limit_has_many_spellings(doors: InProcess, query: str) -> None:
    everybody = add_users(doors, 3)
    assert [user["user_id"] for user in ok(doors.send("GET", f"/api/v1/user?{query}"))] == everybody


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 2_000])
def test_a_list_that_ends_near_a_batch_is_whole(doors: InProcess, count: int) -> None:
    everybody = add_users(doors, count)
    assert len(everybody) == count
    assert len(set(everybody)) == count


def test_a_limit_may_be_greater_than_a_batch(crowded: InProcess) -> None:
    for limit in (1_000, 1_001, 1_500, 2_000, 2_499, 2_500, 2_501, 9_999, 2**63 - 1):
        rows = ok(crowded.send("GET", f"/api/v1/user?limit={limit}"))
        assert [row["user_id"] for row in rows] == CROWD[:limit], limit
        assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))


def test_pages_greater_than_a_batch_follow_each_other(crowded: InProcess) -> None:
    assert user_ids_of(chunks(pages_of(crowded, "/api/v1/user", 1_200), 1_200)) == CROWD
    assert user_ids_of(after_last_id(pages_of(crowded, "/api/v1/user", 1_200))) == CROWD


def test_a_cursor_without_a_limit_leaves_out_that_many(crowded: InProcess) -> None:
    rows = ok(crowded.send("GET", "/api/v1/user?cursor=700"))
    assert [row["user_id"] for row in rows] == CROWD[700:]
    assert rows[0]["id"] == 701


def test_deleting_each_page_that_is_shown_leaves_nobody(doors: InProcess) -> None:
    everybody = add_users(doors, 2_500)
    shown = []
    for rows in chunks(pages_of(doors, "/api/v1/user", 100), 100):
        user_ids = [row["user_id"] for row in rows]
        delete_users(doors, user_ids)
        shown += user_ids
    assert shown == everybody
    assert ok(doors.send("GET", "/api/v1/user")) == []


def test_deleting_each_page_by_its_last_id_leaves_nobody(doors: InProcess) -> None:
    everybody = add_users(doors, 250)
    shown = []
    for rows in after_last_id(pages_of(doors, "/api/v1/user", 30)):
        user_ids = [row["user_id"] for row in rows]
        delete_users(doors, user_ids)
        shown += user_ids
    assert shown == everybody
    assert ok(doors.send("GET", "/api/v1/user")) == []


@pytest.mark.parametrize("walk", WALKS)
def test_with_100_of_250_deleted_in_the_middle_each_is_seen_once(
    doors: InProcess, walk: Walk
) -> None:
    everybody = add_users(doors, 250)
    delete_users(doors, everybody[75:175])
    left = everybody[:75] + everybody[175:]
    assert user_ids_of(walk(pages_of(doors, "/api/v1/user", 100))) == left


@pytest.mark.parametrize("walk", WALKS)
def test_who_is_deleted_during_a_walk_moves_nobody(doors: InProcess, walk: Walk) -> None:
    everybody = add_users(doors, 250)
    pages = walk(pages_of(doors, "/api/v1/user", 100))
    first = next(pages)
    delete_users(doors, everybody[20:90] + everybody[120:130])
    rest = user_ids_of(pages)
    assert [row["user_id"] for row in first] == everybody[:100]
    assert rest == everybody[100:120] + everybody[130:]


@pytest.mark.parametrize("walk", WALKS)
def test_who_is_added_during_a_walk_comes_at_the_end(doors: InProcess, walk: Walk) -> None:
    everybody = add_users(doors, 250)
    pages = walk(pages_of(doors, "/api/v1/user", 100))
    shown = [row["user_id"] for row in next(pages)]
    added = add_users(doors, 3, prefix="later")[-3:]
    assert shown + user_ids_of(pages) == everybody + added


def test_two_walks_of_one_client_do_not_disturb_each_other(doors: InProcess) -> None:
    everybody = add_users(doors, 950)
    page = pages_of(doors, "/api/v1/user", 100)
    ahead, behind = chunks(page, 100), chunks(page, 100)
    shown: tuple[list[str], list[str]] = ([], [])
    shown[0].extend(row["user_id"] for row in next(ahead))
    for one, other in zip_longest(ahead, behind, fillvalue=()):
        shown[0].extend(row["user_id"] for row in one)
        shown[1].extend(row["user_id"] for row in other)
    assert shown == (everybody, everybody)


def test_two_clients_that_delete_different_halves_both_see_everybody(doors: InProcess) -> None:
    everybody = add_users(doors, 400)
    first = chunks(pages_of(doors, "/api/v1/user", 50, address="10.0.0.1"), 50)
    second = chunks(pages_of(doors, "/api/v1/user", 50, address="10.0.0.2"), 50)
    deleted: set[str] = set()
    seen: tuple[list[str], list[str]] = ([], [])
    for pages in zip_longest(first, second, fillvalue=()):
        for parity, rows in enumerate(pages):
            user_ids = [row["user_id"] for row in rows]
            seen[parity].extend(user_ids)
            mine = [each for each in user_ids if int(each[1:]) % 2 == parity]
            delete_users(doors, mine)
            deleted.update(mine)
    assert deleted == set(everybody)
    assert len(set(seen[0])) == len(seen[0])
    assert len(set(seen[1])) == len(seen[1])
    assert ok(doors.send("GET", "/api/v1/user")) == []


def test_lists_of_users_and_of_sessions_have_cursors_of_their_own(doors: InProcess) -> None:
    add_users(doors, 20)
    doors.send_in_turn(
        Request("POST", "/api/v1/sessions", {"session_id": f"s{number}"}) for number in range(20)
    )
    users = chunks(pages_of(doors, "/api/v1/user", 7), 7)
    next(users)
    delete_users(doors, [f"u{number:05}" for number in range(7)])
    sessions = chunks(pages_of(doors, "/api/v1/sessions", 7), 7)
    assert [row["session_id"] for rows in sessions for row in rows] == [f"s{n}" for n in range(20)]
    assert len(user_ids_of(users)) == 13


def test_a_cursor_that_nobody_remembers_is_an_offset(doors: InProcess) -> None:
    everybody = add_users(doors, 250)
    for limit, cursor in ((1, 1), (7, 130), (100, 249), (10, 240), (10, 245)):
        rows = ok(doors.send("GET", f"/api/v1/user?limit={limit}&cursor={cursor}"))
        assert [row["user_id"] for row in rows] == everybody[cursor : cursor + limit]
        assert [row["id"] for row in rows] == list(range(cursor + 1, cursor + 1 + len(rows)))


@pytest.mark.parametrize("cursor", [250, 251, 99_999_999, 2**63 - 1])
def test_beyond_the_end_there_is_nobody(doors: InProcess, cursor: int) -> None:
    add_users(doors, 250)
    for limit in ("", 0, 10, 2_000):
        answer = doors.send("GET", f"/api/v1/user?limit={limit}&cursor={cursor}")
        assert (answer.status, answer.body) == (200, b"[]")


def test_a_walk_begun_again_shows_everybody_again(doors: InProcess) -> None:
    everybody = add_users(doors, 30)
    page = pages_of(doors, "/api/v1/user", 10)
    walk = chunks(page, 10)
    next(walk)
    next(walk)
    assert user_ids_of(chunks(page, 10)) == everybody


@pytest.mark.parametrize("size", [1, 7, 100])
def test_sessions_are_paged_as_users_are(doors: InProcess, size: int) -> None:
    session_ids = [f"s{number:05}" for number in range(150)]
    doors.send_in_turn(
        Request("POST", "/api/v1/sessions", {"session_id": session_id})
        for session_id in session_ids
    )
    for walk in (
        chunks(pages_of(doors, "/api/v1/sessions", size), size),
        after_last_id(pages_of(doors, "/api/v1/sessions", size)),
    ):
        assert [row["session_id"] for rows in walk for row in rows] == session_ids


def test_the_sessions_of_a_user_come_all_at_once_and_each_has_the_id_0(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    doors.send_all(
        Request("POST", "/api/v1/sessions", {"session_id": f"s{number}", "user_id": "jane"})
        for number in range(1_100)
    )
    rows = ok(doors.send("GET", "/api/v1/user/jane/sessions?limit=5"))
    assert {row["session_id"] for row in rows} == {f"s{number}" for number in range(1_100)}
    assert {row["id"] for row in rows} == {0}


def test_a_single_user_has_a_number_that_stays(doors: InProcess) -> None:
    everybody = add_users(doors, 10)
    before = ok(doors.send("GET", f"/api/v1/user/{everybody[-1]}"))["id"]
    delete_users(doors, everybody[:5])
    assert ok(doors.send("GET", f"/api/v1/user/{everybody[-1]}"))["id"] == before
    assert ok(doors.send("GET", "/api/v1/user"))[-1]["id"] == 5
    added = ok(doors.send("POST", "/api/v1/user", {"user_id": "later"}))
    assert added["id"] > before


@pytest.mark.parametrize("value", ["abc", "1.5", "%201", "0x10", "1e3", "9223372036854775808"])
@pytest.mark.parametrize("name", ["limit", "cursor"])
@pytest.mark.parametrize("path", ["/api/v1/user", "/api/v1/sessions"])
def test_what_is_no_integer_of_64_bits_is_refused(
    shared: InProcess, path: str, name: str, value: str
) -> None:
    assert shared.send("GET", f"{path}?{name}={value}").status == 400


def test_of_a_repeated_parameter_the_first_counts(doors: InProcess) -> None:
    add_users(doors, 5)
    assert len(ok(doors.send("GET", "/api/v1/user?limit=2&limit=4&limit=x"))) == 2
