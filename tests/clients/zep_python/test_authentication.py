"""A server that needs a key: the client sends it, and raises AuthError if it is not accepted."""

import pytest
from zep_python import ZepClient
from zep_python.exceptions import AuthError


def test_a_client_with_the_key_is_admitted(zep):
    assert isinstance(zep.user.list(limit=1), list)


@pytest.mark.parametrize("change", [lambda _: None, lambda key: f"{key}0"], ids=["none", "wrong"])
def test_a_client_without_the_key_raises_auth_error(url, api_key, change):
    with ZepClient(url, change(api_key)) as client, pytest.raises(AuthError):
        client.user.list(limit=1)
