"""Requests that are created in a wrong way: the error says what to write."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

import userkeep.sdk.requests as requests_
from userkeep.client import Userkeep
from userkeep.domain.errors import InvalidField
from userkeep.sdk.requests import (
    CreateCollectionRequest,
    CreateProjectRequest,
    CreateSessionRequest,
    CreateUserRequest,
    NewDocument,
    NewMessage,
    UpdateCollectionRequest,
    UpdateProjectRequest,
    UpdateSessionRequest,
    UpdateUserRequest,
)

REQUESTS: list[Any] = [
    CreateCollectionRequest,
    CreateProjectRequest,
    CreateSessionRequest,
    CreateUserRequest,
    NewDocument,
    NewMessage,
    UpdateCollectionRequest,
    UpdateProjectRequest,
    UpdateSessionRequest,
    UpdateUserRequest,
]


@pytest.fixture(scope="module")
def client() -> Iterator[Userkeep]:
    with Userkeep.open(":memory:") as opened:
        yield opened


def test_every_request_is_tried_here() -> None:
    structs = {
        each
        for each in vars(requests_).values()
        if inspect.isclass(each) and issubclass(each, msgspec.Struct)
    }
    assert structs == set(REQUESTS)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_a_request_without_keywords_names_the_call_to_write(kind: Any) -> None:
    with pytest.raises(TypeError) as rejected:
        kind("jane")
    start, _, call = str(rejected.value).partition(": ")
    assert start == f"{kind.__name__} takes keywords"
    written = eval(call, {kind.__name__: kind})
    assert isinstance(written, kind)
    assert pickle.loads(pickle.dumps(written)) == copy.copy(written) == written
    assert msgspec.convert(written.to_dict(), kind) == written


@pytest.mark.parametrize(
    ("create", "sentence"),
    [
        (
            lambda: NewMessage("hi"),  # type: ignore[call-arg, arg-type]
            'NewMessage takes keywords: NewMessage(role="user", content="hi")',
        ),
        (
            lambda: NewMessage(role="user", contents="hi"),  # type: ignore[call-arg]
            "NewMessage has no field 'contents'; did you mean content?",
        ),
        (
            lambda: NewMessage(content="hi"),  # type: ignore[call-arg]
            'NewMessage needs role: NewMessage(role="user", content="hi")',
        ),
        (
            lambda: CreateProjectRequest(name="shop", colour="red"),  # type: ignore[call-arg]
            "CreateProjectRequest has no field 'colour'; it has name, max_messages_per_user, "
            "max_bytes_per_user, max_documents_per_user",
        ),
    ],
)
def test_a_wrong_field_is_named_with_the_right_one(
    create: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(TypeError) as rejected:
        create()
    assert str(rejected.value) == sentence


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: c.user.add("jane"), ['user_id="jane"', "CreateUserRequest", "type str"]),
        (lambda c: c.user.add(user="jane"), ["'user'", "did you mean user_id?"]),
        (lambda c: c.user.add(), ["needs user_id"]),
        (lambda c: c.user.update("jane", email="x"), ['user_id="jane"', "type str"]),
        (lambda c: c.session.add("chat-1"), ['session_id="chat-1"']),
        (lambda c: c.session.update("chat-1", titel="x"), ['session_id="chat-1"']),
        (lambda c: c.session.update(session_id="a", titel="x"), ["did you mean title?"]),
        (lambda c: c.project.add("shop"), ['name="shop"']),
        (lambda c: c.project.update("shop", name="store"), ['project="shop"']),
    ],
)
def test_a_method_that_takes_keywords_names_them(
    client: Userkeep, call: Callable[[Any], object], words: list[str]
) -> None:
    with pytest.raises(TypeError) as rejected:
        call(client)
    for each in words:
        assert each in str(rejected.value)


@pytest.mark.parametrize("messages", ["hi", 12, ["hi"]])
def test_a_text_in_place_of_a_message_names_the_call_to_write(
    client: Userkeep, messages: Any
) -> None:
    with pytest.raises(InvalidField, match='Write NewMessage\\(role="user", content="hi"\\)'):
        client.message.add("chat-1", messages)
