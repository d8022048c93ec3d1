"""Type checking of apps: valid calls pass, and invalid calls are found."""

import re
import subprocess
import sys
from pathlib import Path

import userkeep

RIGHT = """
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import userkeep
from userkeep import (
    AsyncMessagePage, AsyncPage, AsyncUserkeep, CreateSessionRequest, CreateUserRequest,
    Erasure, Explanation, FoundMessage, Hit, Memory, Message, MessagePage, Messages, NewMessage,
    NotFound, Page, Userkeep,
    UserkeepError, Residue, Session, Snippet, UpdateSessionRequest, UpdateUserRequest, User,
    Verification,
)


def sync(client: Userkeep) -> None:
    user: User = client.user.add(user_id="jane", email="x", metadata={"a": [1, None]})
    user = client.user.add(CreateUserRequest(user_id="jane"), idempotency_key="k")
    user = client.user.get("jane")
    user = client.user.put(user_id="jane", first_name=None, if_revision=user.revision)
    user = client.user.put(CreateUserRequest(user_id="jane", last_name="S"))
    user = client.user.update(user_id="jane", email=None)
    user = client.user.update(UpdateUserRequest(user_id="j", metadata={"a": None}), if_revision=2)
    erasure: Erasure = client.user.delete("jane")
    page: Page[User] = client.user.list(10, created_after=datetime.now(), metadata={"a.b": True})
    cursor: str | None = page.next
    page = client.user.list(limit=10, cursor=cursor or 0, order="-created", email="x")
    users: Sequence[User] = page
    first: User = page[0]
    backwards: list[User] = page[::-1]
    pages: Iterator[Page[User]] = client.user.list_chunked(chunk_size=100)
    names: list[str] = [each.user_id for each in client.user.list(order="-created")]
    whole: list[User] = list(client.user.list())
    sent: dict[str, Any] = user.to_dict() | page.to_dict() | NewMessage(role="user").to_dict()
    text: str = user.to_json() + page.to_json()
    print(first, backwards, whole, sent, text)
    sessions: Page[Session] = client.user.get_sessions("jane", 10, sessions_cursor())

    session: Session = client.session.add()
    session = client.session.add(CreateSessionRequest(user_id="jane"), idempotency_key="k")
    session = client.session.update(session_id="s", user_id="jane", metadata=None)
    session = client.session.update(UpdateSessionRequest(session_id="s"), if_revision=1)
    session = client.session.end("s", idempotency_key="k")
    ended: datetime | None = session.ended_at
    session = client.session.reopen("s", idempotency_key="k")
    active: datetime = session.active_at
    title: str | None = client.session.update(session_id="s", title=None).title
    sessions = client.session.list(user_id="jane", created_before=datetime.now())
    erasure = client.session.delete("s")

    new = NewMessage(role="user", content="x", name="Jane", data=[1])
    messages: list[Message] = client.message.add("s", new)
    messages = client.message.add("s", [new, new], user_id="jane", idempotency_key="k")
    count: int = client.message.add_bulk("s", (new for _ in range(3)), user_id="jane")
    messages = client.message.add("s", {"role": "user", "content": "x"})
    messages = client.message.add("s", [new, {"role": "user", "content": "x"}])
    message: Message = client.message.update("s", messages[0].id, content="y", metadata=None)
    message = client.message.update("s", message.id, data=[1], token_count=5, if_revision=1)
    newer = client.message.list("s", after_seq=message.seq, role="user")
    message = client.message.get("s", message.id)
    erasure = client.message.delete("s", message.id)
    rows: Page[Message] = client.message.list("s", order="created")
    memory: Memory = client.memory.get("s", last=5)
    new = NewMessage.from_openai({"role": "user"}, id="a", created_at=datetime.now())
    new = NewMessage.from_openai_responses(object(), metadata={"a": 1}, token_count=3)
    new = NewMessage.from_anthropic({"role": "user"}, name="Jane")
    added: Messages = client.message.add("s", new)
    listed: MessagePage = client.message.list("s")
    prompt: list[dict[str, Any]] = Messages(client.message.list("s")).to_openai()
    prompt = memory.to_openai_responses(unsupported="omit")
    request: dict[str, Any] = added.to_anthropic(unsupported="text")
    print(listed.to_openai(), prompt, request)
    hits: list[Hit] = client.search("shoes", user_id="jane", roles=["user"], limit=5)
    hits = client.search(session_id="s", created_after=datetime.now(), role_weights={"user": 2})
    found: FoundMessage = hits[0].message
    snippet: Snippet = hits[0].snippet
    hits = client.search('"red shoes" -boots', syntax="web")
    hits = client.search("shoes", offset=10, min_score=0.5, context=False, include=["session"])
    explanation: Explanation | None = client.search("shoes", explain=True)[0].explanation
    message = found
    print(found.session_id, snippet.text, [(mark.start, mark.end) for mark in snippet.marks])
    print(explanation)
    erasure = client.erasure.get(erasure.id)
    state: str = erasure.state
    erasures: Page[Erasure] = client.erasure.list()
    verified: Verification = client.erasure.verify(erasure.id, search_terms=["Jane Doe"])
    verified = client.erasure.verify(erasure.id, subject_id="jane", search_terms=("a", "b"))
    residues: list[Residue] = verified.hits
    print(verified.found, residues[0].where, residues[0].search_term)
    print(users, pages, names, sessions, ended, count, rows, memory, state, erasures)


def sessions_cursor() -> str | int | None:
    return None


async def awaited(client: AsyncUserkeep) -> None:
    user: User = await client.user.add(user_id="jane")
    page: AsyncPage[User] = await client.user.list()
    pages: AsyncIterator[AsyncPage[User]] = client.user.list_chunked()
    names: list[str] = [each.user_id async for each in await client.user.list()]
    listed: AsyncMessagePage = await client.message.list("s", limit=5)
    contents: list[str] = [each.content for each in listed]
    async for message in await client.message.list("s"):
        contents.append(message.content)
    appended: list[Message] = await client.message.add("s", NewMessage(role="user", content="x"))
    hits: list[Hit] = await client.search("shoes", user_id="jane")
    print(user, page, pages, names, contents, appended, hits)


async def main() -> None:
    with Userkeep() as client:
        sync(client)
    with Userkeep("https://x", api_key="k", timeout_s=1.5, attempts=1) as client:
        sync(client)
    with Userkeep.open(Path("memory.db"), memory_window=20) as client:
        sync(client)
    async with AsyncUserkeep(api_key=None) as other, AsyncUserkeep.open(":memory:") as another:
        await awaited(other)
        await awaited(another)
    try:
        pass
    except NotFound as error:
        about: tuple[str, str, tuple[str, ...]] = (error.code, error.detail, error.fields)
        print(about)
    except (UserkeepError, userkeep.SettingError):
        raise
"""

