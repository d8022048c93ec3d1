"""The mapping of calls to HTTP requests, and of HTTP responses to values."""

from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.sdk.calls import SDKCall, decode_response
from userkeep.sdk.errors import UnexpectedAnswer, parse_error
from userkeep.sdk.http_client import Headers, HTTPRequest, HTTPResponse
from userkeep.version import __version__

_SUCCESSES = range(200, 300)


def build_request(call: SDKCall) -> HTTPRequest:
    """Return the HTTP request of a call."""
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
        # Generated here if the app gave none, so that all retries send the same key.
        headers["Idempotency-Key"] = call.idempotency_key or str(uuid4())
    return HTTPRequest(call.operation.method, path, headers, call.body)


def parse_response(call: SDKCall, response: HTTPResponse) -> Any:
    """Return the value in a response, of the response type of the operation.

    Raises:
        UserkeepError: of the class for this error.
    """
    if response.status not in _SUCCESSES:
        raise parse_error(response.status, response.body, response.proxy)
    try:
        return decode_response(call, response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        through = f" through {response.proxy}" if response.proxy else ""
        raise UnexpectedAnswer(
            f"HTTP {response.status}{through} with a body that cannot be read: {error}."
        ) from error


def default_headers(api_key: str | None) -> Headers:
    """Return the headers of every request.

    Raises:
        InvalidField: the API key cannot be sent.
    """
    if api_key and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidField(
            "api_key contains an invalid character, such as a line break at its end.",
            "api_key",
        )
    headers = {"User-Agent": f"userkeep-python/{__version__}", "Accept": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers
