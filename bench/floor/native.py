"""The bare ASGI application that answers as the product's native door does, on any engine.

It writes the index of words as the product does, but makes no words: to make them is the product's
own work, and no driver's. The few texts that are sent have theirs made once; see `bench.words`.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from bench.words import indexed

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Row = tuple[Any, ...]
Values = dict[str, Any]
S = TypeVar("S", bound=msgspec.Struct)

PROJECT = 1
MEMORY_WINDOW = 12

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode

# The product writes times out; here a text of the same length stands for each.
_TIME = "2026-01-02T03:04:05.678901Z"


class User(msgspec.Struct):
    """A user as it is sent: the fields of the product's."""

    user_id: str
    uuid: Any
    email: str | None
    first_name: str | None
    last_name: str | None
    metadata: Any
    revision: int
    created_at: str
    updated_at: str


class Message(msgspec.Struct):
    """A message as it is sent: the fields of the product's."""

    seq: int
    uuid: Any
    role: str
    role_type: str
    content: str
    metadata: Any
    data: None
    token_count: int | None
    created_at: str


class Calls(ABC):
    """What the application has the driver do, from bodies and ids to rows and values.

    Attributes:
        user_columns: the columns of a user's row, in order.
        message_columns: those of a message's.
    """

    user_columns: Sequence[str]
    message_columns: Sequence[str]

    def __init__(self) -> None:
        self._number = count(1)

    @abstractmethod
    async def user(self, user_id: str) -> Row:
        """A user's row."""

    @abstractmethod
    async def memory(self, session_id: str) -> list[Row]:
        """The rows of the newest messages, the newest first."""

    @abstractmethod
    async def add_user(self, values: Values) -> Row:
        """Add a user; the row, once it is on the disk."""

    @abstractmethod
    async def append(
        self, session_id: str, now_at: Any, messages: list[Values], length: int
    ) -> None:
        """Append messages and index them; back once they are on the disk.

        Args:
            messages: their values, of which `place` gives each some more.
            length: of all of them, as ranking takes it.
        """

    @abstractmethod
    def now_at(self) -> Any:
        """The present time as the driver takes it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    async def post_user(self, body: Values) -> Row:
        """Add the user of a request's body; the row."""
        return await self.add_user(
            {
                "project_id": PROJECT,
                "user_id": body["user_id"],
                "uuid": self._uuid(),
                "email": body["email"],
                "email_folded": body["email"],
                "first_name": body["first_name"],
                "last_name": body["last_name"],
                "metadata": encode(body["metadata"]).decode(),
                "now_at": self.now_at(),
            }
        )

    async def post_messages(self, session_id: str, body: Values) -> list[Values]:
        """Append the messages of a request's body; their values."""
        now_at = self.now_at()
        words = [
            indexed(message["role"], message["role_type"], message["content"])
            for message in body["messages"]
        ]
        messages = [
            {
                "project_id": PROJECT,
                "session_id": session_id,
                "seq": 0,
                "uuid": self._uuid(),
                "role": message["role"],
                "role_type": message["role_type"],
                "token_count": None,
                "created_at": now_at,
                "metadata": None,
                "content": message["content"],
                "data": None,
                "word_count": of_message.word_count,
                "words": of_message.terms,
                "search_scope": 0,
            }
            for message, of_message in zip(body["messages"], words, strict=True)
        ]
        length = sum(of_message.length for of_message in words)
        await self.append(session_id, now_at, messages, length)
        return messages

    def _uuid(self) -> str:
        return f"01990000-0000-7000-8000-{next(self._number):012x}"


def place(messages: list[Values], last_seq: int, _user_id: str | None, search_scope: int) -> None:
    """Give messages their numbers and their place in the index, as they have been reserved."""
    for seq, message in enumerate(messages, last_seq - len(messages) + 1):
        message["seq"] = seq
        message["search_scope"] = search_scope


class Native:
    """The application."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._as_user = Shape(calls.user_columns, User)
        self._as_message = Shape(calls.message_columns, Message)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `/v1/users…` and `/v1/sessions/{id}/…`; anything else with a constant."""
        segments = scope["raw_path"].decode().split("/")
        if len(segments) < 3:
            await constant(scope, receive, send)
        elif scope["method"] == "POST":
            body = decode((await receive())["body"])
            if segments[2] == "users":
                answer: Any = self._as_user(await self._calls.post_user(body))
            else:
                sent = [
                    _as_sent(each) for each in await self._calls.post_messages(segments[3], body)
                ]
                answer = {"session_id": segments[3], "messages": sent}
            await _answer(send, encode(answer), 201)
        elif segments[2] == "users":
            await _answer(send, encode(self._as_user(await self._calls.user(segments[3]))), 200)
        else:
            rows = await self._calls.memory(segments[3])
            rows.reverse()
            messages = [self._as_message(row) for row in rows]
            answer = {"messages": messages, "summary": None, "facts": []}
            await _answer(send, encode(answer), 200)

    def close(self) -> None:
        """Let go of the database."""
        self._calls.close()


class Shape(Generic[S]):
    """From a row to what is sent, wherever the query has its columns."""

    def __init__(self, columns: Sequence[str], kind: type[S]) -> None:
        self._kind = kind
        self._select = itemgetter(
            *(
                len(columns) if field.endswith("_at") else columns.index(field)
                for field in kind.__struct_fields__
            )
        )

    def __call__(self, row: Row) -> S:
        """A row as it is sent."""
        shown: Any = self._kind(*self._select((*row, _TIME)))
        if shown.metadata is not None:
            shown.metadata = msgspec.Raw(shown.metadata)
        return shown  # type: ignore[no-any-return]


_fields = itemgetter(*Message.__struct_fields__)


def _as_sent(values: Values) -> Message:
    message = Message(*_fields(values))
    message.created_at = _TIME
    return message


async def constant(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The application that answers a constant."""
    await _answer(send, b".", 200, b"text/plain")


async def _answer(send: Send, body: bytes, status: int, kind: bytes = b"application/json") -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
