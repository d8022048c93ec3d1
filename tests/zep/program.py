"""A program for zep-python 1.x that runs with both packages: only the name of the package differs.

    python program.py http://127.0.0.1:8000

It needs a fresh server, and prints one line for each step: `step: result`.
"""

import asyncio
import copy
import json
import pickle
import sys
import warnings
from uuid import UUID

import userkeep.zep
from userkeep.zep import APIError, NotFoundError, ZepClient
from userkeep.zep.document import Document
from userkeep.zep.exceptions import AuthError, ZepClientError
from userkeep.zep.memory import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    Message,
    Session,
    Summary,
)
from userkeep.zep.memory.models import SearchScope
from userkeep.zep.message.models import UpdateMessageMetadataRequest
from userkeep.zep.user import CreateUserRequest, UpdateUserRequest, User

ODD_IDS = [
    "jane smith",
    "jürgen 東京 🙂",
    "jane@example.com",
    "0b7ff8cf-37e7-4a5e-a2c1-6a2ad4a6cd9c",
    "a+b",
    "a.b",
    "a:b;c=d,e&f",
    "(a)*!~'$",
    '{"a"}|<b>^`',
    "100%",
    "50% off",
    "a\\b",
    "a b%2Fc",
]
ADDED = {"email": "jane@example.com", "first_name": "Jane", "last_name": "Smith"}
METADATA = {"foo": "bar", "deep": {"list": [1, 2.5, None], "no": False}, "nothing": None}


def show(what, value):
    print(f"{what}: {value!r}")


def show_result(what, function, *arguments, **named):
    """Print the result of a call, or the error that it raises."""
    try:
        show(what, function(*arguments, **named))
    except Exception as error:
        show_error(what, error)


def show_error(what, error):
    kinds = [each.__name__ for each in type(error).__mro__ if each is not object]
    named = kinds[: kinds.index("Exception")] if isinstance(error, ZepClientError) else kinds[-3:-2]
    print(f"{what}: raises {named} {getattr(error, 'response_data', '')!r}")


def objects_of_users():
    user = User(
        user_id="jane",
        uuid="01a204ce-14fa-7451-9c12-91e7186211cf",  # type: ignore[arg-type]
        created_at="2024-01-31T10:20:30.5Z",  # type: ignore[arg-type]
        metadata=METADATA,
    )
    show("a user", user)
    print(f"a user printed: {user}")
    show("a user as a dict", user.dict())
    show("a user as JSON", user.json())
    show("a user as short JSON", user.json(exclude_none=True, indent=1))
    show("a user's fields that were given", user.dict(exclude_unset=True))
    show("a user's fields that are no defaults", user.dict(exclude_defaults=True))
    show("some of a user's fields", user.dict(include={"user_id", "email"}, exclude={"email"}))
    show("a user's pairs", dict(user))
    show("a user's attributes", vars(user))
    show("a user from a dict", User.parse_obj(user.dict()) == user)
    show("a user from JSON", User.parse_raw(user.json()) == user)
    show("a user is its dict", user == user.dict())
    show("a user is not another user", user == User(user_id="jane"))
    show("a user is not a text", user == "jane")
    show("a copy", (user.copy(), user.copy(update={"email": "j@e.co"}), user.copy(deep=True)))
    show("Python's copies", (copy.copy(user) == user, copy.deepcopy(user) == user))
    show("a pickled user", pickle.loads(pickle.dumps(user)))
    user.email = "jane@example.com"
    show("a changed user", (user.email, user.dict(exclude_unset=True)))
    show_result("an unknown field", setattr, user, "emial", "x")
    show_result("a user with a hash", hash, user)
    show_result("a user without an id", User)
    show_result("a user with a list for an id", User, user_id=["jane"])
    show_result("a user with a text for metadata", User, user_id="jane", metadata="foo")
    show_result("a user with a wrong uuid", User, user_id="jane", uuid="7")
    show_result("a user with a wrong time", User, user_id="jane", created_at="yesterday")
    show("a user with an extra field", User(user_id="jane", age=7))  # type: ignore[call-arg]
    show("a number for an id", User(user_id=7, email=1.5))  # type: ignore[arg-type]
    show("numbers as keys", User(user_id="jane", metadata={1: {2: 3}}))  # type: ignore[dict-item]
    show(
        "requests",
        (CreateUserRequest(user_id="a"), UpdateUserRequest(user_id="a", uuid=UUID(int=0))),
    )


