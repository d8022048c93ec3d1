"""A recording of Zep 0.27.2: 215 requests in order on a fresh database, and its responses.

Zep was built from its tag and ran with PostgreSQL 18 and pgvector, with embeddings and summaries of
a stand-in model; in the section `auth` with authentication. Error texts are not recorded, because
no client reads them, only whether there was one.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

SOME_TEXT = "<some text>"
"""The text of any error."""


class Exchange(NamedTuple):
    """A request and its response.

    Attributes:
        content_type: the media type of the response, without parameters.
        body: the body of the response: JSON or text; SOME_TEXT for an error.
    """

    number: int
    section: str
    method: str
    target: str
    headers: dict[str, str]
    request_body: Any
    status: int
    content_type: str | None
    body: Any

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.target}"


def load_exchanges() -> list[Exchange]:
    """Return all exchanges, in order."""
    lines = Path(__file__).with_name("zep_v1_exchanges.jsonl").read_text().splitlines()
    return [_exchange(json.loads(line)) for line in lines]


def _exchange(line: dict[str, Any]) -> Exchange:
    request, response = line["request"], line["response"]
    return Exchange(
        number=line["number"],
        section=line["section"],
        method=request["method"],
        target=request["path"],
        headers=request.get("headers", {}),
        request_body=_request_body(request),
        status=response["status"],
        content_type=response["type"] and response["type"].partition(";")[0],
        body=response.get("body", SOME_TEXT),
    )


def _request_body(request: dict[str, Any]) -> Any:
    if "raw" in request:
        return request["raw"].encode()
    return json.dumps(request["body"]).encode() if "body" in request else None
