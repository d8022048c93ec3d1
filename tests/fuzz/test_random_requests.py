"""Random requests get proper responses, and what is rejected has changed nothing.

`make fuzz` sends many more of them; its seed is printed, and SEED repeats it.
"""

from collections.abc import Sequence

from hypothesis import given, settings

from tests.fuzz.checks import check_alive, check_response, check_success
from tests.fuzz.population import repopulate, snapshot
from tests.fuzz.strategies import (
    Documented,
    damaged_requests,
    documented_requests,
    filtered_requests,
    requests,
)
from tests.http.clients import InProcessClient, Request, Response
from tests.long.counts import IS_FULL

assert settings.default is not None
# With what is checked before and after it, a request takes a few milliseconds. Each run has others.
many = settings(max_examples=(4 if IS_FULL else 2) * settings.default.max_examples)


def send(client: InProcessClient, request: Request) -> Response:
    """Send a request, and check what holds after every request."""
    repopulate(client)
    before = snapshot(client)
    response = client.send(request.method, request.target, request.body, headers=request.headers)
    check_response(response, request)
    check_alive(client, request)
    if 400 <= response.status < 500:
        assert snapshot(client) == before, str(request)[:500]
    return response


@many
@given(request=requests())
def test_random_requests_cause_no_server_error(client: InProcessClient, request: Request) -> None:
    send(client, request)
    for path in ("/v1/users", "/api/v1/user", "/v1/sessions", "/api/v1/sessions/s/messages"):
        check_response(client.send("GET", path), "reading", path, "after", request)


@many
@given(documented=documented_requests())
def test_a_documented_request_succeeds_or_the_error_names_its_field(
    client: InProcessClient, documented: Documented
) -> None:
    response = send(client, documented.request)
    if response.status < 300:
        check_success(response, documented.operation)
    if response.status == 422 and documented.field is not None:
        named = response.json["fields"]
        is_named = any(_is_in(name, documented.field) for name in named)
        assert is_named or _is_wrong_without(client, documented, named), (named, documented)


def _is_wrong_without(
    client: InProcessClient, documented: Documented, named: Sequence[str]
) -> bool:
    """Return whether other fields exclude each other, such as user_id and session_id."""
    if documented.without is None:
        return False
    response = send(client, documented.without)
    return response.status == 422 and response.json["fields"] == named


def _is_in(named: str, field: str) -> bool:
    """Return whether a name is that of a field, or of a part of it."""
    return named.startswith(field) and named[len(field) : len(field) + 1] in {"", ".", "["}


@many
@given(request=damaged_requests())
def test_damaged_requests_are_rejected_properly(client: InProcessClient, request: Request) -> None:
    send(client, request)


@many
@given(request=filtered_requests())
def test_random_filters_are_applied_or_rejected(client: InProcessClient, request: Request) -> None:
    send(client, request)
