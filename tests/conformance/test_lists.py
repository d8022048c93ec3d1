"""Lists: pages, cursors and order. For filters see test_filters and test_filter_trees."""

import base64
from itertools import chain
from typing import Any

import pytest

from tests.conformance.steps import (
    ERASURES,
    MESSAGE,
    MESSAGES,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    add_user,
    append,
    delete,
    error_of,
    get_messages,
    invalid,
    open_session,
    pages,
)
from tests.ways import Reply, Way


class List:
    """A list that contains only the rows of one test; rows are identified by names."""

    path: str
    ids: tuple[str, ...] = ()

    def __init__(self, way: Way, fresh: str) -> None:
        self.way = way
        self.fresh = fresh
        self.filters: dict[str, Any] = {}

    def add(self, *names: str) -> None:
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def name(self, row: Any) -> str:
        raise NotImplementedError

    def get(self, **params: Any) -> Reply:
        return self.way.request("GET", self.path, *self.ids, params={**self.filters, **params})

    def pages(self, **params: Any) -> list[list[str]]:
        listed_pages = pages(self.way, self.path, *self.ids, **self.filters, **params)
        return [[self.name(row) for row in page] for page in listed_pages]

    def cursor(self, **params: Any) -> str:
        """Return the cursor after the first row."""
        page = self.get(limit=1, **params)
        assert page.status == 200
        cursor: str = page.json["next"]
        return cursor


class Users(List):
    path = USERS

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        self.filters = {"email": fresh}

    def add(self, *names: str) -> None:
        for name in names:
            add_user(self.way, f"{self.fresh} {name}", email=self.fresh, first_name=name)

    def remove(self, name: str) -> None:
        delete(self.way, USER, f"{self.fresh} {name}")

    def name(self, row: Any) -> str:
        name: str = row["first_name"]
        return name


class Sessions(List):
    path = SESSIONS

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        add_user(way, fresh)
        self.filters = {"user_id": fresh}

    def add(self, *names: str) -> None:
        for name in names:
            session_id = f"{self.fresh} {name}"
            open_session(self.way, session_id, user_id=self.fresh, metadata={"name": name})

    def remove(self, name: str) -> None:
        delete(self.way, SESSION, f"{self.fresh} {name}")

    def name(self, row: Any) -> str:
        name: str = row["metadata"]["name"]
        return name


class SessionsOfUser(Sessions):
    path = SESSIONS_OF_USER

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        self.ids, self.filters = (fresh,), {}


class Messages(List):
    path = MESSAGES

    def __init__(self, way: Way, fresh: str) -> None:
        super().__init__(way, fresh)
        open_session(way, fresh)
        self.ids = (fresh,)

    def add(self, *names: str) -> None:
        append(self.way, self.fresh, *({"role": "user", "content": name} for name in names))

    def remove(self, name: str) -> None:
        [found] = [m for m in get_messages(self.way, self.fresh) if m["content"] == name]
        delete(self.way, MESSAGE, self.fresh, found["id"])

    def name(self, row: Any) -> str:
        name: str = row["content"]
        return name


LISTS = {
    "users": Users,
    "sessions": Sessions,
    "sessions_of_a_user": SessionsOfUser,
    "messages": Messages,
}


@pytest.fixture(params=LISTS)
def empty(request: pytest.FixtureRequest, way: Way, fresh: str) -> List:
    """Each kind of list, empty."""
    return LISTS[request.param](way, fresh)


@pytest.fixture
def listed(empty: List) -> List:
    """Each kind of list, with seven rows."""
    empty.add(*"abcdefg")
    return empty


def test_an_empty_list_is_an_empty_page(empty: List) -> None:
    page = empty.get()
    assert (page.status, page.json) == (200, {"items": [], "next": None})


def test_a_list_is_in_the_order_of_creation(listed: List) -> None:
    assert listed.pages() == [list("abcdefg")]
    assert listed.pages(order="created") == [list("abcdefg")]


def test_a_list_can_be_in_descending_order(listed: List) -> None:
    assert listed.pages(order="-created") == [list("gfedcba")]


def test_pages_contain_every_row_once(listed: List) -> None:
    expected = {
        1: ["a", "b", "c", "d", "e", "f", "g"],
        3: ["abc", "def", "g"],
        6: ["abcdef", "g"],
        7: ["abcdefg"],
        8: ["abcdefg"],
        1000: ["abcdefg"],
    }
    found = {limit: ["".join(page) for page in listed.pages(limit=limit)] for limit in expected}
    assert found == expected


