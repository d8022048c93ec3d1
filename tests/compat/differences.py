"""Every difference between our `/api/v1` and what Zep 0.27.2 answered, and why it is there.

Values are in the recording's own terms: its uuids, its times.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.compat.exchanges import SOME_TEXT, load_exchanges

ANY: Any = ...
"""A value that only has to differ from the recorded one."""

_EXCHANGES = {exchange.number: exchange for exchange in load_exchanges()}


class Difference(NamedTuple):
    """What differs for one reason.

    Attributes:
        exchanges: by number, the places that differ (`status`, `type`, `version`, `body…`), each
            with our value.
    """

    why: str
    exchanges: Mapping[int, Mapping[str, Any]]


class Everywhere(NamedTuple):
    """A value that is always another one, wherever Zep has `theirs`."""

    why: str
    path: str
    theirs: Any
    ours: Any


NOT_SENT = {
    "auth": "These need a server with authentication on, which there is not yet.",
}
"""Sections that are not sent, and why."""

EVERYWHERE = (
    Everywhere(
        "JSON is told as what it is; Zep let Go guess its type from the first bytes.",
        "type",
        "text/plain",
        "application/json",
    ),
    Everywhere(
        "What has no body, or a text, is told as text; Zep said nothing where it had no body.",
        "type",
        None,
        "text/plain",
    ),
)

NUMBERS = (
    "The creation number of a user or a session has no gap after a refused creation, and the `id` "
    "in a list is the place in that list, so that a cursor may be an offset or the last id."
)
"""Why the values of `id` differ. Their meaning is compared: order, and places."""


def _body(number: int) -> Any:
    return _EXCHANGES[number].body


def _error(status: int, *numbers: int) -> dict[int, dict[str, Any]]:
    """Each is refused by us with this status and some text."""
    return {
        number: {"status": status} | ({} if _body(number) == SOME_TEXT else {"body": SOME_TEXT})
        for number in numbers
    }


def _sections(*names: str) -> list[int]:
    return [number for number, exchange in _EXCHANGES.items() if exchange.section in names]


def _users_without_refused(number: int) -> list[dict[str, Any]]:
    refused = ("x" * 600, "nulbyte")
    return [user for user in _body(number) if user["user_id"] not in refused]


def _uncounted(*numbers: int) -> dict[int, dict[str, Any]]:
    """Messages whose tokens nobody has counted."""
    changes: dict[int, dict[str, Any]] = {}
    for number in numbers:
        for place, message in enumerate(_body(number)["messages"]):
            if message["token_count"]:
                path = f"body.messages[{place}].token_count"
                changes.setdefault(number, {})[path] = 0
    return changes


def _said(*contents: str) -> list[dict[str, Any]]:
    roles = {"question": "user", "answer": "ai"}
    return [
        {
            "uuid": ANY,
            "created_at": ANY,
            "updated_at": "0001-01-01T00:00:00Z",
            "role": roles[content.partition(" ")[0]],
            "content": content,
            "token_count": 0,
        }
        for content in contents
    ]


_NO_SUMMARY = _body(79)["summary"]
_SESSION_1, _SESSION_2 = _body(71), _body(61)
_NEW_SESSION_2 = {
    "uuid": ANY,
    "id": ANY,
    "created_at": ANY,
    "updated_at": ANY,
    "deleted_at": None,
    "session_id": "s2",
    "metadata": None,
    "user_id": None,
}

DIFFERENCES = (
    Difference(
        "zep-js asks for //healthz where its base URL ends with a slash, so it is served.",
        {4: {"status": 200, "body": "."}},
    ),
    Difference(
        "Below no prefix of Zep's it is the native door that answers, in its own way.",
        {7: {"type": "application/problem+json", "version": False, "body": ANY}},
    ),
    Difference(
        "An id has at most 512 characters, so that every engine can index it.",
        _error(400, 26),
    ),
    Difference(
        "A NUL in an id is refused; Zep dropped it and so kept another id than it was given.",
        _error(400, 27),
    ),
    Difference(
        "Users whom we refused (the two above) are in no list.",
        {number: {"body": _users_without_refused(number)} for number in (38, 49, 50)},
    ),
    Difference(
        "A path is decoded, so j%61ne is jane; the raw segment counts where nothing else is found.",
        {
            35: {"body": _body(29)},
            37: {"status": 200, "body": _body(32)},
        },
    ),
    Difference(
        "Metadata {} changes nothing and is a touch, as no metadata is.",
        {
            43: {"status": 200, "body": _body(42) | {"updated_at": ANY}},
            72: {"status": 200, "body": _SESSION_1 | {"updated_at": ANY}},
            74: {"body[0].updated_at": ANY},
            106: {"status": 200, "body": _body(105)},
        },
    ),
    Difference(
        "In a page the `id` is the place in the list, so cursor=2 leaves out the first two, as "
        "list_chunked takes it; in Zep the ids 1, 3 and 4 made the second row come again.",
        {
            48: {"body": _body(49)[2:4]},
            75: {"body": [_body(62)]},
        },
    ),
    Difference(
        "The sessions of a user come in the order of their creation; Zep had no order.",
        {77: {"body": [_SESSION_1 | {"id": 0, "updated_at": ANY}, _SESSION_2 | {"id": 0}]}},
    ),
    Difference(
        "What only the request is to blame for is a 400: an empty session id, a uuid that is "
        "taken, a negative lastn, a search for nothing, in an unknown scope, or by a path or a "
        "date that is none.",
        _error(400, 65, 66, 85, 93, 117, 119, 121, 122),
    ),
    Difference(
        "A message that is not there is a 404.",
        _error(404, 102, 104, 203),
    ),
    Difference(
        "There is no tokenizer: a token count is the caller's, else 0.",
        _uncounted(90, 91, 92, 95, 96, 97, 99)
        | {101: {"body.token_count": 0}}
        | {111: {"body[1].message.token_count": 0}, 112: {"body[1].message.token_count": 0}}
        | {number: {"body[0].message.token_count": 0} for number in (118, 120)},
    ),
    Difference(
        "There are no summaries yet: a memory is the newest twelve messages, its summary zeros.",
        {
            135: {
                "body.messages": _said(
                    *(f"{what} {turn}" for turn in range(1, 7) for what in ("question", "answer"))
                ),
                "body.summary": _NO_SUMMARY,
            },
            136: {
                "body.messages": _said("answer 5", "question 6", "answer 6"),
                "body.summary": _NO_SUMMARY,
            },
        },
    ),
    Difference(
        "Messages are found by their words, not by the likeness of vectors: `dist` is the score "
        "of our ranking, and there is no embedding.",
        {
            111: {"body[0].dist": ANY, "body[1].dist": ANY},
            112: {"body[0].dist": ANY, "body[1].dist": ANY},
            113: {"body[0].dist": ANY, "body[0].embedding": None},
        },
    ),
    Difference(
        "What has none of the words, and stands beside nothing that has, is not found, whatever "
        "the limit; to a vector everything is more or less like it.",
        {124: {"body": []}},
    ),
    Difference(
        "There are no summaries yet to be found.",
        {137: {"body": []}},
    ),
    Difference(
        "Collections and documents are not there yet.",
        _error(501, *_sections("collections", "documents")),
    ),
    Difference(
        "A deleted session is gone, not hidden: its id is free at once, and what is appended "
        "under it later is in a new session, without the former owner.",
        {
            194: {"status": 201, "body": _NEW_SESSION_2},
            196: {f"body.{name}": _NEW_SESSION_2[name] for name in ("uuid", "id", "user_id")}
            | {"body.created_at": ANY, "body.updated_at": ANY},
        },
    ),
    Difference(
        "A late write does not bring back the session of a deleted user.",
        _error(404, 204, 205),
    ),
)
"""All of them. One that is not here fails the replay, and so does one here that is none."""