def objects_of_memory():
    message = Message(role="user", content='It\'s\n"so"', token_count="5", metadata={"a": None})  # type: ignore[arg-type]
    show("a message", message)
    print(f"a message printed: {message}")
    show("a message as a dict", (message.to_dict(), message.dict(exclude_none=True)))
    show("an empty message", Message())
    show("an empty summary", Summary())
    memory = Memory(messages=[message, {"role": "ai", "content": "b", "more": 1}])  # type: ignore[list-item]
    show("a memory", memory)
    show("a memory as a dict", (memory.to_dict(), memory.dict(exclude_none=True)))
    show("a memory as JSON", memory.json())
    show("an empty memory", Memory())
    show("memories share no list", Memory().messages is Memory().messages)
    show_result("a memory of a text", Memory, messages="Hello")
    show_result("a memory of wrong messages", Memory, messages=[{"role": ["user"], "content": "b"}])
    show("a session", Session(session_id="s", metadata={}))
    show("a search", MemorySearchPayload(text="x", search_scope=SearchScope.summary, mmr_lambda=1))
    show("a hit", MemorySearchResult(message={"content": "x"}, summary=None, dist=0.5))
    show(
        "an annotation", UpdateMessageMetadataRequest(uuid=UUID(int=1), session_id="s", metadata={})
    )


def errors():
    show("an error", (str(APIError()), str(AuthError()), APIError(message="x").response_data))
    error = NotFoundError("gone")
    show("an error's parts", (error.message, error.response_data, str(error), error.args))
    for one in (APIError, AuthError, NotFoundError):
        show(f"a {one.__name__}", [issubclass(one, other) for other in (APIError, ZepClientError)])


def construction(url):
    show("a client's address", ZepClient(url + "/").base_url.removeprefix(url))
    show_result("no server", ZepClient, "http://127.0.0.1:9")
    show_result("no Zep", ZepClient, url + "/docs")
    with ZepClient(base_url=url, api_key="any") as client:
        show("a client in a block", client.user.list())
    show_result("a closed client", client.user.list)
    show("names", sorted(set(userkeep.zep.__all__) & {"ZepClient", "Memory", "Message", "Session"}))


def users(client):
    jane = client.user.add(CreateUserRequest(user_id="jane", metadata=METADATA, **ADDED))
    show("added", jane)
    print(f"added, printed: {jane}")
    show("got", client.user.get("jane"))
    show("got the same", client.user.get("jane") == jane)
    show("a plain one", client.user.add(CreateUserRequest(user_id="plain")))
    show_result("added twice", client.user.add, CreateUserRequest(user_id="jane"))
    show_result("got an unknown user", client.user.get, "nobody")
    show_result("changed an unknown user", client.user.update, UpdateUserRequest(user_id="nobody"))
    show_result("deleted an unknown user", client.user.delete, "nobody")
    show_result("sessions of an unknown user", client.user.get_sessions, "nobody")
    change = UpdateUserRequest(
        user_id="jane", email="", metadata={"deep": {"yes": True}, "foo": None}
    )
    show("changed", client.user.update(change))
    show("touched", client.user.update(UpdateUserRequest(user_id="jane")))
    show("merged nothing", client.user.update(UpdateUserRequest(user_id="jane", metadata={})))
    show_result(
        "named by uuid", client.user.update, UpdateUserRequest(user_id="jane", uuid=jane.uuid)
    )
    show("sent back", client.user.add(CreateUserRequest(**{**jane.dict(), "user_id": "joan"})))
    show_result("a blank id added", client.user.add, CreateUserRequest(user_id=""))
    show_result("a user read with an empty id", client.user.get, "")
    show_result(
        "not a number in metadata",
        client.user.add,
        CreateUserRequest(user_id="n", metadata={"n": float("nan")}),
    )
    show("deleted", client.user.delete("joan"))
    show_result("deleted again", client.user.delete, "joan")


