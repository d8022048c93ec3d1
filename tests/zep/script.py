"""A program for zep-python 1.x, whose package's name is all that differs between two runs of it.

    python script.py http://127.0.0.1:8000

On a fresh server it prints a line for each thing it does, `what: what came of it`.
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


def say(what, value):
    print(f"{what}: {value!r}")


def attempt(what, function, *arguments, **named):
    """Say what a call gives, or which error it raises."""
    try:
        say(what, function(*arguments, **named))
    except Exception as error:
        say_error(what, error)


def say_error(what, error):
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
    say("a user", user)
    print(f"a user printed: {user}")
    say("a user as a dict", user.dict())
    say("a user as JSON", user.json())
    say("a user as short JSON", user.json(exclude_none=True, indent=1))
    say("a user's fields that were given", user.dict(exclude_unset=True))
    say("a user's fields that are no defaults", user.dict(exclude_defaults=True))
    say("some of a user's fields", user.dict(include={"user_id", "email"}, exclude={"email"}))
    say("a user's pairs", dict(user))
    say("a user's own", vars(user))
    say("a user from a dict", User.parse_obj(user.dict()) == user)
    say("a user from JSON", User.parse_raw(user.json()) == user)
    say("a user is its dict", user == user.dict())
    say("a user is no other", user == User(user_id="jane"))
    say("a user is no text", user == "jane")
    say("a copy", (user.copy(), user.copy(update={"email": "j@e.co"}), user.copy(deep=True)))
    say("Python's copies", (copy.copy(user) == user, copy.deepcopy(user) == user))
    say("a pickled user", pickle.loads(pickle.dumps(user)))
    user.email = "jane@example.com"
    say("a changed user", (user.email, user.dict(exclude_unset=True)))
    attempt("a field there is none of", setattr, user, "emial", "x")
    attempt("a user with a hash", hash, user)
    attempt("a user without an id", User)
    attempt("a user with a list for an id", User, user_id=["jane"])
    attempt("a user with a text for metadata", User, user_id="jane", metadata="foo")
    attempt("a user with a wrong uuid", User, user_id="jane", uuid="7")
    attempt("a user with a wrong time", User, user_id="jane", created_at="yesterday")
    say("a user with too much", User(user_id="jane", age=7))  # type: ignore[call-arg]
    say("a number for an id", User(user_id=7, email=1.5))  # type: ignore[arg-type]
    say("numbers as keys", User(user_id="jane", metadata={1: {2: 3}}))  # type: ignore[dict-item]
    say(
        "requests",
        (CreateUserRequest(user_id="a"), UpdateUserRequest(user_id="a", uuid=UUID(int=0))),
    )


def objects_of_memory():
    message = Message(role="user", content='It\'s\n"so"', token_count="5", metadata={"a": None})  # type: ignore[arg-type]
    say("a message", message)
    print(f"a message printed: {message}")
    say("a message as a dict", (message.to_dict(), message.dict(exclude_none=True)))
    say("a message of nothing", Message())
    say("a summary of nothing", Summary())
    memory = Memory(messages=[message, {"role": "ai", "content": "b", "more": 1}])  # type: ignore[list-item]
    say("a memory", memory)
    say("a memory as a dict", (memory.to_dict(), memory.dict(exclude_none=True)))
    say("a memory as JSON", memory.json())
    say("an empty memory", Memory())
    say("memories share no list", Memory().messages is Memory().messages)
    attempt("a memory of a text", Memory, messages="Hello")
    attempt("a memory of wrong messages", Memory, messages=[{"role": ["user"], "content": "b"}])
    say("a session", Session(session_id="s", metadata={}))
    say("a search", MemorySearchPayload(text="x", search_scope=SearchScope.summary, mmr_lambda=1))
    say("a hit", MemorySearchResult(message={"content": "x"}, summary=None, dist=0.5))
    say(
        "an annotation", UpdateMessageMetadataRequest(uuid=UUID(int=1), session_id="s", metadata={})
    )


def errors():
    say("an error", (str(APIError()), str(AuthError()), APIError(message="x").response_data))
    error = NotFoundError("gone")
    say("an error's parts", (error.message, error.response_data, str(error), error.args))
    for one in (APIError, AuthError, NotFoundError):
        say(f"a {one.__name__}", [issubclass(one, other) for other in (APIError, ZepClientError)])


def construction(url):
    say("a client's address", ZepClient(url + "/").base_url.removeprefix(url))
    attempt("no server", ZepClient, "http://127.0.0.1:9")
    attempt("no Zep", ZepClient, url + "/docs")
    with ZepClient(base_url=url, api_key="any") as client:
        say("a client in a block", client.user.list())
    attempt("a closed client", client.user.list)
    say("names", sorted(set(userkeep.zep.__all__) & {"ZepClient", "Memory", "Message", "Session"}))


def users(client):
    jane = client.user.add(CreateUserRequest(user_id="jane", metadata=METADATA, **ADDED))
    say("added", jane)
    print(f"added, printed: {jane}")
    say("got", client.user.get("jane"))
    say("got the same", client.user.get("jane") == jane)
    say("a plain one", client.user.add(CreateUserRequest(user_id="plain")))
    attempt("added twice", client.user.add, CreateUserRequest(user_id="jane"))
    attempt("got nobody", client.user.get, "nobody")
    attempt("changed nobody", client.user.update, UpdateUserRequest(user_id="nobody"))
    attempt("deleted nobody", client.user.delete, "nobody")
    attempt("sessions of nobody", client.user.get_sessions, "nobody")
    change = UpdateUserRequest(
        user_id="jane", email="", metadata={"deep": {"yes": True}, "foo": None}
    )
    say("changed", client.user.update(change))
    say("touched", client.user.update(UpdateUserRequest(user_id="jane")))
    say("merged nothing", client.user.update(UpdateUserRequest(user_id="jane", metadata={})))
    attempt("named by uuid", client.user.update, UpdateUserRequest(user_id="jane", uuid=jane.uuid))
    say("sent back", client.user.add(CreateUserRequest(**{**jane.dict(), "user_id": "joan"})))
    attempt("a blank id added", client.user.add, CreateUserRequest(user_id=""))
    attempt("nobody's name read", client.user.get, "")
    attempt(
        "not a number in metadata",
        client.user.add,
        CreateUserRequest(user_id="n", metadata={"n": float("nan")}),
    )
    say("deleted", client.user.delete("joan"))
    attempt("deleted again", client.user.delete, "joan")


def lists(client):
    for number in range(25):
        client.user.add(CreateUserRequest(user_id=f"user-{number}"))
    for number in range(5, 10):
        client.user.delete(f"user-{number}")
    say("all", [(each.id, each.user_id) for each in client.user.list()])
    say("a page", client.user.list(limit=2, cursor=0))
    say("a page by offset", [each.user_id for each in client.user.list(3, 4)])
    say("a page after the last", client.user.list(limit=3, cursor=1_000))
    attempt("a negative limit", lambda: len(client.user.list(limit=-1)))
    attempt("a limit of nonsense", client.user.list, limit="x")
    chunks = [[each.user_id for each in chunk] for chunk in client.user.list_chunked(chunk_size=7)]
    say("chunks", chunks)
    say("chunks of the usual size", [len(chunk) for chunk in client.user.list_chunked()])
    generator = client.user.list_chunked(7)
    say("the first chunk", len(next(generator)))
    generator.close()
    for number in range(7):
        client.memory.add_session(Session(session_id=f"listed-{number}"))
    say(
        "sessions in chunks",
        [len(chunk) for chunk in client.memory.list_all_sessions(chunk_size=3)],
    )
    say("sessions by page", [each.session_id for each in client.memory.list_sessions(2, 3)])
    say("all sessions", len(client.memory.list_sessions()))


def sessions(client):
    memory = client.memory
    session = memory.add_session(Session(session_id="s1", user_id="jane", metadata=METADATA))
    say("opened", session)
    say("read", memory.get_session("s1") == session)
    say("opened for nobody in particular", memory.add_session(Session(session_id="s2")))
    attempt("opened twice", memory.add_session, Session(session_id="s1"))
    attempt(
        "opened for nobody known", memory.add_session, Session(session_id="s3", user_id="nobody")
    )
    attempt("read none", memory.get_session, "none")
    attempt("changed none", memory.update_session, Session(session_id="none", metadata={"a": 1}))
    say("merged", memory.update_session(Session(session_id="s1", metadata={"foo": {"a": 1}})))
    say("merged nothing into it", memory.update_session(Session(session_id="s1", metadata={})))
    say("hers", memory.get_session("s1") in client.user.get_sessions("jane"))
    for call in (memory.get_session, memory.get_memory, memory.delete_memory):
        for blank in ("", "  ", None):
            attempt(f"{call.__name__} of {blank!r}", call, blank)
    attempt("opened with a blank id", memory.add_session, Session(session_id=" "))
    attempt("opened nothing", memory.add_session, None)
    attempt("changed nothing", memory.update_session, None)


def memories(client):
    memory = client.memory
    said = [
        Message(role="user", content="Hello"),
        Message(role="ai", content="Hello, Jane", metadata={"mood": "good"}, token_count=4),
        Message(role="", content=""),
    ]
    say("appended", memory.add_memory("s1", Memory(messages=said)))
    kept = memory.get_memory("s1")
    say("remembered", kept)
    print(f"remembered, printed: {kept}")
    say("the newest", memory.get_memory("s1", lastn=1))
    attempt("the newest -1", memory.get_memory, "s1", -1)
    say("appended to a new one", memory.add_memory("s-new", Memory(messages=[said[0]])))
    say("appended nothing", memory.add_memory("s-empty", Memory()))
    say("remembered of none", memory.get_memory("none"))
    given = Message(uuid="7d5bbd4e-6f3c-4f6c-8d0a-3c6ff0b7b8aa", role="user", content="Mine")
    say("appended by uuid", memory.add_memory("s1", Memory(messages=[given], metadata={"a": 1})))
    attempt("appended by uuid again", memory.add_memory, "s1", Memory(messages=[given]))
    wrong = Message(uuid="7", role="user", content="Mine")
    attempt("appended by a wrong uuid", memory.add_memory, "s1", Memory(messages=[wrong]))
    twenty = [Message(role="user", content=f"{number}") for number in range(20)]
    memory.add_memory("s-long", Memory(messages=twenty))
    say("a window", [each.content for each in memory.get_memory("s-long").messages])
    say("more than it", [each.content for each in memory.get_memory("s-long", 15).messages])
    searches(memory)
    wrong_scope = MemorySearchPayload(text="Hello", search_scope="all")
    attempt("searched in a wrong scope", memory.search_memory, "s1", wrong_scope)
    wrong_type = MemorySearchPayload(text="Hello", search_type="all")
    attempt("searched by a wrong type", memory.search_memory, "s1", wrong_type)
    attempt("searched for None", memory.search_memory, "s1", None)
    attempt("collections", client.document.list_collections)


def searches(memory):
    """What is found in what was remembered."""
    found = memory.search_memory("s1", MemorySearchPayload(text="Hello, Jane"))
    say("found", found)
    say("found one by one", [(each.message["content"], each.dist, each.summary) for each in found])
    say("found at most one", memory.search_memory("s1", MemorySearchPayload(text="Hello"), 1))
    say("found all", len(memory.search_memory("s-long", MemorySearchPayload(metadata={}), -1)))
    for what, payload in {
        "by a text that nobody said": MemorySearchPayload(text="bicycle"),
        "the newest": MemorySearchPayload(metadata={"foo": "bar"}),
        "by mmr": MemorySearchPayload(text="Jane", search_type="mmr", mmr_lambda=0.3),
        "summaries": MemorySearchPayload(text="Jane", search_scope="summary"),
        "nothing": MemorySearchPayload(),
        "by mmr without a text": MemorySearchPayload(metadata={}, search_type="mmr"),
        "by metadata": MemorySearchPayload(metadata={"where": {"jsonpath": "$.mood"}}),
    }.items():
        attempt(f"searched {what}", memory.search_memory, "s1", payload, limit=3)
    say("found in none", memory.search_memory("none", MemorySearchPayload(text="Hello")))


def messages(client):
    message = client.message
    everything = message.get_session_messages("s1")
    say("messages", everything)
    say(
        "a page of messages",
        [each.content for each in message.get_session_messages("s-long", 6, 2)],
    )
    say("all at once", len(message.get_session_messages("s-long", limit=None)))
    say("messages of none", message.get_session_messages("none"))
    uuid = everything[1].uuid
    say("one message", message.get_session_message("s1", uuid))
    attempt("no message", message.get_session_message, "s1", str(UUID(int=7)))
    attempt("a wrong message", message.get_session_message, "s1", "seven")
    annotated = message.update_message_metadata(
        "s1", uuid, {"metadata": {"mood": "better", "n": 1}}
    )
    say("annotated", annotated)
    attempt("annotated bare", message.update_message_metadata, "s1", uuid, {"bare": True})
    attempt(
        "annotated none",
        message.update_message_metadata,
        "s1",
        str(UUID(int=7)),
        {"metadata": {"a": 1}},
    )
    for bad in ({"limit": 0}, {"cursor": 0}, {"limit": -1}, {"limit": "5"}):
        attempt(f"messages by {list(bad.items())}", message.get_session_messages, "s1", **bad)
    attempt("messages of a blank", message.get_session_messages, " ")
    attempt("one message of a blank", message.get_session_message, " ", uuid)
    attempt("a blank message", message.get_session_message, "s1", "")
    attempt("a blank message annotated", message.update_message_metadata, "s1", "", {})


def ids(client):
    for name in ODD_IDS:
        user = client.user.add(CreateUserRequest(user_id=name))
        say(f"user {name}", (user.user_id, client.user.get(name) == user))
        session = client.memory.add_session(Session(session_id=name, user_id=name))
        client.memory.add_memory(name, Memory(messages=[Message(role="user", content=name)]))
        (said,) = client.memory.get_memory(name).messages
        say(f"session {name}", (session.session_id, client.memory.get_session(name).user_id))
        say(f"message of {name}", client.message.get_session_message(name, said.uuid) == said)
        say(f"sessions of {name}", [each.session_id for each in client.user.get_sessions(name)])
        say(f"deleted {name}", (client.memory.delete_memory(name), client.user.delete(name)))
        attempt(f"gone {name}", client.user.get, name)
    client.user.add(CreateUserRequest(user_id="a/b"))
    attempt("a slash", lambda: client.user.get("a/b").user_id)
    attempt("a slash that the program has encoded", lambda: client.user.get("a%2Fb").user_id)
    attempt("None for an id", client.user.get, None)


def deletions(client):
    say("session deleted", client.memory.delete_memory("s1"))
    attempt("session deleted again", client.memory.delete_memory, "s1")
    say("and empty", client.memory.get_memory("s1").messages)
    client.memory.add_session(Session(session_id="last", user_id="jane"))
    say("jane deleted", client.user.delete("jane"))
    attempt("her session", client.memory.get_session, "last")
    attempt(
        "a late word",
        client.memory.add_memory,
        "last",
        Memory(messages=[Message(role="user", content="?")]),
    )
    say("who is left", [each.user_id for each in client.user.list(limit=3)])


def old_names(client):
    """Methods of the client itself, and of which they warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.add_session(Session(session_id="old"))
        client.add_memory("old", Memory(messages=[Message(role="user", content="Hello")]))
        say("old session", client.get_session("old").session_id)
        say("old memory", [each.content for each in client.get_memory("old", 1).messages])
        attempt("old search", client.search_memory, "old", MemorySearchPayload(text="Hello"))
        say("old deletion", client.delete_memory("old"))
    say("old warnings", [(each.category.__name__, each.filename == __file__) for each in caught])


