"""Every difference between our `/api/v1` and Zep 0.27.2, and its reason.

Values are those of the recording: its uuids, its times.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.compat.exchanges import SOME_TEXT, load_exchanges

ANY: Any = ...
"""Any value that differs from the recorded one."""

_EXCHANGES = {exchange.number: exchange for exchange in load_exchanges()}


class Difference(NamedTuple):
    """The differences with one reason.

    Attributes:
        exchanges: by number, the paths that differ (`status`, `type`, `version`, `body…`), each
            with our value.
    """

    why: str
    exchanges: Mapping[int, Mapping[str, Any]]


class Everywhere(NamedTuple):
    """A difference wherever Zep has the value `theirs`."""

    why: str
    path: str
    theirs: Any
    ours: Any


NOT_SENT = {
    "auth": "These need a server with authentication, which does not exist yet.",
}
"""Sections that are not sent, and why."""

EVERYWHERE = (
    Everywhere(
        "The content type of JSON is JSON; Zep let Go guess it from the first bytes.",
        "type",
        "text/plain",
        "application/json",
    ),
    Everywhere(
        "An empty body is sent as text; Zep sent no content type without a body.",
        "type",
        None,
        "text/plain",
    ),
)

NUMBERS = (
    "The creation number of a user or session has no gap after a rejected creation, and the `id` "
    "in a list is the position in it, so that a cursor can be an offset or the last id."
)
"""Why the values of `id` differ. The test compares their order and positions."""


def _body(number: int) -> Any:
    return _EXCHANGES[number].body


def _error(status: int, *numbers: int) -> dict[int, dict[str, Any]]:
    """Return differences: we reject these requests with a status and some text."""
    return {
        number: {"status": status} | ({} if _body(number) == SOME_TEXT else {"body": SOME_TEXT})
        for number in numbers
    }


def _sections(*names: str) -> list[int]:
    return [number for number, exchange in _EXCHANGES.items() if exchange.section in names]


def _users_without_rejected(number: int) -> list[dict[str, Any]]:
    rejected = ("x" * 600, "nulbyte")
    return [user for user in _body(number) if user["user_id"] not in rejected]


def _without_token_count(*numbers: int) -> dict[int, dict[str, Any]]:
    """Return differences: messages without a token count."""
    changes: dict[int, dict[str, Any]] = {}
    for number in numbers:
        for index, message in enumerate(_body(number)["messages"]):
            if message["token_count"]:
                path = f"body.messages[{index}].token_count"
                changes.setdefault(number, {})[path] = 0
    return changes


def _messages(*contents: str) -> list[dict[str, Any]]:
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


_PAPERS = _body(145)
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
        "zep-js requests //healthz if its base URL ends with a slash, so it is served.",
        {4: {"status": 200, "body": "."}},
    ),
    Difference(
        "Outside of Zep's prefix, the native API responds in its own format.",
        {7: {"type": "application/problem+json", "version": False, "body": ANY}},
    ),
    Difference(
        "An id has at most 512 characters, so that every engine can index it.",
        _error(400, 26),
    ),
    Difference(
        "A NUL in an id is rejected; Zep dropped it and stored another id.",
        _error(400, 27),
    ),
    Difference(
        "The two users that were rejected (see above) are in no list.",
        {number: {"body": _users_without_rejected(number)} for number in (38, 49, 50)},
    ),
    Difference(
        "A path is decoded, so j%61ne is jane; the raw segment counts if that id is unknown.",
        {
            35: {"body": _body(29)},
            37: {"status": 200, "body": _body(32)},
        },
    ),
    Difference(
        "Metadata {} changes only the time, as an update without metadata does.",
        {
            43: {"status": 200, "body": _body(42) | {"updated_at": ANY}},
            72: {"status": 200, "body": _SESSION_1 | {"updated_at": ANY}},
            74: {"body[0].updated_at": ANY},
            106: {"status": 200, "body": _body(105)},
        },
    ),
    Difference(
        "In a page the `id` is the position in the list, so cursor=2 skips the first two rows, as "
        "list_chunked expects; in Zep the ids 1, 3 and 4 repeated the second row.",
        {
            48: {"body": _body(49)[2:4]},
            75: {"body": [_body(62)]},
        },
    ),
    Difference(
        "The sessions of a user are in the order of creation; Zep had no order.",
        {77: {"body": [_SESSION_1 | {"id": 0, "updated_at": ANY}, _SESSION_2 | {"id": 0}]}},
    ),
    Difference(
        "Bad requests are a 400: an empty session id, a uuid that exists, a negative lastn, a "
        "search for nothing, in an unknown scope, or with an invalid path or date.",
        _error(400, 65, 66, 85, 93, 117, 119, 121, 122),
    ),
    Difference(
        "An unknown message is a 404.",
        _error(404, 102, 104, 203),
    ),
    Difference(
        "There is no tokenizer: a token count is the client's, or 0.",
        _without_token_count(90, 91, 92, 95, 96, 97, 99)
        | {101: {"body.token_count": 0}}
        | {111: {"body[1].message.token_count": 0}, 112: {"body[1].message.token_count": 0}}
        | {number: {"body[0].message.token_count": 0} for number in (118, 120)},
    ),
    Difference(
        "There are no summaries yet: a memory has the newest twelve messages and an empty summary.",
        {
            135: {
                "body.messages": _messages(
                    *(f"{what} {turn}" for turn in range(1, 7) for what in ("question", "answer"))
                ),
                "body.summary": _NO_SUMMARY,
            },
            136: {
                "body.messages": _messages("answer 5", "question 6", "answer 6"),
                "body.summary": _NO_SUMMARY,
            },
        },
    ),
    Difference(
        "Messages are found by full-text search, and by embeddings only with an embedding model: "
        "`dist` is the score of the ranking, and there is no embedding.",
        {
            111: {"body[0].dist": ANY, "body[1].dist": ANY},
            112: {"body[0].dist": ANY, "body[1].dist": ANY},
            113: {"body[0].dist": ANY, "body[0].embedding": None},
        },
    ),
    Difference(
        "Messages without any of the words are not found, whatever the limit, unless they are next "
        "to one that is; a vector search finds everything.",
        {124: {"body": []}},
    ),
    Difference(
        "There are no summaries yet, so a search finds none.",
        {137: {"body": []}},
    ),
    Difference(
        "What Zep cannot find or read in a collection is a 404 or a 400.",
        _error(404, 152, 159) | _error(400, 157, 166, 170, 176, 177, 178),
    ),
    Difference(
        "Without a configured embedding model, no collection is embedded automatically.",
        _error(400, 144) | {148: {"body": [_PAPERS]}} | _error(404, 160, 180, 181),
    ),
    Difference(
        "Lists are never null, and a search without a vector has an empty query_vector.",
        {154: {"body": []}, 175: {"body.query_vector": []}},
    ),
    Difference(
        "A document is also found by the path that zep-js sends, without /uuid.",
        {162: {"status": 200, "body": _body(161)}},
    ),
    Difference(
        "Documents are in the order in which they were added. A bulk update changes only what it "
        "names; in Zep it emptied the document_id of one and the metadata of the other.",
        {
            172: {"body": ANY},
            173: {
                "body.results[0].document_id": "d0b",
                "body.results[0].updated_at": ANY,
                "body.results[0].score": 1.0,
                "body.results[1]": ANY,
            },
            174: {
                "body.results[0].document_id": "d0b",
                "body.results[0].updated_at": ANY,
                "body.results[0].score": 1.0,
            },
            175: {"body.results[0].document_id": "d0b", "body.results[0].updated_at": ANY},
        },
    ),
    Difference(
        "A deleted document is gone: a second deletion finds nothing, its document_id can be used "
        "again, and it is not counted.",
        _error(404, 183)
        | {
            185: {"status": 200, "body": [ANY]},
            187: {"body.document_count": 2, "body.document_embedded_count": 2},
        },
    ),
    Difference(
        "A deleted session is gone, not hidden: its id is free immediately, and a later append "
        "creates a new session without the former owner.",
        {
            194: {"status": 201, "body": _NEW_SESSION_2},
            196: {f"body.{name}": _NEW_SESSION_2[name] for name in ("uuid", "id", "user_id")}
            | {"body.created_at": ANY, "body.updated_at": ANY},
        },
    ),
    Difference(
        "A late write does not recreate the session of a deleted user.",
        _error(404, 204, 205),
    ),
)
"""All differences. The replay fails for any other, and for one that no longer exists."""