def lists(client):
    for number in range(25):
        client.user.add(CreateUserRequest(user_id=f"user-{number}"))
    for number in range(5, 10):
        client.user.delete(f"user-{number}")
    show("all", [(each.id, each.user_id) for each in client.user.list()])
    show("a page", client.user.list(limit=2, cursor=0))
    show("a page by offset", [each.user_id for each in client.user.list(3, 4)])
    show("a page after the last", client.user.list(limit=3, cursor=1_000))
    show_result("a negative limit", lambda: len(client.user.list(limit=-1)))
    show_result("an invalid limit", client.user.list, limit="x")
    chunks = [[each.user_id for each in chunk] for chunk in client.user.list_chunked(chunk_size=7)]
    show("chunks", chunks)
    show("chunks of the default size", [len(chunk) for chunk in client.user.list_chunked()])
    generator = client.user.list_chunked(7)
    show("the first chunk", len(next(generator)))
    generator.close()
    for number in range(7):
        client.memory.add_session(Session(session_id=f"listed-{number}"))
    show(
        "sessions in chunks",
        [len(chunk) for chunk in client.memory.list_all_sessions(chunk_size=3)],
    )
    show("sessions by page", [each.session_id for each in client.memory.list_sessions(2, 3)])
    show("all sessions", len(client.memory.list_sessions()))


def sessions(client):
    memory = client.memory
    session = memory.add_session(Session(session_id="s1", user_id="jane", metadata=METADATA))
    show("opened", session)
    show("read", memory.get_session("s1") == session)
    show("opened without a user", memory.add_session(Session(session_id="s2")))
    show_result("opened twice", memory.add_session, Session(session_id="s1"))
    show_result(
        "opened for an unknown user", memory.add_session, Session(session_id="s3", user_id="nobody")
    )
    show_result("read none", memory.get_session, "none")
    show_result(
        "changed none", memory.update_session, Session(session_id="none", metadata={"a": 1})
    )
    show("merged", memory.update_session(Session(session_id="s1", metadata={"foo": {"a": 1}})))
    show("merged nothing into it", memory.update_session(Session(session_id="s1", metadata={})))
    show("listed for the user", memory.get_session("s1") in client.user.get_sessions("jane"))
    for call in (memory.get_session, memory.get_memory, memory.delete_memory):
        for blank in ("", "  ", None):
            show_result(f"{call.__name__} of {blank!r}", call, blank)
    show_result("opened with a blank id", memory.add_session, Session(session_id=" "))
    show_result("opened nothing", memory.add_session, None)
    show_result("changed nothing", memory.update_session, None)


