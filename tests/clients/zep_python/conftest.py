"""Tests of the unmodified zep-python 1.5.0 against the server at USERKEEP_TEST_URL.

If the server needs a key, it is in USERKEEP_TEST_API_KEY.

The server is fresh, and shared by all tests: each test uses `mark` in its ids and ignores rows
without it.
"""

import asyncio
import inspect
import os
import secrets

import pytest
from zep_python import ZepClient

API_KEY = os.environ.get("USERKEEP_TEST_API_KEY") or None

collect_ignore = ["test_construction.py" if API_KEY else "test_authentication.py"]


def pytest_configure():
    if not os.environ.get("USERKEEP_TEST_URL"):
        raise pytest.UsageError("Set USERKEEP_TEST_URL to the URL of a server.")


class AsyncAdapter:
    """The async methods of the client under the names of the sync ones: `add` awaits `aadd`.

    So each test covers both.
    """

    def __init__(self, client, runner):
        self._client = client
        self._runner = runner

    def __getattr__(self, name):
        if name in {"user", "memory", "message", "document"}:
            return AsyncAdapter(getattr(self._client, name), self._runner)

        def call(*args, **kwargs):
            result = getattr(self._client, f"a{name}")(*args, **kwargs)
            if inspect.isasyncgen(result):
                return self._chunks(result)
            return self._runner.run(result)

        return call

    def _chunks(self, generator):
        async def next_chunk():
            return await anext(generator, None)

        while chunk := self._runner.run(next_chunk()):
            yield chunk


@pytest.fixture(scope="session")
def url():
    return os.environ["USERKEEP_TEST_URL"]


@pytest.fixture(scope="session")
def api_key():
    return API_KEY


@pytest.fixture(scope="session", params=["sync", "async"])
def zep(request, url, api_key):
    with asyncio.Runner() as runner, ZepClient(url, api_key) as client:
        yield client if request.param == "sync" else AsyncAdapter(client, runner)
        runner.run(client.aclose())


@pytest.fixture
def mark():
    return secrets.token_hex(6)
