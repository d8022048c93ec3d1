"""The types of the SDK as plain values, as JSON, and in apps of FastAPI and models of pydantic."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio
import msgspec
import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError

import userkeep
from userkeep import (
    AsyncPage,
    AsyncUserkeep,
    CreateCollectionRequest,
    CreateProjectRequest,
    CreateSessionRequest,
    CreateUserRequest,
    Erasure,
    Hit,
    Hits,
    Memory,
    Message,
    MessagePage,
    Messages,
    NewDocument,
    NewMessage,
    Page,
    Session,
    UpdateCollectionRequest,
    UpdateProjectRequest,
    UpdateSessionRequest,
    UpdateUserRequest,
    User,
    Userkeep,
)

AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def client() -> Iterator[Userkeep]:
    """A database in memory with a user, two sessions and a message in one of them."""
    with Userkeep.open(":memory:") as opened:
        opened.user.add(user_id="jane", metadata={"a": [1, None]}, created_at=AT)
        opened.session.add(session_id="s", user_id="jane", title="Shoes")
        opened.session.add(session_id="other", user_id="jane")
        opened.message.add("s", NewMessage(role="user", content="Red shoes", data={"b": 1.5}))
        yield opened


def every_type(client: Userkeep) -> Iterator[Any]:
    """Yield a value of each type that the SDK returns or takes."""
    yield client.user.get("jane")
    yield from client.session.list(include="last_message")
    yield client.message.list("s")[0]
    yield client.message.list("s")
    yield client.message.add("s", {"role": "assistant", "content": "Size 9"})
    yield client.memory.get("s", max_tokens=100)
    hits = client.search("shoes", explain=True, include=["session"])
    yield from hits
    yield hits
    assert hits.query is not None
    yield hits.query
    yield client.user.list(count=True)
    yield CreateUserRequest(user_id="tom", created_at=AT)
    yield UpdateUserRequest(user_id="tom", email=None)
    yield CreateSessionRequest(user_id="tom")
    yield UpdateSessionRequest(session_id="s", title="Boots")
    yield NewMessage(role="user", content="x", data=msgspec.Raw(b'{"c": [1]}'))
    yield from every_type_of_documents(client)
    erasure = client.user.delete("jane", purge="now")
    yield erasure
    yield client.erasure.verify(erasure.id, search_terms=["Red shoes"])
    yield CreateProjectRequest(name="shop", max_messages_per_user=1000)
    yield UpdateProjectRequest(project="shop", name="store")
    yield client.project.add(name="shop")
    yield client.project.delete("shop")


def every_type_of_documents(client: Userkeep) -> Iterator[Any]:
    """Yield a value of each type about collections and documents."""
    created = CreateCollectionRequest(name="papers", dimensions=8)
    yield created
    yield client.collection.add(created)
    yield UpdateCollectionRequest(name="papers", description="what I read")
    new = NewDocument(content="x", embedding=[1.0] * 8, document_id="a")
    yield new
    yield from client.document.add("papers", new)
    yield from client.document.search("papers", embedding=[1.0] * 8, include=["embedding"])
    yield client.document.delete("papers", "a")
    yield client.collection.delete("papers")


def test_every_type_is_written_as_plain_values_and_as_json(client: Userkeep) -> None:
    written = set()
    for value in every_type(client):
        plain = value.to_dict()
        assert plain == json.loads(value.to_json()) == json.loads(json.dumps(plain))
        written.add(type(value).__name__)
    structs = {
        name
        for name in userkeep.__all__
        if isinstance(getattr(userkeep, name), type)
        and issubclass(getattr(userkeep, name), msgspec.Struct)
    }
    within = {"Explanation", "FoundMessage", "Residue", "Snippet"}
    assert written == structs - within | {"Hits", "MessagePage", "Messages", "Page"}
    assert all(hasattr(getattr(userkeep, name), "to_dict") for name in structs)


def test_plain_values_are_those_of_the_http_api(client: Userkeep) -> None:
    user = client.user.get("jane").to_dict()
    assert user["created_at"] == "2024-05-06T07:08:09.000000Z"
    assert user["metadata"] == {"a": [1, None]}
    assert list(user) == list(User.__struct_fields__)
    assert "last_message" not in client.session.get("s").to_dict()
    [other, first] = client.session.list(include="last_message", order="-created").to_dict()[
        "items"
    ]
    assert (other["last_message"], first["last_message"]["content"]) == (None, "Red shoes")
    page = client.session.list(limit=1, count=True).to_dict()
    assert (len(page["items"]), page["count"]) == (1, 2)
    assert client.session.list(cursor=page["next"]).to_dict()["next"] is None


def test_absent_fields_of_requests_stay_absent() -> None:
    assert UpdateUserRequest(user_id="a", email=None).to_dict() == {"user_id": "a", "email": None}
    raw = NewMessage(role="user", data=msgspec.Raw(b'{"n":1}')).to_dict()
    assert raw["data"] == {"n": 1}
    assert "data" not in NewMessage(role="user", content="x").to_dict()


def test_numbers_of_any_size_are_written_too(client: Userkeep) -> None:
    [message] = client.message.add("s", NewMessage(role="user", data=[2**70, 0.5]))
    assert message.to_dict()["data"] == [2**70, 0.5]
    assert json.loads(message.to_json())["data"] == [2**70, 0.5]


def test_dict_of_a_value_is_its_plain_form(client: Userkeep) -> None:
    for value in (client.user.get("jane"), client.memory.get("s"), client.session.get("s")):
        assert dict(value) == value.to_dict()
    with pytest.raises(KeyError):
        client.user.get("jane")["nickname"]
    with pytest.raises(TypeError, match="not a list"):
        iter(client.memory.get("s")).__next__()  # type: ignore[call-overload]


# FastAPI.


class Reply(BaseModel):
    """A model of an app, with fields of our types."""

    user: User
    sessions: Page[Session]
    last: Message | None = None


@pytest.fixture
def app(client: Userkeep) -> TestClient:  # noqa: C901 - one handler after the other
    """An app whose handlers return what the client returns."""
    app = FastAPI()

    @app.get("/user")
    def user() -> User:
        return client.user.get("jane")

    @app.get("/user-without-a-model")
    def plain_user():
        return client.user.get("jane")

    @app.get("/sessions")
    def sessions(cursor: str | None = None) -> Page[Session]:
        return client.user.get_sessions("jane", limit=1, cursor=cursor, count=True)

    @app.get("/sessions-without-a-model")
    def plain_sessions():
        return client.user.get_sessions("jane", limit=1, count=True)

    @app.get("/messages")
    def messages() -> list[Message]:
        return list(client.message.list("s"))

    @app.get("/messages-of-a-list", response_model=list[Message])
    def messages_of_list() -> MessagePage:
        return client.message.list("s")

    @app.get("/page-of-messages")
    def page_of_messages() -> MessagePage:
        return client.message.list("s")

    @app.post("/messages")
    def add(message: Annotated[NewMessage, Body()]) -> Messages:
        return client.message.add("s", message)

    @app.get("/memory")
    def memory() -> Memory:
        return client.memory.get("s")

    @app.get("/search")
    def search() -> list[Hit]:
        return client.search("shoes", explain=True)

    @app.get("/hits")
    def hits() -> Hits:
        return client.search("shoes", explain=True)

    @app.get("/reply")
    def reply() -> Reply:
        return Reply(user=client.user.get("jane"), sessions=client.session.list())

    @app.delete("/user")
    def delete() -> Erasure:
        return client.user.delete("jane")

    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/user", lambda client: client.user.get("jane").to_dict()),
        ("/user-without-a-model", lambda client: client.user.get("jane").to_dict()),
        ("/sessions", lambda client: client.session.list(1, count=True).to_dict()),
        ("/messages", lambda client: client.message.list("s").to_dict()["items"]),
        ("/messages-of-a-list", lambda client: client.message.list("s").to_dict()["items"]),
        ("/page-of-messages", lambda client: client.message.list("s").to_dict()),
        ("/memory", lambda client: client.memory.get("s").to_dict()),
        ("/hits", lambda client: client.search("shoes", explain=True).to_dict()),
        ("/search", lambda client: [hit.to_dict() for hit in client.search("shoes", explain=True)]),
    ],
)
def test_a_handler_returns_a_value(
    client: Userkeep, app: TestClient, path: str, expected: Callable[[Userkeep], Any]
) -> None:
    response = app.get(path)
    assert response.status_code == 200
    plain = expected(client)
    if path == "/sessions":  # a cursor belongs to one list
        plain["next"] = client.user.get_sessions("jane", limit=1).next
    assert response.json() == plain


def test_a_page_without_a_model_is_sent_like_one_with_a_model(app: TestClient) -> None:
    assert app.get("/sessions-without-a-model").json() == app.get("/sessions").json()
    rest = app.get("/sessions", params={"cursor": app.get("/sessions").json()["next"]}).json()
    assert [session["session_id"] for session in rest["items"]] == ["other"]
    assert rest["next"] is None


def test_a_response_model_that_is_a_list_has_the_items_of_all_pages(
    client: Userkeep, app: TestClient
) -> None:
    client.message.add("s", [NewMessage(role="user", content="x")] * 249)
    sent = app.get("/messages-of-a-list").json()
    assert [message["seq"] for message in sent] == [*range(1, 251)]
    page = app.get("/page-of-messages").json()
    assert len(page["items"]) == 100
    assert page["next"] is not None


def test_a_handler_takes_a_message_and_reports_an_invalid_one(app: TestClient) -> None:
    [added] = app.post("/messages", json={"role": "user", "content": "x", "data": [1]}).json()
    assert (added["seq"], added["content"], added["data"]) == (2, "x", [1])
    rejected = app.post("/messages", json={"content": "x"})
    assert rejected.status_code == 422
    assert "required field `role`" in rejected.text


def test_a_deletion_is_returned(client: Userkeep, app: TestClient) -> None:
    response = app.delete("/user")
    assert response.status_code == 200
    listed = client.erasure.list()[0].to_dict()
    assert response.json() == listed | {"sessions_without_user": 0}


def test_a_model_of_an_app_has_fields_of_our_types(client: Userkeep, app: TestClient) -> None:
    sent = app.get("/reply").json()
    assert sent["user"] == client.user.get("jane").to_dict()
    assert sent["sessions"] == client.session.list().to_dict()
    read = Reply.model_validate(sent)
    assert isinstance(read.user, User)
    assert isinstance(read.sessions, Page)
    assert (read.user, read.sessions) == (client.user.get("jane"), client.session.list())
    with pytest.raises(ValidationError, match="user_id"):
        Reply.model_validate({**sent, "user": {**sent["user"], "user_id": 5}})


def test_the_openapi_document_describes_our_types(app: TestClient) -> None:
    document = app.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for kind in (User, Session, Message, Memory, Hit, Erasure, NewMessage):
        assert schemas[kind.__name__]["type"] == "object"
        assert list(schemas[kind.__name__]["properties"]) == list(kind.__struct_fields__)
    assert schemas["User"]["properties"]["created_at"]["format"] == "date-time"

    def schema_of(path: str) -> Any:
        response = document["paths"][path]["get"]["responses"]["200"]
        return response["content"]["application/json"]["schema"]

    assert schema_of("/user") == {"$ref": "#/components/schemas/User"}
    assert schema_of("/messages")["items"] == {"$ref": "#/components/schemas/Message"}
    page = schema_of("/sessions")["properties"]
    assert list(page) == ["items", "next", "count"]
    assert page["items"]["items"] == {"$ref": "#/components/schemas/Session"}
    assert unresolved(document) == set()


def unresolved(document: dict[str, Any]) -> set[str]:
    """Return the references that lead nowhere."""
    missing = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            target = value.get("$ref")
            if isinstance(target, str):
                name = target.removeprefix("#/components/schemas/")
                if name not in document["components"]["schemas"]:
                    missing.add(target)
            for each in value.values():
                visit(each)
        elif isinstance(value, list):
            for each in value:
                visit(each)

    visit(document)
    return missing


def test_handlers_await_the_async_client() -> None:
    app = FastAPI()
    clients: list[AsyncUserkeep] = []

    @app.get("/users")
    async def users() -> AsyncPage[User]:
        return await clients[0].user.list(limit=1)

    @app.get("/all-users")
    async def all_users() -> list[User]:
        return [user async for user in await clients[0].user.list()]

    async def main() -> tuple[Any, Any]:
        async with AsyncUserkeep.open(":memory:") as client:
            clients.append(client)
            for name in ("ann", "bob"):
                await client.user.add(user_id=name)
            api = TestClient(app)
            paths = ("/users", "/all-users")
            page, everyone = [await anyio.to_thread.run_sync(api.get, path) for path in paths]
            return page.json(), everyone.json()

    page, everyone = anyio.run(main)
    assert [user["user_id"] for user in page["items"]] == ["ann"]
    assert page["next"] is not None
    assert [user["user_id"] for user in everyone] == ["ann", "bob"]