def memories(client):
    memory = client.memory
    added = [
        Message(role="user", content="Hello"),
        Message(role="ai", content="Hello, Jane", metadata={"mood": "good"}, token_count=4),
        Message(role="", content=""),
    ]
    show("appended", memory.add_memory("s1", Memory(messages=added)))
    kept = memory.get_memory("s1")
    show("a stored memory", kept)
    print(f"a stored memory, printed: {kept}")
    show("the newest", memory.get_memory("s1", lastn=1))
    show_result("the newest -1", memory.get_memory, "s1", -1)
    show("appended to a new one", memory.add_memory("s-new", Memory(messages=[added[0]])))
    show("appended nothing", memory.add_memory("s-empty", Memory()))
    show("a memory of an unknown session", memory.get_memory("none"))
    given = Message(uuid="7d5bbd4e-6f3c-4f6c-8d0a-3c6ff0b7b8aa", role="user", content="Mine")
    show("appended by uuid", memory.add_memory("s1", Memory(messages=[given], metadata={"a": 1})))
    show_result("appended by uuid again", memory.add_memory, "s1", Memory(messages=[given]))
    wrong = Message(uuid="7", role="user", content="Mine")
    show_result("appended by a wrong uuid", memory.add_memory, "s1", Memory(messages=[wrong]))
    twenty = [Message(role="user", content=f"{number}") for number in range(20)]
    memory.add_memory("s-long", Memory(messages=twenty))
    show("a window", [each.content for each in memory.get_memory("s-long").messages])
    show("more than it", [each.content for each in memory.get_memory("s-long", 15).messages])
    searches(memory)
    wrong_scope = MemorySearchPayload(text="Hello", search_scope="all")
    show_result("searched in a wrong scope", memory.search_memory, "s1", wrong_scope)
    wrong_type = MemorySearchPayload(text="Hello", search_type="all")
    show_result("searched by a wrong type", memory.search_memory, "s1", wrong_type)
    show_result("searched for None", memory.search_memory, "s1", None)
    show_result("collections", client.document.list_collections)
    documents(client.document)


def documents(client):
    """Add, find and change documents."""
    first, second = ([1.0 if at == axis else 0.25 for at in range(8)] for axis in (0, 3))
    papers = client.add_collection("papers", 8, "What I read", {"a": 1}, is_auto_embedded=False)
    show("a collection", (papers.name, papers.description, papers.metadata))
    show("without documents", papers.status)
    new = [
        Document(content="red", document_id="a", metadata={"n": 1}, embedding=first),
        Document(content="blue", metadata={"n": 2}, embedding=second),
    ]
    uuids = papers.add_documents(new, batch_size=1)
    show("two uuids", len(uuids))
    document = papers.get_document(uuids[0])
    show("a document", (document.document_id, document.content, document.metadata))
    show("its embedding", document.embedding)
    show("two documents", sorted(each.content for each in papers.get_documents(uuids)))
    found, vector = papers.search_return_query_vector(embedding=first, limit=1)
    show("the nearest document", (found[0].content, round(found[0].score, 6)))
    show("the vector of a query", list(map(float, vector)))
    where = {"where": {"jsonpath": "$[*] ? (@.n == 2)"}}
    show("by metadata", [each.content for each in papers.search(metadata=where)])
    mmr = papers.search(embedding=first, search_type="mmr", mmr_lambda=0.5)
    show("by relevance", [each.content for each in mmr])
    papers.update_document(uuids[0], document_id="b", metadata={"m": 2})
    show("an updated document", papers.get_document(uuids[0]).metadata)
    papers.delete_document(uuids[0])
    show_result("a deleted document", lambda: papers.get_document(uuids[0]).content)
    papers.create_index(force=True)
    show("an updated collection", client.update_collection("papers", "More").description)
    show("documents", client.get_collection("papers").document_count)
    show("one collection", [each.name for each in client.list_collections()])
    show_result("the same collection", client.add_collection, "papers", 8, is_auto_embedded=False)
    client.delete_collection("papers")
    show_result("a deleted collection", client.get_collection, "papers")
    show("in a deleted collection", papers.search(embedding=first))


def searches(memory):
    """Search in the messages that were added."""
    found = memory.search_memory("s1", MemorySearchPayload(text="Hello, Jane"))
    show("found", found)
    show("found one by one", [(each.message["content"], each.dist, each.summary) for each in found])
    show("found at most one", memory.search_memory("s1", MemorySearchPayload(text="Hello"), 1))
    show("found all", len(memory.search_memory("s-long", MemorySearchPayload(metadata={}), -1)))
    for what, payload in {
        "by a text without a match": MemorySearchPayload(text="bicycle"),
        "the newest": MemorySearchPayload(metadata={"foo": "bar"}),
        "by mmr": MemorySearchPayload(text="Jane", search_type="mmr", mmr_lambda=0.3),
        "summaries": MemorySearchPayload(text="Jane", search_scope="summary"),
        "nothing": MemorySearchPayload(),
        "by mmr without a text": MemorySearchPayload(metadata={}, search_type="mmr"),
        "by metadata": MemorySearchPayload(metadata={"where": {"jsonpath": "$.mood"}}),
    }.items():
        show_result(f"searched {what}", memory.search_memory, "s1", payload, limit=3)
    show("found in none", memory.search_memory("none", MemorySearchPayload(text="Hello")))


