"""Lists of users and sessions on `/api/v1`: both meanings of the cursor, and long lists."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import pytest

from tests.compat.steps import (
    Page,
    Row,
    add_users,
    by_last_id,
    by_offset,
    delete_users,
    ok,
    pages_of,
    user_ids_of,
)
from tests.conftest import ENGINES, fresh_settings
from tests.http.clients import InProcessClient, Request, serve_in_process
from tests.long.counts import count

ALL_IDS = [f"u{number:05}" for number in range(2_500)]

Paginate = Callable[[Page], Iterator[list[Row]]]
PAGINATIONS: list[Any] = [
    pytest.param(lambda page: by_offset(page, 100), id="by_offset"),
    pytest.param(by_last_id, id="by_last_id"),
]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def populated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """A client of a server with 2,500 users, u00000 to u02499, which no test deletes."""
    folder = tmp_path_factory.mktemp("lists")
    with serve_in_process(fresh_settings(request.param, folder)) as client:
        assert add_users(client, 2_500) == ALL_IDS
        yield client


def test_a_list_without_a_limit_is_streamed_whole(populated: InProcessClient) -> None:
    response = populated.send("GET", "/api/v1/user")
    assert [user["user_id"] for user in response.json] == ALL_IDS
    assert [user["id"] for user in response.json] == list(range(1, 2_501))
    assert response.pieces > 2, "it is streamed in batches"
    assert "content-length" not in response.headers


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=&cursor=", "limit=-5&cursor=-5"])
def test_zero_negative_and_empty_limits_mean_no_limit(client: InProcessClient, query: str) -> None:
    all_ids = add_users(client, 3)
    assert [user["user_id"] for user in ok(client.send("GET", f"/api/v1/user?{query}"))] == all_ids


def test_a_list_that_ends_at_a_batch_boundary_is_complete(client: InProcessClient) -> None:
    for total, added in ((999, 999), (1_000, 1), (1_001, 1), (2_000, 999)):
        all_ids = add_users(client, added, prefix=f"{total}-")
        assert len(set(all_ids)) == len(all_ids) == total


def test_a_limit_can_exceed_the_batch_size(populated: InProcessClient) -> None:
    for limit in (1_000, 1_001, 1_500, 2_000, 2_499, 2_500, 2_501, 9_999, 2**63 - 1):
        rows = ok(populated.send("GET", f"/api/v1/user?limit={limit}"))
        assert [row["user_id"] for row in rows] == ALL_IDS[:limit], limit
        assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))


def test_pages_larger_than_a_batch_are_consecutive(populated: InProcessClient) -> None:
    assert user_ids_of(by_offset(pages_of(populated, "/api/v1/user", 1_200), 1_200)) == ALL_IDS
    assert user_ids_of(by_last_id(pages_of(populated, "/api/v1/user", 1_200))) == ALL_IDS


def test_a_cursor_without_a_limit_skips_as_many_rows(populated: InProcessClient) -> None:
    rows = ok(populated.send("GET", "/api/v1/user?cursor=700"))
    assert [row["user_id"] for row in rows] == ALL_IDS[700:]
    assert rows[0]["id"] == 701


def test_deleting_each_page_by_offset_deletes_all_users(client: InProcessClient) -> None:
    all_ids = add_users(client, count(2_500))
    listed = []
    for rows in by_offset(pages_of(client, "/api/v1/user", 30), 30):
        user_ids = [row["user_id"] for row in rows]
        delete_users(client, user_ids)
        listed += user_ids
    assert listed == all_ids
    assert ok(client.send("GET", "/api/v1/user")) == []


def test_deleting_each_page_by_last_id_deletes_all_users(client: InProcessClient) -> None:
    all_ids = add_users(client, 250)
    listed = []
    for rows in by_last_id(pages_of(client, "/api/v1/user", 30)):
        user_ids = [row["user_id"] for row in rows]
        delete_users(client, user_ids)
        listed += user_ids
    assert listed == all_ids
    assert ok(client.send("GET", "/api/v1/user")) == []


@pytest.mark.parametrize("paginate", PAGINATIONS)
def test_remaining_users_are_listed_once_after_deletions_in_the_middle(
    client: InProcessClient, paginate: Paginate
) -> None:
    all_ids = add_users(client, 250)
    delete_users(client, all_ids[75:175])
    left = all_ids[:75] + all_ids[175:]
    assert user_ids_of(paginate(pages_of(client, "/api/v1/user", 100))) == left


@pytest.mark.parametrize("paginate", PAGINATIONS)
def test_deletions_while_paginating_shift_no_rows(
    client: InProcessClient, paginate: Paginate
) -> None:
    all_ids = add_users(client, 250)
    pages = paginate(pages_of(client, "/api/v1/user", 100))
    first = next(pages)
    delete_users(client, all_ids[20:90] + all_ids[120:130])
    rest = user_ids_of(pages)
    assert [row["user_id"] for row in first] == all_ids[:100]
    assert rest == all_ids[100:120] + all_ids[130:]


@pytest.mark.parametrize("paginate", PAGINATIONS)
def test_users_created_while_paginating_come_last(
    client: InProcessClient, paginate: Paginate
) -> None:
    all_ids = add_users(client, 250)
    pages = paginate(pages_of(client, "/api/v1/user", 100))
    listed = [row["user_id"] for row in next(pages)]
    added = add_users(client, 3, prefix="later")[-3:]
    assert listed + user_ids_of(pages) == all_ids + added


def test_one_client_can_paginate_twice_at_once(populated: InProcessClient) -> None:
    page = pages_of(populated, "/api/v1/user", 240)
    ahead, behind = by_offset(page, 240), by_offset(page, 240)
    listed: tuple[list[str], list[str]] = ([], [])
    listed[0].extend(row["user_id"] for row in next(ahead))
    for one, other in zip_longest(ahead, behind, fillvalue=()):
        listed[0].extend(row["user_id"] for row in one)
        listed[1].extend(row["user_id"] for row in other)
    assert listed == (ALL_IDS, ALL_IDS)


def test_two_clients_can_delete_users_while_both_paginate(
    client: InProcessClient,
) -> None:
    all_ids = add_users(client, 400)
    first = by_offset(pages_of(client, "/api/v1/user", 50, address="10.0.0.1"), 50)
    second = by_offset(pages_of(client, "/api/v1/user", 50, address="10.0.0.2"), 50)
    deleted: set[str] = set()
    seen: tuple[list[str], list[str]] = ([], [])
    for pages in zip_longest(first, second, fillvalue=()):
        for parity, rows in enumerate(pages):
            user_ids = [row["user_id"] for row in rows]
            seen[parity].extend(user_ids)
            mine = [each for each in user_ids if int(each[1:]) % 2 == parity]
            delete_users(client, mine)
            deleted.update(mine)
    assert deleted == set(all_ids)
    assert len(set(seen[0])) == len(seen[0])
    assert len(set(seen[1])) == len(seen[1])
    assert ok(client.send("GET", "/api/v1/user")) == []


def test_lists_of_users_and_sessions_have_separate_cursors(client: InProcessClient) -> None:
    add_users(client, 20)
    client.send_in_turn(
        Request("POST", "/api/v1/sessions", {"session_id": f"s{number}"}) for number in range(20)
    )
    users = by_offset(pages_of(client, "/api/v1/user", 7), 7)
    next(users)
    delete_users(client, [f"u{number:05}" for number in range(7)])
    sessions = by_offset(pages_of(client, "/api/v1/sessions", 7), 7)
    assert [row["session_id"] for rows in sessions for row in rows] == [f"s{n}" for n in range(20)]
    assert len(user_ids_of(users)) == 13


def test_an_unknown_cursor_is_an_offset(populated: InProcessClient) -> None:
    for limit, cursor in ((1, 1), (7, 130), (100, 2_499), (10, 2_490), (10, 2_495)):
        target = f"/api/v1/user?limit={limit}&cursor={cursor}"
        rows = ok(populated.send("GET", target, address="10.0.0.3"))
        assert [row["user_id"] for row in rows] == ALL_IDS[cursor : cursor + limit]
        assert [row["id"] for row in rows] == list(range(cursor + 1, cursor + 1 + len(rows)))


@pytest.mark.parametrize("cursor", [2_500, 2_501, 99_999_999, 2**63 - 1])
def test_pages_beyond_the_end_are_empty(populated: InProcessClient, cursor: int) -> None:
    for limit in ("", 0, 10, 2_000):
        response = populated.send("GET", f"/api/v1/user?limit={limit}&cursor={cursor}")
        assert (response.status, response.body) == (200, b"[]")


def test_paginating_again_lists_all_users_again(client: InProcessClient) -> None:
    all_ids = add_users(client, 30)
    page = pages_of(client, "/api/v1/user", 10)
    pages = by_offset(page, 10)
    next(pages)
    next(pages)
    assert user_ids_of(by_offset(page, 10)) == all_ids


@pytest.mark.parametrize("size", [1, 7, 100])
def test_sessions_are_paginated_like_users(client: InProcessClient, size: int) -> None:
    session_ids = [f"s{number:05}" for number in range(150)]
    client.send_in_turn(
        Request("POST", "/api/v1/sessions", {"session_id": session_id})
        for session_id in session_ids
    )
    for pages in (
        by_offset(pages_of(client, "/api/v1/sessions", size), size),
        by_last_id(pages_of(client, "/api/v1/sessions", size)),
    ):
        assert [row["session_id"] for rows in pages for row in rows] == session_ids


def test_the_sessions_of_a_user_are_not_paginated_and_have_the_id_0(
    client: InProcessClient,
) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    client.send_all(
        Request("POST", "/api/v1/sessions", {"session_id": f"s{number}", "user_id": "jane"})
        for number in range(1_100)
    )
    rows = ok(client.send("GET", "/api/v1/user/jane/sessions?limit=5"))
    assert {row["session_id"] for row in rows} == {f"s{number}" for number in range(1_100)}
    assert {row["id"] for row in rows} == {0}


def test_a_single_user_has_a_stable_number(client: InProcessClient) -> None:
    all_ids = add_users(client, 10)
    before = ok(client.send("GET", f"/api/v1/user/{all_ids[-1]}"))["id"]
    delete_users(client, all_ids[:5])
    assert ok(client.send("GET", f"/api/v1/user/{all_ids[-1]}"))["id"] == before
    assert ok(client.send("GET", "/api/v1/user"))[-1]["id"] == 5
    added = ok(client.send("POST", "/api/v1/user", {"user_id": "later"}))
    assert added["id"] > before


@pytest.mark.parametrize("value", ["abc", "1.5", "%201", "0x10", "1e3", "9223372036854775808"])
@pytest.mark.parametrize("name", ["limit", "cursor"])
@pytest.mark.parametrize("path", ["/api/v1/user", "/api/v1/sessions"])
def test_a_number_beyond_64_bits_is_rejected(
    shared: InProcessClient, path: str, name: str, value: str
) -> None:
    assert shared.send("GET", f"{path}?{name}={value}").status == 400


def test_the_first_of_repeated_parameters_counts(client: InProcessClient) -> None:
    add_users(client, 5)
    assert len(ok(client.send("GET", "/api/v1/user?limit=2&limit=4&limit=x"))) == 2
