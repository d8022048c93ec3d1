"""Whether the OpenAPI document describes a response: asked for all that the tests get."""

import json
import re
from functools import cache

from userkeep.http.openapi import openapi_document

_FAULT = 500
"""A fault of the server, which tests provoke."""


def check_is_described(method: str, target: bytes, status: int) -> None:
    """Check that the operation of a request documents the status of its error.

    Args:
        method, target: of the request; the target with its query.
        status: that of the response.

    Raises:
        AssertionError: it documents other errors only.
    """
    if status < 400 or status == _FAULT:
        return
    path = target.partition(b"?")[0].decode("latin-1")
    method = "GET" if method == "HEAD" else method
    for pattern, operations in _operations():
        if method in operations and pattern.fullmatch(path):
            assert str(status) in operations[method], (method, pattern.pattern, status)


@cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, set[str]]]]:
    """Return the patterns of paths, and the documented statuses of their methods."""
    document = json.loads(openapi_document())
    return [
        (
            re.compile(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(path))),
            {name.upper(): set(each["responses"]) for name, each in methods.items()},
        )
        for path, methods in document["paths"].items()
    ]
