"""What databases are seeded with: users, and sessions of 50 messages of 300 characters.

The product's own writes are recorded once and replayed many times, so rows are as the product makes
them, with their index.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from bench.baseline.recording import record_operations
from bench.baseline.replay import Operation, uuids
from bench.baseline.sqlite import SqliteReplay
from bench.harness import requests
from bench.harness.requests import SESSIONS_OF_USER, Parts, Size

MESSAGES_OF_SESSION = 50
FIRST_AT = 1_735_689_600_000_000
"""When the first row was made, in microseconds since 1970; then one each millisecond."""

_WORDS = (
    "She said that the blue running shoes from last spring were the best she ever had, and asked "
    "whether they still come in size nine, or whether there is something like them for longer "
    "distances on wet ground. He answered that he would look, and that she might like the new ones "
    "with the wider sole, which many people buy who run in the woods when it has rained. "
)
_LETTERS = 300
_AT_ONCE = 1_000


class Seeding(NamedTuple):
    """The operations that seed a database."""

    add_user: Operation
    add_session: Operation
    append: Operation

    @property
    def fingerprint(self) -> str:
        """A hash of what they do."""
        of_all = "".join(operation.fingerprint for operation in self)
        return hashlib.sha256(of_all.encode()).hexdigest()[:12]

    def run(self, replay: SqliteReplay, size: Size) -> None:
        requests_ = self._requests(size)
        new_uuid, now = uuids("01900000"), FIRST_AT
        while at_once := list(islice(requests_, _AT_ONCE)):
            replay.write(
                operation.calls(request, now + 1_000 * number, new_uuid)
                for number, (operation, request) in enumerate(at_once)
            )
            now += 1_000 * _AT_ONCE

    def _requests(self, size: Size) -> Iterator[tuple[Operation, Parts]]:
        for number in range(1, size.users + 1):
            yield self.add_user, Parts("POST", [], _user(number))
        for number in range(1, size.sessions + 1):
            yield self.add_session, Parts("POST", [], _session(number))
            yield self.append, Parts("POST", _messages_path(number), _MESSAGES)


def record_seeding() -> Seeding:
    owners = [_session(number) for number in (1, 1 + SESSIONS_OF_USER)]
    pairs = {
        "add_user": (_post_user(900_001), _post_user(900_002)),
        "add_session": (
            requests.post("/v1/sessions", owners[0] | {"session_id": "new-1"}),
            requests.post("/v1/sessions", owners[1] | {"session_id": "new-2"}),
        ),
        "append": (_post_messages(1), _post_messages(2)),
    }
    return Seeding(**record_operations("sqlite:///:memory:", pairs))


def seeding_requests(size: Size) -> Iterator[Iterator[bytes]]:
    """Yield the requests that seed a database over HTTP: users, then sessions, then messages."""
    sessions = range(1, size.sessions + 1)
    yield map(_post_user, range(1, size.users + 1))
    yield (requests.post("/v1/sessions", _session(number)) for number in sessions)
    yield map(_post_messages, sessions)


def messages_of(size: Size) -> int:
    return size.sessions * MESSAGES_OF_SESSION


def _post_user(number: int) -> bytes:
    return requests.post("/v1/users", _user(number))


def _post_messages(number: int) -> bytes:
    return requests.post("/".join(_messages_path(number)), _MESSAGES)


def _messages_path(number: int) -> list[str]:
    return ["", "v1", "sessions", f"session-{number:08d}", "messages"]


def _user(number: int) -> dict[str, Any]:
    return {
        **requests.user(f"user-{number:08d}"),
        "first_name": f"First{number % 1000}",
        "last_name": f"Last{number % 7919}",
        "metadata": {**requests.METADATA, "tags": ["a", "b"]},
    }


def _session(number: int) -> dict[str, Any]:
    return {
        "session_id": f"session-{number:08d}",
        "user_id": f"user-{1 + (number - 1) // SESSIONS_OF_USER:08d}",
        "metadata": {"topic": "shoes"},
    }


_MESSAGES = {
    "messages": [
        {
            "role": "assistant" if place % 2 else "user",
            "content": _WORDS[place : place + _LETTERS],
            "metadata": {"lang": "en"},
            "token_count": 75,
        }
        for place in range(MESSAGES_OF_SESSION)
    ]
}