WRONG = """
from userkeep import AsyncUserkeep, CreateUserRequest, NewMessage, Userkeep


def wrong(client: Userkeep) -> None:
    client.user.add()  # wrong
    client.user.add(user_id=5)  # wrong
    client.user.add(user_id="jane", nickname="J")  # wrong
    client.user.add(CreateUserRequest(user_id="jane"), email="x")  # wrong
    client.user.add({"user_id": "jane"})  # wrong
    client.user.get(5)  # wrong
    client.user.update(email="x")  # wrong
    client.user.list(limit="ten")  # wrong
    client.user.list(order="newest")  # wrong
    client.user.list(metadata=["a"])  # wrong
    client.user.list(user_id="jane")  # wrong
    client.user.list_chunked(email="x")  # wrong
    client.user.list()[0].name  # wrong
    client.session.list(email="x")  # wrong
    client.session.update(session_id="s", user_id=None)  # wrong
    client.message.add("s", "x")  # wrong
    client.message.add("s", "x")  # wrong
    client.message.update("s", "id", role=None)  # wrong
    client.memory.get("s", last="all")  # wrong
    client.memory.get("s").to_openai(unsupported="no")  # wrong
    NewMessage.from_openai({}, session_id="s")  # wrong
    NewMessage.from_anthropic({}, id=5)  # wrong
    client.users.get("jane")  # wrong
    client.search("x", "jane")  # wrong
    client.search("x", roles=["human"])  # wrong
    client.search("x", limit="ten")  # wrong
    client.search("x", include=["message"])  # wrong
    client.search("x", syntax="google")  # wrong
    client.erasure.verify("e", "jane")  # wrong
    client.erasure.verify("e", search_terms=[7])  # wrong
    NewMessage()  # wrong
    NewMessage(role="user", content="x", role_type="human")  # wrong
    NewMessage(role="user", content="x", created_at="2020-01-01")  # wrong
    number: int = client.user.get("jane").user_id  # wrong
    Userkeep(port=8000)  # wrong
    Userkeep.open(5)  # wrong


async def wrong_too(client: AsyncUserkeep) -> None:
    client.user.get("jane").user_id  # wrong
    for user in client.user.list():  # wrong
        pass
    async for user in client.user.list():  # wrong
        pass
    async with Userkeep() as other:  # wrong
        pass
"""


def test_mypy_accepts_valid_calls_and_finds_invalid_ones(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = set(re.findall(r"^(\w+\.py):(\d+): error", result.stdout, re.MULTILINE))
    lines = enumerate(WRONG.splitlines(), 1)
    expected = {("wrong.py", str(number)) for number, line in lines if line.endswith("# wrong")}
    assert found == expected, result.stdout + result.stderr


def test_the_package_is_marked_as_typed() -> None:
    assert userkeep.__file__
    assert Path(userkeep.__file__).with_name("py.typed").is_file()