def messages(client):
    message = client.message
    everything = message.get_session_messages("s1")
    show("messages", everything)
    show(
        "a page of messages",
        [each.content for each in message.get_session_messages("s-long", 6, 2)],
    )
    show("all at once", len(message.get_session_messages("s-long", limit=None)))
    show("messages of none", message.get_session_messages("none"))
    uuid = everything[1].uuid
    show("one message", message.get_session_message("s1", uuid))
    show_result("no message", message.get_session_message, "s1", str(UUID(int=7)))
    show_result("a wrong message", message.get_session_message, "s1", "seven")
    annotated = message.update_message_metadata(
        "s1", uuid, {"metadata": {"mood": "better", "n": 1}}
    )
    show("annotated", annotated)
    show_result("annotated bare", message.update_message_metadata, "s1", uuid, {"bare": True})
    show_result(
        "annotated none",
        message.update_message_metadata,
        "s1",
        str(UUID(int=7)),
        {"metadata": {"a": 1}},
    )
    for bad in ({"limit": 0}, {"cursor": 0}, {"limit": -1}, {"limit": "5"}):
        show_result(f"messages by {list(bad.items())}", message.get_session_messages, "s1", **bad)
    show_result("messages of a blank", message.get_session_messages, " ")
    show_result("one message of a blank", message.get_session_message, " ", uuid)
    show_result("a blank message", message.get_session_message, "s1", "")
    show_result("a blank message annotated", message.update_message_metadata, "s1", "", {})


def ids(client):
    for name in ODD_IDS:
        user = client.user.add(CreateUserRequest(user_id=name))
        show(f"user {name}", (user.user_id, client.user.get(name) == user))
        session = client.memory.add_session(Session(session_id=name, user_id=name))
        client.memory.add_memory(name, Memory(messages=[Message(role="user", content=name)]))
        (message,) = client.memory.get_memory(name).messages
        show(f"session {name}", (session.session_id, client.memory.get_session(name).user_id))
        show(
            f"message of {name}", client.message.get_session_message(name, message.uuid) == message
        )
        show(f"sessions of {name}", [each.session_id for each in client.user.get_sessions(name)])
        show(f"deleted {name}", (client.memory.delete_memory(name), client.user.delete(name)))
        show_result(f"gone {name}", client.user.get, name)
    client.user.add(CreateUserRequest(user_id="a/b"))
    show_result("a slash", lambda: client.user.get("a/b").user_id)
    show_result("a slash that the program has encoded", lambda: client.user.get("a%2Fb").user_id)
    show_result("None for an id", client.user.get, None)


def deletions(client):
    show("session deleted", client.memory.delete_memory("s1"))
    show_result("session deleted again", client.memory.delete_memory, "s1")
    show("and empty", client.memory.get_memory("s1").messages)
    client.memory.add_session(Session(session_id="last", user_id="jane"))
    show("jane deleted", client.user.delete("jane"))
    show_result("her session", client.memory.get_session, "last")
    show_result(
        "a late word",
        client.memory.add_memory,
        "last",
        Memory(messages=[Message(role="user", content="?")]),
    )
    show("who is left", [each.user_id for each in client.user.list(limit=3)])


