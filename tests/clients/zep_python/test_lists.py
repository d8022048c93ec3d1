"""Lists of all users and all sessions.

The client's own iterators count rows (`cursor` = 100, 200 …), other callers send the last `id` they
saw. Both must see everyone once, whatever is deleted meanwhile. The server remembers cursors by
limit, so each test has a chunk size of its own.
"""

import pytest
from zep_python import Session
from zep_python.user import CreateUserRequest


class Users:
    def __init__(self, zep, mark):
        self.zep = zep
        self.mark = mark

    def add(self, number):
        self.zep.user.add(CreateUserRequest(user_id=f"{self.mark}-{number}"))

    def delete(self, number):
        self.zep.user.delete(f"{self.mark}-{number}")

    def page(self, limit=None, cursor=None):
        return self.zep.user.list(limit=limit, cursor=cursor)

    def chunks(self, size):
        return self.zep.user.list_chunked(chunk_size=size)

    def numbers(self, page):
        return self._own(user.user_id for user in page)

    def _own(self, names):
        return [int(name.split("-")[1]) for name in names if name.startswith(self.mark)]


class Sessions(Users):
    def add(self, number):
        self.zep.memory.add_session(Session(session_id=f"{self.mark}-{number}"))

    def delete(self, number):
        self.zep.memory.delete_memory(f"{self.mark}-{number}")

    def page(self, limit=None, cursor=None):
        return self.zep.memory.list_sessions(limit=limit, cursor=cursor)

    def chunks(self, size):
        return self.zep.memory.list_all_sessions(chunk_size=size)

    def numbers(self, page):
        return self._own(session.session_id for session in page)


@pytest.fixture(params=[Users, Sessions])
def rows(request, zep, mark):
    return request.param(zep, mark)


def fill(rows, count):
    for number in range(count):
        rows.add(number)
    return list(range(count))


def everyone(rows):
    return rows.numbers(rows.page())


def pages_by_last_id(rows, limit):
    page = rows.page(limit=limit)
    while page:
        yield page
        page = rows.page(limit=limit, cursor=page[-1].id)


def test_chunks_show_everyone_once_after_deletions_in_the_middle(rows):
    fill(rows, 250)
    for number in range(75, 175):
        rows.delete(number)
    seen = [number for page in rows.chunks(100) for number in rows.numbers(page)]
    assert seen == [*range(75), *range(175, 250)]


def test_a_loop_that_deletes_all_it_is_shown_leaves_none(rows):
    fill(rows, 60)
    for page in rows.chunks(7):
        for number in rows.numbers(page):
            rows.delete(number)
    assert everyone(rows) == []


def test_rows_added_meanwhile_disturb_nobody(rows):
    late = iter(range(40, 60))
    before = fill(rows, 40)
    seen = []
    for page in rows.chunks(9):
        seen += rows.numbers(page)
        if (number := next(late, None)) is not None:
            rows.add(number)
    assert seen[:40] == before
    assert len(seen) == len(set(seen))


def test_two_walks_at_once_see_everyone_once(rows):
    before = fill(rows, 40)
    first, second = [], []
    for one, other in zip(rows.chunks(11), rows.chunks(11), strict=True):
        first += rows.numbers(one)
        second += rows.numbers(other)
    assert first == second == before


def test_a_second_walk_sees_everyone_again(rows):
    before = fill(rows, 20)
    for _ in range(2):
        assert [n for page in rows.chunks(13) for n in rows.numbers(page)] == before


def test_the_last_id_leads_to_the_next_page(rows):
    fill(rows, 40)
    for number in range(10, 20):
        rows.delete(number)
    seen = [number for page in pages_by_last_id(rows, 8) for number in rows.numbers(page)]
    assert seen == [*range(10), *range(20, 40)]


def test_the_last_id_leads_on_when_its_page_is_deleted(rows):
    before = fill(rows, 40)
    seen = []
    for page in pages_by_last_id(rows, 6):
        seen += rows.numbers(page)
        for number in rows.numbers(page):
            rows.delete(number)
    assert seen == before
    assert everyone(rows) == []


def test_ids_rise_within_a_page(rows):
    fill(rows, 5)
    ids = [row.id for row in rows.page(limit=5)]
    assert ids == sorted(set(ids))


def test_the_cursor_counts_rows(rows):
    fill(rows, 5)
    uuids = [row.uuid for row in rows.page(limit=5)]
    assert [row.uuid for row in rows.page(limit=5, cursor=0)] == uuids
    assert [row.uuid for row in rows.page(limit=4, cursor=1)] == uuids[1:]


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_without_a_limit_everyone_is_listed(rows, limit):
    before = fill(rows, 12)
    assert rows.numbers(rows.page(limit=limit)) == before


def test_past_the_end_there_is_nobody(rows):
    assert rows.page(limit=3, cursor=10**9) == []


def test_a_limit_too_large_for_a_page_lists_everyone(rows):
    before = fill(rows, 12)
    assert rows.numbers(rows.page(limit=10**6)) == before


def test_a_listed_user_has_all_its_fields(zep, mark):
    jane = zep.user.add(
        CreateUserRequest(user_id=mark, email="j@example.org", metadata={"deep": {"a": [1]}})
    )
    [listed] = [user for user in zep.user.list() if user.user_id == mark]
    assert listed == jane.copy(update={"id": listed.id})


def test_a_listed_session_has_all_its_fields(zep, mark):
    session = zep.memory.add_session(Session(session_id=mark, metadata={"deep": {"a": [1]}}))
    [listed] = [row for row in zep.memory.list_sessions() if row.session_id == mark]
    assert listed == session.copy(update={"id": listed.id})