async def awaited(client):
    """The awaited form of all of it."""
    john = await client.user.aadd(CreateUserRequest(user_id="john", metadata=METADATA, **ADDED))
    say("john", john)
    say("john again", await client.user.aget("john") == john)
    say(
        "john changed",
        await client.user.aupdate(UpdateUserRequest(user_id="john", last_name="Doe")),
    )
    session = await client.memory.aadd_session(Session(session_id="j1", user_id="john"))
    say("his session", session)
    say("his session again", await client.memory.aget_session("j1") == session)
    say(
        "his session changed",
        await client.memory.aupdate_session(Session(session_id="j1", metadata={"a": 1})),
    )
    say("his sessions", await client.user.aget_sessions("john"))
    words = [Message(role="user", content=content) for content in ("One", "Two")]
    say("his words", await client.memory.aadd_memory("j1", Memory(messages=words)))
    memory = await client.memory.aget_memory("j1", lastn=1)
    say("his memory", memory)
    uuid = memory.messages[0].uuid
    say("his messages", await client.message.aget_session_messages("j1", limit=1, cursor=2))
    say("his message", await client.message.aget_session_message("j1", uuid))
    say(
        "his message annotated",
        await client.message.aupdate_message_metadata("j1", uuid, {"metadata": {"a": 1}}),
    )
    say("users awaited", [each.user_id for each in await client.user.alist(limit=3)])
    say("chunks awaited", [len(chunk) async for chunk in client.user.alist_chunked(chunk_size=8)])
    say("sessions awaited", len(await client.memory.alist_sessions(limit=4, cursor=2)))
    say(
        "sessions in chunks awaited",
        [len(chunk) async for chunk in client.memory.alist_all_sessions(chunk_size=3)],
    )
    several = await asyncio.gather(*(client.user.aget("john") for _ in range(20)))
    say("twenty at once", all(each == several[0] for each in several))
    for what, started in {
        "awaited search": client.memory.asearch_memory("j1", MemorySearchPayload(text="One")),
        "awaited nobody": client.user.aget("nobody"),
        "awaited none": client.memory.aget_session("none"),
        "awaited blank": client.memory.aget_memory(""),
        "awaited None": client.user.aget(None),
        "awaited page": client.message.aget_session_messages("j1", limit=0),
    }.items():
        try:
            say(what, await started)
        except Exception as error:
            say_error(what, error)
    say("his session deleted", await client.memory.adelete_memory("j1"))
    say("john deleted", await client.user.adelete("john"))


async def in_a_block(url):
    async with ZepClient(url) as client:
        await awaited(client)
    try:
        await client.user.alist()
    except Exception as error:
        say_error("closed and awaited", error)


def sentences(client):
    """What an error says of itself."""
    for what, call in {
        "the sentence of NotFoundError": lambda: client.user.get("nobody"),
        "the sentence of APIError": lambda: client.user.add(CreateUserRequest(user_id="plain")),
        "the sentence of ValueError": lambda: client.memory.get_session(""),
    }.items():
        try:
            call()
        except Exception as error:
            say(what, str(error))


def main():
    url = sys.argv[1]
    objects_of_users()
    objects_of_memory()
    errors()
    construction(url)
    client = ZepClient(url, "any")
    for part in (users, lists, sessions, memories, messages, ids, deletions, old_names, sentences):
        part(client)
    client.close()
    asyncio.run(in_a_block(url))
    say("JSON is left", json.loads(User(user_id="x").json())["user_id"])


if __name__ == "__main__":
    main()
