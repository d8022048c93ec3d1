"""Lists as pages and iterators, the values that apps pass, and bulk appends."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from math import nan
from typing import Any

import anyio
import msgspec
import pytest

from userkeep import (
    AlreadyExists,
    AsyncMessagePage,
    AsyncUserkeep,
    BadRequest,
    CreateUserRequest,
    InvalidField,
    NewMessage,
    NotFound,
    Page,
    UpdateUserRequest,
    Userkeep,
)

MIB = 1024 * 1024


@pytest.fixture
def client() -> Iterator[Userkeep]:
    """A fresh database in memory."""
    with Userkeep.open(":memory:") as opened:
        yield opened


@pytest.fixture
def users(client: Userkeep) -> list[str]:
    """Seven users, in creation order."""
    return [client.user.add(user_id=name).user_id for name in "abcdefg"]


# Pages.


def test_a_page_is_a_list_with_the_next_cursor(client: Userkeep, users: list[str]) -> None:
    page = client.user.list(limit=5)
    assert isinstance(page, Sequence)
    assert [user.user_id for user in page] == users[:5]
    assert page.next is not None
    rest = client.user.list(limit=5, cursor=page.next)
    assert ([user.user_id for user in rest], rest.next) == (users[5:], None)


@pytest.mark.parametrize("start", [0, "0", None])
def test_a_cursor_of_zero_is_the_first_page(
    client: Userkeep, users: list[str], start: str | int | None
) -> None:
    assert [user.user_id for user in client.user.list(limit=10, cursor=start)] == users
    assert client.user.list(10, start) == client.user.list()


@pytest.mark.parametrize("cursor", ["", "next", 1, [0], {}])
def test_an_invalid_cursor_is_rejected(client: Userkeep, cursor: Any) -> None:
    with pytest.raises(BadRequest) as rejected:
        client.user.list(cursor=cursor)
    assert rejected.value.fields == ("cursor",)


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 1000])
def test_all_pages_have_every_item_once(
    client: Userkeep, users: list[str], chunk_size: int
) -> None:
    chunks = [*client.user.list_chunked(chunk_size=chunk_size)]
    assert [user.user_id for page in chunks for user in page] == users
    assert {len(page) for page in chunks[:-1]} <= {chunk_size}


def test_an_empty_list_has_no_pages_and_no_items(client: Userkeep) -> None:
    client.session.add(session_id="s")
    assert [*client.user.list_chunked()] == []
    assert [*client.user.list(), *client.message.list("s"), *client.erasure.list()] == []
    assert client.user.list() == Page([])
    assert not client.user.list()


def test_items_are_iterated_across_pages(client: Userkeep) -> None:
    client.message.add(
        "s", [NewMessage(role="user", content=str(number)) for number in range(250)], user_id="jane"
    )
    assert [message.seq for message in client.message.list("s")] == [*range(1, 251)]
    backwards = client.message.list("s", order="-created")
    assert [message.seq for message in backwards] == [*range(250, 0, -1)]


def test_filters_apply_to_every_page(client: Userkeep, users: list[str]) -> None:
    for name in users[::2]:
        client.user.update(user_id=name, metadata={"plan": "pro"})
        client.session.add(session_id=name, user_id=name, metadata={"of": name})
    pro = {"plan": "pro"}
    page = client.user.list(2, metadata=pro)
    rest = client.user.list(2, page.next, metadata=pro)
    assert [[user.user_id for user in each] for each in (page, rest)] == [["a", "c"], ["e", "g"]]
    of_c = client.session.list(user_id="c", metadata={"of": "c"})
    assert [session.session_id for session in of_c] == ["c"]


def test_a_filter_tree_applies_to_every_page(client: Userkeep, users: list[str]) -> None:
    late = {"field": "metadata.n", "op": "gte", "value": 3}
    for n, name in enumerate(users):
        client.user.update(user_id=name, metadata={"n": n})
        client.session.add(session_id=name, user_id="a", metadata={"n": n})
    messages = [
        NewMessage(role="user", content=name, metadata={"n": n}) for n, name in enumerate(users)
    ]
    client.message.add("a", messages)
    page = client.user.list(2, filter=late)
    rest = client.user.list(cursor=page.next, filter=late)
    assert [user.user_id for each in (page, rest) for user in each] == users[3:]
    for sessions in (
        client.session.list(filter=late),
        client.user.get_sessions("a", filter=late),
    ):
        assert [session.session_id for session in sessions] == users[3:]
    assert [message.content for message in client.message.list("a", filter=late)] == users[3:]


def test_filters_apply_to_all_that_iteration_reads(client: Userkeep) -> None:
    messages = [
        NewMessage(role="user", content=str(n), metadata={"even": n % 2 == 0}) for n in range(500)
    ]
    client.message.add("s", messages, user_id="jane")
    even = {"field": "metadata.even", "op": "eq", "value": True}
    found = client.message.list("s", filter=even, order="-created", before_seq=480)
    assert [message.content for message in found] == [str(n) for n in range(478, -1, -2)]


# Lists of many pages.


@pytest.fixture
def many(client: Userkeep) -> list[str]:
    """250 users, in creation order: three pages."""
    return [client.user.add(user_id=str(number)).user_id for number in range(250)]


def test_a_list_without_a_limit_can_be_iterated_again(client: Userkeep, many: list[str]) -> None:
    users = client.user.list()
    assert [user.user_id for user in users] == many
    assert [user.user_id for user in users] == many
    assert [user.user_id for user in list(users)] == many
    assert users.index(users[7]) == 7
    assert client.user.get("249") in users


def test_a_list_without_a_limit_can_begin_at_a_cursor(client: Userkeep, many: list[str]) -> None:
    page = client.user.list(limit=30)
    assert [user.user_id for user in page] == many[:30]
    rest = client.user.list(cursor=page.next)
    assert [user.user_id for user in rest] == many[30:]


def test_as_a_sequence_a_list_is_its_first_page(client: Userkeep, many: list[str]) -> None:
    users = client.user.list()
    assert (users[0].user_id, users[-1].user_id) == ("0", "99")
    assert [user.user_id for user in users[::-1]] == many[99::-1]
    assert users == client.user.list(limit=100) == list(client.user.list(limit=100))
    assert users.next == client.user.list(limit=100).next
    assert repr(users).endswith(", ...]")
    assert users


def test_the_length_of_a_list_of_several_pages_is_an_error_and_not_that_of_one(
    client: Userkeep, many: list[str]
) -> None:
    with pytest.raises(TypeError, match="more than one page"):
        len(client.user.list())
    assert len(client.user.list(limit=100)) == 100
    assert len(client.user.list(created_before=datetime(2020, 1, 1, tzinfo=UTC))) == 0
    assert client.user.list(count=True).total == 250


def test_a_count_is_made_once(client: Userkeep, many: list[str]) -> None:
    users = client.user.list(count=True)
    assert len(list(users)) == users.total == 250


def test_errors_are_raised_where_a_list_is_called(client: Userkeep) -> None:
    with pytest.raises(NotFound):
        client.user.get_sessions("unknown")
    with pytest.raises(NotFound):
        client.message.list("none")


def test_an_async_list_is_awaited_and_then_iterated() -> None:
    async def main() -> None:
        async with AsyncUserkeep.open(":memory:") as client:
            messages = [NewMessage(role="user", content=str(number)) for number in range(250)]
            await client.message.add("s", messages, user_id="jane")
            listed = await client.message.list("s")
            assert [each.seq async for each in listed] == [*range(1, 251)]
            assert [each.seq async for each in listed] == [*range(1, 251)]
            assert [each.seq for each in listed[:3]] == [1, 2, 3]
            for use in (len, list, AsyncMessagePage.to_openai):
                with pytest.raises(TypeError, match="more than one page"):
                    use(listed)
            page = await client.message.list("s", 150)
            assert [each.seq for each in page] == [*range(1, 151)]
            assert [each.seq async for each in page] == [*range(1, 151)]
            [session] = await client.user.get_sessions("jane")
            assert session.message_count == 250

    anyio.run(main)


@pytest.mark.parametrize(
    ("filter", "field"),
    [
        ("{}", "filter"),
        ([], "filter"),
        ({"and": [{"field": "metadata.a", "op": "eq", "value": nan}]}, "filter.and[0].value"),
        ({"field": "metadata.a", "op": "in", "value": {1, 2}}, "filter.value"),
        ({"field": "metadata.a", "op": "eq", "value": "\ud800"}, "filter.value"),
        ({5: 1}, "filter"),
    ],
    ids=repr,
)
def test_errors_name_the_part_of_a_filter_that_cannot_be_sent(
    client: Userkeep, filter: Any, field: str
) -> None:
    for read in (client.user.list, client.session.list, partial(client.message.list, "s")):
        with pytest.raises(InvalidField) as rejected:
            read(filter=filter)
        assert rejected.value.fields == (field,)


def test_errors_name_the_part_of_a_filter_beside_conditions(client: Userkeep) -> None:
    for metadata in ({"a": 1}, {"a": "1"}):
        with pytest.raises(InvalidField) as rejected:
            client.user.list(metadata=metadata, filter={"field": "metadata.a", "op": "like"})
        assert rejected.value.fields == ("filter.op",)


@pytest.mark.parametrize("value", [1, "1", None])
def test_errors_name_an_invalid_path(client: Userkeep, value: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.user.list(metadata={"a..b": value})
    assert rejected.value.fields == ("metadata.a..b",)
    assert "character 3" in str(rejected.value)


def test_iteration_can_stop_early_and_continue(client: Userkeep, users: list[str]) -> None:
    rows = iter(client.user.list())
    for user in rows:
        if user.user_id == "c":
            break
    assert [user.user_id for user in rows] == users[3:]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_iteration_can_stop_early(backend: str) -> None:
    async def main() -> list[str]:
        async with AsyncUserkeep.open(":memory:") as client:
            for name in "abcdefg":
                await client.user.add(user_id=name)
            async for page in client.user.list_chunked(2):
                assert len(page) == 2
                break
            async for user in await client.user.list():
                if user.user_id == "c":
                    break
            return [user.user_id async for user in await client.user.list(order="-created")]

    assert anyio.run(main, backend=backend) == list("gfedcba")


def test_a_page_that_could_not_be_read_can_be_requested_again(
    client: Userkeep, users: list[str]
) -> None:
    client.session.add(session_id="s")
    client.message.add("s", [NewMessage(role="user", content="x") for _ in range(101)])
    messages = iter(client.message.list("s"))
    assert [next(messages).seq for _ in range(100)] == [*range(1, 101)]
    client.session.delete("s")
    for _ in range(2):
        with pytest.raises(NotFound):
            next(messages)


@pytest.mark.parametrize("limit", ["abc", 0, 1001, 1.5, True, [10], float("nan")])
def test_errors_name_an_invalid_limit(client: Userkeep, limit: Any) -> None:
    for call in (
        lambda: client.user.list(limit=limit),
        lambda: [*client.user.list_chunked(chunk_size=limit)],
        lambda: client.user.get_sessions("jane", limit=limit),
    ):
        with pytest.raises(InvalidField) as rejected:
            call()
        assert rejected.value.fields == ("limit",)


# Filters.


def test_metadata_is_compared_with_scalars_by_type(client: Userkeep) -> None:
    values: dict[str, Any] = {
        "text": "1", "one": 1, "half": 0.5, "true": True, "false": False, "null": None,
        "word": "null", "big": 2**53 + 1, "empty": "", "quotes": 'O\'Hara "x"', "zero": 0,
    }  # fmt: skip
    for name, value in values.items():
        client.user.add(user_id=name, metadata={"a": {"b": value}})
    for name, value in values.items():
        found = client.user.list(metadata={"a.b": value})
        assert [user.user_id for user in found] == [name], value
    assert client.user.list(metadata={"a.b": 2**70}) == []
    assert [user.user_id for user in client.user.list(metadata={"a.b": 1.0})] == ["one"]
    assert len(client.user.list(metadata={})) == len(values)


@pytest.mark.parametrize("value", [[1], {"b": 1}, (1,), float("nan"), float("inf"), b"x", object()])
def test_errors_name_values_that_cannot_be_compared(client: Userkeep, value: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.user.list(metadata={"a": value})
    assert rejected.value.fields == ("metadata.a",)


@pytest.mark.parametrize("metadata", [[1], "a=1", 5, {5: 1}, {"\ud800": 1}])
def test_invalid_conditions_on_metadata_are_rejected(client: Userkeep, metadata: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.session.list(metadata=metadata)
    assert rejected.value.fields == ("metadata",)


def test_times_can_have_any_zone(client: Userkeep) -> None:
    created_at = client.user.add(user_id="jane").created_at
    assert created_at.tzinfo is not None
    moment = timedelta(microseconds=1)
    for zone in (UTC, timezone(timedelta(hours=-9)), timezone(timedelta(hours=5, minutes=30))):
        there = created_at.astimezone(zone)
        assert client.user.list(created_after=there) == []
        assert len(client.user.list(created_after=there - moment)) == 1


def test_a_datetime_without_a_time_zone_is_rejected_with_the_reason(client: Userkeep) -> None:
    naive = datetime(2020, 1, 1)
    calls: dict[str, Callable[[], Any]] = {
        "created_at": lambda: client.user.add(user_id="jane", created_at=naive),
        "created_after": lambda: client.user.list(created_after=naive),
        "active_before": lambda: client.session.list(active_before=naive),
        "ended_at": lambda: client.session.add(session_id="s", ended_at=naive),
        "created_before": lambda: client.search("x", created_before=naive),
        "expires_at": lambda: client.key.add(expires_at=naive),
        "messages[0].created_at": lambda: client.message.add(
            "s", {"role": "user", "content": "x", "created_at": naive}
        ),
    }
    for field, call in calls.items():
        with pytest.raises(InvalidField, match="has no time zone") as raised:
            call()
        assert raised.value.fields == (field,)


def test_a_date_of_a_program_is_its_beginning_in_utc(client: Userkeep) -> None:
    new_year: Any = date(2020, 1, 1)
    client.user.add(user_id="jane", created_at=new_year)
    assert client.user.get("jane").created_at == datetime(2020, 1, 1, tzinfo=UTC)
    assert client.user.list(created_after=new_year) == []


def test_messages_keep_their_given_times(client: Userkeep) -> None:
    given = [
        datetime(2020, 2, 29, 12, tzinfo=UTC),
        datetime(2020, 2, 29, 12, 0, 0, 5, tzinfo=UTC),
        datetime(2020, 2, 29, 12, tzinfo=timezone(timedelta(hours=2))),
    ]
    messages = [NewMessage(role="user", content="x", created_at=each) for each in given]
    kept = [each.created_at for each in client.message.add("s", messages, user_id="jane")]
    assert kept == given


# Values that apps pass.


class Text(str):
    """A str of a template library, for example."""


class Number(int):
    """An int of an enumeration, for example."""


def test_subclasses_of_str_and_int_are_accepted(client: Userkeep) -> None:
    metadata = {"text": Text("a"), "number": Number(5), Text("key"): [Text("b")], "f": float("1.5")}
    user = client.user.add(user_id=Text("jane"), email=Text("x"), metadata=metadata)
    assert (user.user_id, user.email) == ("jane", "x")
    assert user.metadata == {"text": "a", "number": 5, "key": ["b"], "f": 1.5}
    assert client.user.get(Text("jane")) == user
    data = {"text": Text("a"), "tuple": (1, Number(2))}
    [message] = client.message.add(
        "s", NewMessage(role="user", content=Text("c"), data=data), user_id="jane"
    )
    assert (message.content, message.data) == ("c", {"text": "a", "tuple": [1, 2]})


DATA: dict[str, Any] = {
    "a_great_number": 10**30,
    "nul": "a\0b",
    "nested": [[[{"a": [None, True, 1.5]}]]],
    "text": "é😀",
    "empty": {},
}


@pytest.mark.parametrize("name", DATA)
def test_data_is_any_json(client: Userkeep, name: str) -> None:
    client.message.add("s", NewMessage(role="user", content="x", data=DATA[name]), user_id="jane")
    assert client.message.list("s")[0].data == DATA[name]


@pytest.mark.parametrize(
    "text", ["1e400", "1" * 5000, '{"a":[1e400,-1e400]}'], ids=["great", "long", "inside"]
)
def test_data_with_huge_numbers_does_not_make_messages_unreadable(
    client: Userkeep, text: str
) -> None:
    new = [
        NewMessage(role="user", content="x", data=msgspec.Raw(text.encode())),
        NewMessage(role="user", content="y"),
    ]
    appended = client.message.add("s", new, user_id="jane")
    for messages in (appended, client.message.list("s"), client.memory.get("s").messages):
        assert [message.content for message in messages] == ["x", "y"]


@pytest.mark.parametrize(
    "data",
    [float("nan"), [float("inf")], {1: 2}, object(), {"a": b"x"}, "\ud800", {"\udc00": 1}],
    ids=["nan", "inf", "key", "object", "bytes", "half_a_pair", "half_a_pair_in_a_key"],
)
def test_errors_name_data_that_is_not_json(client: Userkeep, data: Any) -> None:
    new = [NewMessage(role="user", content="x"), NewMessage(role="user", content="x", data=data)]
    with pytest.raises(InvalidField) as rejected:
        client.message.add("s", new, user_id="jane")
    assert rejected.value.fields == ("messages[1].data",)


@pytest.mark.parametrize("value", [float("nan"), object(), b"x", {5: 1}, (1,), datetime.now(UTC)])
def test_errors_name_metadata_that_is_not_json(client: Userkeep, value: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.user.add(user_id="jane", metadata={"a": value})
    assert rejected.value.fields == ("metadata.a",)


def test_ids_must_be_text(client: Userkeep) -> None:
    wrong: list[Any] = [5, None, "", ".", "..", "\ud800", b"x"]
    for id_ in wrong:
        with pytest.raises(InvalidField) as rejected:
            client.user.get(id_)
        assert rejected.value.fields == ("user_id",)


@pytest.mark.parametrize("key", ["", "x" * 513, "é", " a", "a\n", 5])
def test_idempotency_keys_must_be_valid_headers(client: Userkeep, key: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.user.add(user_id="jane", idempotency_key=key)
    assert rejected.value.fields == ("idempotency_key",)


@pytest.mark.parametrize("revision", ["1", 1.5, True, -1, 10**18])
def test_revisions_must_be_integers(client: Userkeep, revision: Any) -> None:
    with pytest.raises(InvalidField) as rejected:
        client.user.put(user_id="jane", if_revision=revision)
    assert rejected.value.fields == ("if_revision",)


def test_a_request_and_fields_together_are_a_type_error(client: Userkeep) -> None:
    add: Any = client.user.add
    for call in (
        lambda: add(CreateUserRequest(user_id="jane"), email="x"),
        lambda: add({"user_id": "jane"}),
        lambda: add("jane"),
        lambda: add(UpdateUserRequest(user_id="jane")),
        lambda: add(user_id="jane", nickname="J"),
        lambda: add(email="x"),
    ):
        with pytest.raises(TypeError):
            call()
    assert client.user.list() == []


# Bulk appends.


def numbered(count: int, **fields: Any) -> Iterator[NewMessage]:
    return (NewMessage(role="user", content=str(number), **fields) for number in range(count))


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_any_number_of_messages_is_appended_in_order(client: Userkeep, count: int) -> None:
    client.session.add(session_id="s")
    assert client.message.add_bulk("s", numbered(count)) == count
    contents = [message.content for message in client.message.list("s")]
    assert contents == [str(number) for number in range(count)]


def test_large_messages_are_sent_in_smaller_batches(client: Userkeep) -> None:
    new = [NewMessage(role="user", content="\n" * MIB, data="x" * (MIB - 2)) for _ in range(7)]
    assert client.message.add_bulk("s", new, user_id="jane") == 7
    assert client.session.get("s").message_count == 7


def test_the_error_of_a_batch_has_the_number_of_appended_messages(client: Userkeep) -> None:
    def source() -> Iterator[NewMessage]:
        yield from numbered(1500)
        yield NewMessage(role="user", content="\0")

    with pytest.raises(InvalidField) as rejected:
        client.message.add_bulk("s", source(), user_id="jane")
    assert rejected.value.__notes__ == ["Appended before: 1,000 messages."]
    assert rejected.value.fields == ("messages[500].content",)
    assert client.session.get("s").message_count == 1000


def test_the_error_of_the_source_has_the_number_of_appended_messages(client: Userkeep) -> None:
    def source() -> Iterator[NewMessage]:
        yield from numbered(1001)
        raise OSError("the file has ended")

    with pytest.raises(OSError, match="ended") as failed:
        client.message.add_bulk("s", source(), user_id="jane")
    assert failed.value.__notes__ == ["Appended before: 1,000 messages."]


def test_importing_a_message_twice_is_rejected_by_its_id(client: Userkeep) -> None:
    id_ = "75c40217-9af1-407d-b9a6-367069d29dd5"
    client.message.add("s", NewMessage(role="user", content="x", id=id_), user_id="jane")
    with pytest.raises(AlreadyExists):
        client.message.add_bulk("s", [NewMessage(role="user", content="x", id=id_)])
