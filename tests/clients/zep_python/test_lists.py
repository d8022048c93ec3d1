"""Lists of all users and all sessions.

The client's own iterators send an offset (`cursor` = 100, 200 …); other callers send the last `id`
they received. Both must list every row once, also if rows are deleted in between. The server stores
cursors by limit, so each test uses its own chunk size.
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


def all_numbers(rows):
    return rows.numbers(rows.page())


def pages_by_last_id(rows, limit):
    page = rows.page(limit=limit)
    while page:
        yield page
        page = rows.page(limit=limit, cursor=page[-1].id)


def test_chunks_list_every_row_once_after_deletions_in_the_middle(rows):
    fill(rows, 250)
    for number in range(75, 175):
        rows.delete(number)
    seen = [number for page in rows.chunks(100) for number in rows.numbers(page)]
    assert seen == [*range(75), *range(175, 250)]


def test_a_loop_that_deletes_each_page_deletes_all_rows(rows):
    fill(rows, 60)
    for page in rows.chunks(7):
        for number in rows.numbers(page):
            rows.delete(number)
    assert all_numbers(rows) == []


def test_rows_added_while_paginating_shift_no_rows(rows):
    late = iter(range(40, 60))
    before = fill(rows, 40)
    seen = []
    for page in rows.chunks(9):
        seen += rows.numbers(page)
        if (number := next(late, None)) is not None:
            rows.add(number)
    assert seen[:40] == before
    assert len(seen) == len(set(seen))


def test_two_concurrent_iterations_list_every_row_once(rows):
    before = fill(rows, 40)
    first, second = [], []
    for one, other in zip(rows.chunks(11), rows.chunks(11), strict=True):
        first += rows.numbers(one)
        second += rows.numbers(other)
    assert first == second == before


def test_a_second_iteration_lists_every_row_again(rows):
    before = fill(rows, 20)
    for _ in range(2):
        assert [n for page in rows.chunks(13) for n in rows.numbers(page)] == before


def test_the_last_id_leads_to_the_next_page(rows):
    fill(rows, 40)
    for number in range(10, 20):
        rows.delete(number)
    seen = [number for page in pages_by_last_id(rows, 8) for number in rows.numbers(page)]
    assert seen == [*range(10), *range(20, 40)]


def test_the_last_id_leads_to_the_next_page_after_deletions(rows):
    before = fill(rows, 40)
    seen = []
    for page in pages_by_last_id(rows, 6):
        seen += rows.numbers(page)
        for number in rows.numbers(page):
            rows.delete(number)
    assert seen == before
    assert all_numbers(rows) == []


def test_ids_increase_within_a_page(rows):
    fill(rows, 5)
    ids = [row.id for row in rows.page(limit=5)]
    assert ids == sorted(set(ids))


def test_the_cursor_is_an_offset(rows):
    fill(rows, 5)
    uuids = [row.uuid for row in rows.page(limit=5)]
    assert [row.uuid for row in rows.page(limit=5, cursor=0)] == uuids
    assert [row.uuid for row in rows.page(limit=4, cursor=1)] == uuids[1:]


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_without_a_limit_every_row_is_listed(rows, limit):
    before = fill(rows, 12)
    assert rows.numbers(rows.page(limit=limit)) == before


def test_a_page_beyond_the_end_is_empty(rows):
    assert rows.page(limit=3, cursor=10**9) == []


def test_a_very_large_limit_lists_every_row(rows):
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