def deprecated_methods(client):
    """Call the deprecated methods of the client, and print their warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.add_session(Session(session_id="old"))
        client.add_memory("old", Memory(messages=[Message(role="user", content="Hello")]))
        show("old session", client.get_session("old").session_id)
        show("old memory", [each.content for each in client.get_memory("old", 1).messages])
        show_result("old search", client.search_memory, "old", MemorySearchPayload(text="Hello"))
        show("old deletion", client.delete_memory("old"))
    show("old warnings", [(each.category.__name__, each.filename == __file__) for each in caught])


async def async_methods(client):
    """Call the async methods."""
    john = await client.user.aadd(CreateUserRequest(user_id="john", metadata=METADATA, **ADDED))
    show("john", john)
    show("john again", await client.user.aget("john") == john)
    show(
        "john changed",
        await client.user.aupdate(UpdateUserRequest(user_id="john", last_name="Doe")),
    )
    session = await client.memory.aadd_session(Session(session_id="j1", user_id="john"))
    show("his session", session)
    show("his session again", await client.memory.aget_session("j1") == session)
    show(
        "his session changed",
        await client.memory.aupdate_session(Session(session_id="j1", metadata={"a": 1})),
    )
    show("his sessions", await client.user.aget_sessions("john"))
    words = [Message(role="user", content=content) for content in ("One", "Two")]
    show("his words", await client.memory.aadd_memory("j1", Memory(messages=words)))
    memory = await client.memory.aget_memory("j1", lastn=1)
    show("his memory", memory)
    uuid = memory.messages[0].uuid
    show("his messages", await client.message.aget_session_messages("j1", limit=1, cursor=2))
    show("his message", await client.message.aget_session_message("j1", uuid))
    show(
        "his message annotated",
        await client.message.aupdate_message_metadata("j1", uuid, {"metadata": {"a": 1}}),
    )
    show("users awaited", [each.user_id for each in await client.user.alist(limit=3)])
    show("chunks awaited", [len(chunk) async for chunk in client.user.alist_chunked(chunk_size=8)])
    show("sessions awaited", len(await client.memory.alist_sessions(limit=4, cursor=2)))
    show(
        "sessions in chunks awaited",
        [len(chunk) async for chunk in client.memory.alist_all_sessions(chunk_size=3)],
    )
    several = await asyncio.gather(*(client.user.aget("john") for _ in range(20)))
    show("twenty at once", all(each == several[0] for each in several))
    for what, started in {
        "awaited search": client.memory.asearch_memory("j1", MemorySearchPayload(text="One")),
        "awaited an unknown user": client.user.aget("nobody"),
        "awaited none": client.memory.aget_session("none"),
        "awaited blank": client.memory.aget_memory(""),
        "awaited None": client.user.aget(None),
        "awaited page": client.message.aget_session_messages("j1", limit=0),
    }.items():
        try:
            show(what, await started)
        except Exception as error:
            show_error(what, error)
    show("his session deleted", await client.memory.adelete_memory("j1"))
    show("john deleted", await client.user.adelete("john"))


async def async_block(url):
    async with ZepClient(url) as client:
        await async_methods(client)
    try:
        await client.user.alist()
    except Exception as error:
        show_error("closed and awaited", error)


def error_messages(client):
    """Print the messages of errors."""
    for what, call in {
        "the sentence of NotFoundError": lambda: client.user.get("nobody"),
        "the sentence of APIError": lambda: client.user.add(CreateUserRequest(user_id="plain")),
        "the sentence of ValueError": lambda: client.memory.get_session(""),
    }.items():
        try:
            call()
        except Exception as error:
            show(what, str(error))


def main():
    url = sys.argv[1]
    objects_of_users()
    objects_of_memory()
    errors()
    construction(url)
    client = ZepClient(url, "any")
    for part in (
        users,
        lists,
        sessions,
        memories,
        messages,
        ids,
        deletions,
        deprecated_methods,
        error_messages,
    ):
        part(client)
    client.close()
    asyncio.run(async_block(url))
    show("JSON is left", json.loads(User(user_id="x").json())["user_id"])


if __name__ == "__main__":
    main()