def test_pages_can_be_in_descending_order(listed: List) -> None:
    expected = {3: ["gfe", "dcb", "a"], 6: ["gfedcb", "a"], 7: ["gfedcba"], 8: ["gfedcba"]}
    found = {
        limit: ["".join(page) for page in listed.pages(limit=limit, order="-created")]
        for limit in expected
    }
    assert found == expected


@pytest.mark.wire("without a limit, a typed method iterates over all, by pages of 100")
def test_the_default_page_size_is_50(empty: List) -> None:
    names = [str(number) for number in range(51)]
    empty.add(*names)
    assert empty.pages() == [names[:50], names[50:]]


def test_the_limit_can_change_between_pages(listed: List) -> None:
    page = listed.get(limit=5, cursor=listed.cursor())
    assert [listed.name(row) for row in page.json["items"]] == list("bcdef")


def test_a_cursor_can_be_used_again(listed: List) -> None:
    cursor = listed.cursor()
    assert listed.get(cursor=cursor).json == listed.get(cursor=cursor).json


def test_rows_added_while_paging_cause_no_skipped_or_duplicate_rows(listed: List) -> None:
    cursor = listed.cursor()
    listed.add("h")
    assert listed.pages(limit=3, cursor=cursor) == [list("bcd"), list("efg"), ["h"]]


def test_rows_added_while_paging_in_descending_order_are_not_returned(listed: List) -> None:
    cursor = listed.cursor(order="-created")
    listed.add("h")
    backwards = listed.pages(limit=3, order="-created", cursor=cursor)
    assert backwards == [list("fed"), list("cba")]


@pytest.mark.parametrize("order", ["created", "-created"])
def test_rows_deleted_while_paging_cause_no_skipped_or_duplicate_rows(
    listed: List, order: str
) -> None:
    forwards = order == "created"
    second = listed.get(limit=2, order=order, cursor=listed.cursor(order=order))
    seen = [listed.name(row) for row in second.json["items"]]
    assert seen == list("bc" if forwards else "fe")
    for name in "abf" if forwards else "gfb":  # the rows already read, and one that was not
        listed.remove(name)
    rest = listed.pages(limit=2, order=order, cursor=second.json["next"])
    assert [*chain.from_iterable(rest)] == list("deg" if forwards else "dca")


def test_a_cursor_is_valid_after_its_row_was_deleted(listed: List) -> None:
    cursor = listed.cursor()
    listed.remove("a")
    assert listed.pages(cursor=cursor) == [list("bcdefg")]


def test_a_cursor_at_the_end_returns_an_empty_page(listed: List) -> None:
    cursor = listed.get(limit=6).json["next"]
    listed.remove("g")
    assert listed.get(cursor=cursor).json == {"items": [], "next": None}


def test_a_client_can_delete_each_page_it_reads(listed: List) -> None:
    shown = []
    for page in pages(listed.way, listed.path, *listed.ids, limit=2, **listed.filters):
        for row in page:
            shown.append(listed.name(row))
            listed.remove(shown[-1])
    assert shown == list("abcdefg")


# Invalid requests.


def test_limit_must_be_from_1_to_1000(empty: List) -> None:
    for limit in ("0", "-1", "1001", "99999999999999999999", "ten", "1.5", "", "null"):
        assert error_of(empty.get(limit=limit)) == invalid("limit")


def test_an_unknown_order_is_rejected(empty: List) -> None:
    for order in ("", "Created", "+created", "updated", "-seq", "desc", "null"):
        assert error_of(empty.get(order=order)) == invalid("order")


BAD_CURSORS = {
    "empty": "",
    "a_word": "next",
    "null": "null",
    "no_base64": "%%%",
    "not_ascii": "é😀",
    "not_utf8": "_v8",
    "an_empty_list": base64.urlsafe_b64encode(b"[]").decode(),
    "a_list_of_something_else": base64.urlsafe_b64encode(b'[1,"created","x","y"]').decode(),
    "of_another_version": base64.urlsafe_b64encode(b'[99,"created","",1]').decode(),
    "before_the_first": base64.urlsafe_b64encode(b'[1,"created","",-1]').decode(),
    "of_65_bits": base64.urlsafe_b64encode(b'[1,"created","",18446744073709551616]').decode(),
    "nested": base64.urlsafe_b64encode(b"[" * 2_000).decode(),
    "long": "A" * 4_000,
}


def test_an_invalid_cursor_is_rejected(empty: List) -> None:
    rejected = {name: error_of(empty.get(cursor=cursor)) for name, cursor in BAD_CURSORS.items()}
    assert rejected == dict.fromkeys(BAD_CURSORS, (400, "bad_request", ["cursor"]))


@pytest.mark.wire("a typed method accepts 0 for the start, as Zep's did")
def test_a_cursor_of_zero_is_rejected(empty: List) -> None:
    assert error_of(empty.get(cursor="0")) == (400, "bad_request", ["cursor"])


