"""The requests of clients: bytes that are ready to be sent, the same for each contender.

Ids are drawn from the whole database with a fixed seed; what a write creates has a number of its
own. A request has the three headers that small clients send. Texts are 300 characters, metadata is
three fields, as in the seeded rows.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice, repeat
from random import Random
from typing import Any, NamedTuple

_DRAWN = 50_000
_HEADERS = b"host: 127.0.0.1\r\nuser-agent: userkeep-bench\r\naccept: */*\r\n"
METADATA = {"plan": "pro", "visits": 12, "city": "Paris"}
TEXT = ("What do you have in blue, size nine, for long distances? " * 6)[:300]
SESSIONS_OF_USER = 20


class Size(NamedTuple):
    """How much a seeded database holds.

    Users are `user-00000001` and so on, sessions `session-00000001`; each of the first users has
    20 sessions.
    """

    users: int
    sessions: int


Requests = Callable[[Size], Iterator[bytes]]
"""The requests of one row, for a database of some size."""


class Parts(NamedTuple):
    """A request that was taken apart: what a server sees of it."""

    method: str
    segments: list[str]
    body: Any


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), _HEADERS)


def post(path: str, value: Any) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    kind = b"content-type: application/json\r\n"
    return b"POST %s HTTP/1.1\r\n%s%scontent-length: %d\r\n\r\n%s" % (
        path.encode(),
        _HEADERS,
        kind,
        len(body),
        body,
    )


def delete(path: str) -> bytes:
    return b"DELETE %s HTTP/1.1\r\n%s\r\n" % (path.encode(), _HEADERS)


def split(request: bytes) -> tuple[str, str, bytes]:
    """Return the method, the path and the body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    method, path, _ = head.split(b" ", 2)
    return method.decode(), path.decode(), body


def parts(request: bytes) -> Parts:
    method, path, body = split(request)
    return Parts(method, path.split("/"), json.loads(body) if body else None)


def same(path: str) -> Requests:
    """GET the same again and again."""
    return lambda _: repeat(get(path))


def users(path: str) -> Requests:
    """GET any user; `{}` in the path is the id."""
    return lambda size: _each(draw("user", size.users), lambda user: get(path.format(user)))


def users_with_sessions(path: str) -> Requests:
    """The same of those users who have 20 sessions."""
    return lambda size: _each(
        draw("user", size.sessions // SESSIONS_OF_USER), lambda user: get(path.format(user))
    )


def sessions(path: str) -> Requests:
    """GET any session, or a part of it; `{}` in the path is the id."""
    return lambda size: _each(draw("session", size.sessions), lambda each: get(path.format(each)))


def appends(path: str, message: dict[str, str], messages: int) -> Requests:
    """POST messages to any session; `{}` in the path is its id."""
    body = {"messages": [message | {"content": TEXT}] * messages}
    return lambda size: _each(
        draw("session", size.sessions), lambda session: post(path.format(session), body)
    )


def user(user_id: str) -> dict[str, Any]:
    """Return the body that creates a user."""
    return {
        "user_id": user_id,
        "email": f"{user_id}@example.org",
        "first_name": "Jane",
        "last_name": "Smith",
        "metadata": METADATA,
    }


def new_users(path: str, name: str) -> Requests:
    """POST a user who does not exist yet; their ids begin with `name`."""
    first, second, third = post(path, user(f"{name}-########")).split(b"########")

    def requests(_: Size) -> Iterator[bytes]:
        for number in count(1):
            digits = b"%08d" % number
            yield b"".join((first, digits, second, digits, third))

    return requests


def new_sessions(path: str, name: str) -> Requests:
    """POST a session that does not exist yet, of any user; their ids begin with `name`."""
    values = {"session_id": f"{name}-@@@@@@@@", "user_id": "user-########"}
    first, second, third = re.split(
        b"@@@@@@@@|user-########", post(path, values | {"metadata": METADATA})
    )

    def requests(size: Size) -> Iterator[bytes]:
        for number, each in zip(count(1), cycle(draw("user", size.users)), strict=False):
            yield b"".join((first, b"%08d" % number, second, each.encode(), third))

    return requests


def pair(of_row: Iterator[bytes]) -> tuple[bytes, bytes]:
    """Return two different requests of a row, or the only one twice."""
    first = next(of_row)
    return first, next((each for each in islice(of_row, 100) if each != first), first)


def draw(noun: str, most: int) -> list[str]:
    """Return many ids of users or sessions at random, always the same ones."""
    number = Random(noun).randrange
    return [f"{noun}-{number(most) + 1:08d}" for _ in range(_DRAWN)]


def _each(ids: list[str], request: Callable[[str], bytes]) -> Iterator[bytes]:
    made: dict[str, bytes] = {}
    for id_ in cycle(ids):
        if id_ not in made:
            made[id_] = request(id_)
        yield made[id_]
