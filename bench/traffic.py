"""What clients ask: bytes that are ready to be sent, one after the other, the same for each side.

Ids are drawn over the whole database with a fixed seed; what a write makes has a number of its own.
A request has the three headers that small clients send. Texts are 300 characters, metadata is three
fields, as in the seeded rows.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count, cycle, repeat
from random import Random
from typing import Any

from bench.seed import Seeded

Traffic = Callable[[Seeded], Iterator[bytes]]

_DRAWN = 50_000
_HEADERS = b"host: 127.0.0.1\r\nuser-agent: userkeep-bench\r\naccept: */*\r\n"
_METADATA = {"plan": "pro", "visits": 12, "city": "Paris"}
TEXT = ("What do you have in blue, size nine, for long distances? " * 6)[:300]


def get(path: str) -> bytes:
    """A GET request."""
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), _HEADERS)


def post(path: str, value: Any) -> bytes:
    """A POST request."""
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
    """A DELETE request."""
    return b"DELETE %s HTTP/1.1\r\n%s\r\n" % (path.encode(), _HEADERS)


def one(path: str) -> Traffic:
    """The same GET again and again."""
    return lambda _: repeat(get(path))


def users(prefix: str) -> Traffic:
    """GET any user."""
    return lambda size: _each(_users(size), lambda user: get(f"{prefix}/{user}"))


def memories(prefix: str) -> Traffic:
    """GET the memory of any session: the newest 12 messages."""
    return lambda size: _each(_sessions(size), lambda session: get(f"{prefix}/{session}/memory"))


def appends(path: str, message: dict[str, str], messages: int) -> Traffic:
    """POST messages to any session; `{}` in the path is its id."""
    body = {"messages": [message | {"content": TEXT}] * messages}
    return lambda size: _each(_sessions(size), lambda session: post(path.format(session), body))


def new_users(path: str, name: str) -> Traffic:
    """POST a user who is not there yet; their ids begin with `name`."""
    template = post(
        path,
        {
            "user_id": f"{name}-@@@@@@@@",
            "email": f"{name}-@@@@@@@@@example.org",
            "first_name": "Jane",
            "last_name": "Smith",
            "metadata": _METADATA,
        },
    )
    return lambda _: _numbered(template)


def new_sessions(path: str, name: str) -> Traffic:
    """POST a session that is not there yet, of any user; their ids begin with `name`."""
    values = {"session_id": f"{name}-@@@@@@@@", "user_id": "user-########"}
    first, second, third = re.split(
        b"@@@@@@@@|user-########", post(path, values | {"metadata": _METADATA})
    )

    def requests(size: Seeded) -> Iterator[bytes]:
        for number, user in zip(count(1), cycle(_users(size)), strict=False):
            yield b"".join((first, b"%08d" % number, second, user.encode(), third))

    return requests


def _each(ids: list[str], request: Callable[[str], bytes]) -> Iterator[bytes]:
    made: dict[str, bytes] = {}
    for id_ in cycle(ids):
        if id_ not in made:
            made[id_] = request(id_)
        yield made[id_]


def _numbered(template: bytes) -> Iterator[bytes]:
    first, second, third = template.split(b"@@@@@@@@")
    for number in count(1):
        digits = b"%08d" % number
        yield b"".join((first, digits, second, digits, third))


def _users(size: Seeded) -> list[str]:
    draw = Random(1).randrange
    return [f"user-{draw(size.users) + 1:08d}" for _ in range(_DRAWN)]


def _sessions(size: Seeded) -> list[str]:
    draw = Random(2).randrange
    return [f"session-{draw(size.sessions) + 1:08d}" for _ in range(_DRAWN)]