def test_a_cursor_is_rejected_with_another_order(listed: List) -> None:
    for made_for, used_with in (("created", "-created"), ("-created", "created")):
        rejected = listed.get(cursor=listed.cursor(order=made_for), order=used_with)
        assert error_of(rejected) == (400, "bad_request", ["cursor"])


def test_a_cursor_is_rejected_by_another_kind_of_list(way: Way, fresh: str) -> None:
    lists = [kind(way, f"{name} {fresh}") for name, kind in LISTS.items()]
    for each in lists:
        each.add("a", "b")
    cursors = [each.cursor() for each in lists]
    assert len(set(cursors)) == len(lists)
    for each in lists:
        for cursor in cursors:
            used = each.get(cursor=cursor)
            if cursor == cursors[lists.index(each)]:
                assert used.status == 200
            else:
                assert error_of(used) == (400, "bad_request", ["cursor"])


@pytest.mark.parametrize("kind", LISTS)
def test_a_cursor_is_rejected_by_another_list(way: Way, fresh: str, kind: str) -> None:
    one, other = (LISTS[kind](way, f"{name} {fresh}") for name in ("one", "other"))
    one.add("a", "b")
    other.add("a", "b")
    assert error_of(other.get(cursor=one.cursor())) == (400, "bad_request", ["cursor"])


def test_a_cursor_is_rejected_if_a_filter_is_added_or_removed(way: Way, fresh: str) -> None:
    some = Users(way, fresh)
    some.add("a", "b")
    of_all = way.request("GET", USERS, params={"limit": 1}).json["next"]
    assert error_of(some.get(cursor=of_all)) == (400, "bad_request", ["cursor"])
    of_some = some.cursor()
    rejected = way.request("GET", USERS, params={"cursor": of_some})
    assert error_of(rejected) == (400, "bad_request", ["cursor"])


@pytest.mark.wire("parameters that no method has")
def test_an_unknown_parameter_is_named(empty: List) -> None:
    for parameter in ("offset", "Limit", "page", "search", "state"):
        assert error_of(empty.get(**{parameter: "1"})) == invalid(parameter)


@pytest.mark.wire("parameters that no method has")
@pytest.mark.parametrize("path", [MESSAGES, ERASURES])
def test_lists_without_filters_reject_them(way: Way, fresh: str, path: str) -> None:
    ids = (fresh,) if "{}" in path else ()
    add_user(way, fresh)
    open_session(way, fresh)
    unknown = {"email", "user_id", "created_after", "role", "metadata.a"}
    if path == MESSAGES:
        unknown -= {"user_id", "created_after", "role"}
    for parameter in sorted(unknown):
        rejected = way.request("GET", path, *ids, params={parameter: "2020-01-01T00:00:00Z"})
        assert error_of(rejected) == invalid(parameter)


@pytest.mark.wire("parameters that no method has")
@pytest.mark.parametrize(
    ("path", "parameter"),
    [(USERS, "user_id"), (SESSIONS, "email"), (SESSIONS_OF_USER, "user_id")],
)
def test_a_list_rejects_the_filters_of_another_list(
    way: Way, fresh: str, path: str, parameter: str
) -> None:
    ids = (fresh,) if "{}" in path else ()
    add_user(way, fresh)
    rejected = way.request("GET", path, *ids, params={parameter: "x"})
    assert error_of(rejected) == invalid(parameter)


@pytest.mark.wire("parameters that no method has")
@pytest.mark.parametrize("path", [USER, SESSION])
def test_reading_a_single_resource_takes_no_parameters(way: Way, fresh: str, path: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    rejected = way.request("GET", path, fresh, params={"limit": "1"})
    assert error_of(rejected) == invalid("limit")


# Lists with the rows of all tests.


def test_a_list_without_filters_contains_every_row_once(way: Way, fresh: str) -> None:
    add_user(way, f"first {fresh}")
    open_session(way, f"first {fresh}")
    for number in range(3):
        add_user(way, f"{number} {fresh}")
        open_session(way, f"{number} {fresh}")
    expected = [f"first {fresh}", *(f"{number} {fresh}" for number in range(3))]
    for path, name in ((USERS, "user_id"), (SESSIONS, "session_id")):
        listed_pages = [row[name] for page in pages(way, path, limit=100) for row in page]
        assert len(listed_pages) == len(set(listed_pages))
        assert listed_pages[-4:] == expected


def test_the_newest_row_is_first_in_descending_order(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    for path, name in ((USERS, "user_id"), (SESSIONS, "session_id")):
        newest = way.request("GET", path, params={"limit": 1, "order": "-created"})
        assert newest.json["items"][0][name] == fresh
