"""From a call to an HTTP request, and from an answer to a value."""

from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.sdk.calls import SDKCall, read_answer
from userkeep.sdk.errors import UnexpectedAnswer, error_of
from userkeep.sdk.wire_client import Headers, WireReply, WireRequest
from userkeep.version import __version__

_SUCCESSES = range(200, 300)


def request_of(call: SDKCall) -> WireRequest:
    """The request that carries a call."""
    ids = {name: quote(value, safe="") for name, value in call.ids.items()}
    path = call.operation.path.format(**ids)
    if call.parameters:
        path = f"{path}?{urlencode(call.parameters)}"
    headers: Headers = {}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.if_revision is not None:
        headers["If-Match"] = f'"{call.if_revision}"'
    if call.operation.is_idempotent_by_key:
        # Made here where the app gave none, so that each sending of this request has the same.
        headers["Idempotency-Key"] = call.idempotency_key or str(uuid4())
    may_take_long = call.operation.does == "verify"
    return WireRequest(call.operation.method, path, headers, call.body, may_take_long)


def value_of(call: SDKCall, reply: WireReply) -> Any:
    """What a reply says, of the type that its operation has.

    Raises:
        UserkeepError: of the class that says what was wrong.
    """
    if reply.status not in _SUCCESSES:
        raise error_of(reply.status, reply.body)
    try:
        return read_answer(call, reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedAnswer(
            f"HTTP {reply.status} came with something that is no answer: {error}."
        ) from error


def default_headers(api_key: str | None) -> Headers:
    """What every request says: who asks.

    Raises:
        InvalidField: the key cannot be one.
    """
    if api_key and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidField(
            "api_key has a character in it that no key has; is there a line end after it?",
            "api_key",
        )
    headers = {"User-Agent": f"userkeep-python/{__version__}", "Accept": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers
