"""What the client asks before it does anything: is this a Zep server, and a recent one?"""

import httpx
import pytest
from packaging.version import Version
from zep_python import ZepClient
from zep_python.zep_client import MINIMUM_SERVER_VERSION


def construct(*args, **kwargs):
    """Warnings are errors here, so a server that is too old for the client would raise."""
    with ZepClient(*args, **kwargs) as client:
        return client.user.list(limit=1)


def test_a_client_is_made_without_a_warning(url):
    construct(url)


def test_a_slash_after_the_address_does_no_harm(url):
    construct(f"{url}/")


def test_an_open_server_accepts_any_api_key(url):
    construct(url, api_key="a key from another time")


def test_the_server_is_healthy_in_one_character(url):
    assert httpx.get(f"{url}/healthz").text == "."


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/user", "/api/v1/user/nobody", "/api/v1/no"])
def test_every_answer_says_a_version_the_client_accepts(url, path):
    version, dash, build = httpx.get(url + path).headers["X-Zep-Version"].partition("-")
    assert Version(version) >= Version(MINIMUM_SERVER_VERSION)
    assert dash
    assert "dev" not in build
