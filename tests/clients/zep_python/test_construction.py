"""The client checks first that the server is a recent Zep server."""

import httpx
import pytest
from packaging.version import Version
from zep_python import ZepClient
from zep_python.zep_client import MINIMUM_SERVER_VERSION


def construct(*args, **kwargs):
    """Create a client. Warnings are errors, so a server that is too old raises."""
    with ZepClient(*args, **kwargs) as client:
        return client.user.list(limit=1)


def test_a_client_is_created_without_a_warning(url):
    construct(url)


def test_a_trailing_slash_of_the_url_is_accepted(url):
    construct(f"{url}/")


def test_an_open_server_accepts_any_api_key(url):
    construct(url, api_key="an old key")


def test_healthz_returns_one_character(url):
    assert httpx.get(f"{url}/healthz").text == "."


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/user", "/api/v1/user/nobody", "/api/v1/no"])
def test_every_response_has_a_version_that_the_client_accepts(url, path):
    version, dash, build = httpx.get(url + path).headers["X-Zep-Version"].partition("-")
    assert Version(version) >= Version(MINIMUM_SERVER_VERSION)
    assert dash
    assert "dev" not in build
