"""Clients with API keys: what they raise, and when they warn."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake_server import MODES, Response, call, fake_server
from tests.serving import serving
from userkeep import (
    Forbidden,
    Unauthenticated,
    UnauthenticatedServerWarning,
    Userkeep,
)

STATIC = "the-key-of-an-operator"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a key."""
    folder = tmp_path_factory.mktemp("keyed")
    with serving(folder, settings={"USERKEEP_API_KEY": STATIC}) as server:
        yield server.url


@pytest.fixture(scope="module")
def open_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without keys."""
    with serving(tmp_path_factory.mktemp("open")) as server:
        yield server.url


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return str(request.param)


def list_users(client: Any) -> Any:
    return client.user.list(limit=1)


def add_user(client: Any) -> Any:
    return client.user.add(user_id="jane")


def test_a_client_with_a_key_is_admitted_without_a_warning(mode: str, url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(mode, url, list_users, api_key=STATIC) == []


def test_a_client_without_a_valid_key_raises_unauthenticated(mode: str, url: str) -> None:
    with pytest.raises(Unauthenticated, match="needs an API key"):
        call(mode, url, list_users)
    with pytest.raises(Unauthenticated, match="unknown, revoked or expired") as raised:
        call(mode, url, list_users, api_key=f"{STATIC}-2")
    assert STATIC not in str(raised.value)


def test_a_key_that_does_not_permit_a_call_raises_forbidden(mode: str, url: str) -> None:
    with Userkeep(url, api_key=STATIC) as client:
        key = client.key.add(scope="read").key
    assert call(mode, url, list_users, api_key=key) == []
    with pytest.raises(Forbidden, match="the scope write; yours has read"):
        call(mode, url, add_user, api_key=key)


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (403, Forbidden)])
def test_the_error_of_a_proxy_has_the_same_class(status: int, kind: type[Exception]) -> None:
    with (
        fake_server(Response(status, b"<html>No</html>")) as server,
        pytest.raises(kind, match=f"HTTP {status}, not from a Userkeep server"),
    ):
        call("sync", server.url, list_users)


def test_a_key_that_the_server_does_not_check_is_warned_of_once(mode: str, open_url: str) -> None:
    def list_twice(client: Any) -> Any:
        client.user.list(limit=1)
        return client.user.list(limit=1)

    async def list_twice_async(client: Any) -> Any:
        await client.user.list(limit=1)
        return await client.user.list(limit=1)

    method = list_twice if mode == "sync" else list_twice_async
    with pytest.warns(UnauthenticatedServerWarning) as caught:
        call(mode, open_url, method, api_key="any")
    assert [str(each.message) for each in caught] == [
        f"The server at {open_url} has no keys and does not check yours."
    ]
    assert caught[0].filename == __file__


def test_a_client_of_an_open_server_without_a_key_does_not_warn(mode: str, open_url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(mode, open_url, list_users)


def test_the_warning_does_not_show_the_password_of_the_url() -> None:
    headers = {"Userkeep-Authentication": "none"}
    with fake_server(Response(headers=headers)) as server:
        url = server.url.replace("//", "//jane:hunter2@")
        with (
            pytest.warns(UnauthenticatedServerWarning) as caught,
            Userkeep(url, api_key="any") as client,
        ):
            client.user.get("jane")
    assert "hunter2" not in str(caught[0].message)
    assert server.url in str(caught[0].message)


def test_a_program_shows_the_warning_with_its_own_line(tmp_path: Path, open_url: str) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        "from userkeep import Userkeep\n"
        f"with Userkeep({open_url!r}, api_key='any') as client:\n"
        "    client.user.list(limit=1)\n"
        "    client.user.list(limit=1)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stderr.startswith(f"{program}:3: UnauthenticatedServerWarning: The server at")
    assert ran.stderr.count("UnauthenticatedServerWarning") == 1
