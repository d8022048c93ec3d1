"""What holds for every response: no server error, well-formed, without internals."""

from pathlib import Path
from typing import Any

import msgspec

import userkeep
from tests.http.clients import InProcessClient, Request, Response
from userkeep.api.operation import APIOperation
from userkeep.http.errors import STATUS_OF_CODE

DOCUMENTED_SERVER_ERRORS = {503}
_INTERNALS = [
    b"Traceback (most recent",
    b'File "',
    b".py:",
    b"site-packages",
    b" object at 0x",
    b"apsw.",
    b"psycopg",
    b"msgspec",
    b"SELECT ",
    str(Path(userkeep.__file__).parent.parent).encode(),
]

# The body itself has the wrong type, or the name of the field is empty.
_OF_BODY = {
    "The body must be an object, not null.",
    "The body must be an object, not true or false.",
    "The body must be an object, not a number.",
    "The body must be an object, not a number with a fraction.",
    "The body must be an object, not a text.",
    "The body must be an object, not a list.",
    "A field with an empty name is not known.",
    "A parameter with an empty name is not known.",
    "The body is invalid: Number out of range.",
}


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """An error of the native API, and no more than that."""

    status: int
    code: str
    detail: str
    fields: list[str]
    request_id: str


def check_response(response: Response, *sent: Any) -> None:
    """Check the response to a request, which is shown if it is wrong."""
    shown = (response.status, response.text[:500], str(sent)[:500])
    assert response.status >= 200, shown
    assert response.status < 500 or response.status in DOCUMENTED_SERVER_ERRORS, shown
    if response.status >= 400:
        _check_error(response, shown)


def _check_error(response: Response, shown: Any) -> None:
    assert not any(internal in response.body for internal in _INTERNALS), shown
    if not response.body:
        return  # the response to HEAD, or a status that says it all
    if response.content_type == "application/problem+json":
        _check_problem(response, shown)
    else:
        assert response.content_type == "text/plain", shown
        assert response.text.strip(), shown


def _check_problem(response: Response, shown: Any) -> None:
    problem = msgspec.json.decode(response.body, type=Problem)
    assert problem.status == response.status == STATUS_OF_CODE[problem.code], shown
    assert problem.detail, shown
    assert problem.fields or problem.status != 422 or problem.detail in _OF_BODY, shown
    assert len(response.body) < 10_000, shown


def check_success(response: Response, operation: APIOperation) -> None:
    """Check that a response of the native API is what the operation documents."""
    assert response.status in {200, 201, 202}
    msgspec.json.decode(response.body, type=operation.response)


def check_alive(client: InProcessClient, request: Request) -> None:
    """Check that a server still responds after a request."""
    response = client.send("GET", "/healthz")
    assert (response.status, response.body) == (200, b"."), str(request)[:500]
