"""What Zep 0.27.2 answered: 215 requests in order, recorded on a fresh database.

It was built from its tag, with PostgreSQL 18 and pgvector, embeddings and summaries on with a
stand-in model; in the section `auth` with authentication on. The texts of its errors are not kept:
no client reads them. Of an error is known whether it had a text at all.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

SOME_TEXT = "<some text>"
"""Stands for the text of an error."""


class Exchange(NamedTuple):
    """A request and what came back.

    Attributes:
        content_type: of the answer, without its parameters.
        body: of the answer: JSON, or text; SOME_TEXT for that of an error.
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
    """All exchanges, in order."""
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
