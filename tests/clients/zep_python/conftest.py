"""zep-python 1.5.0 as its users have it, pointed at the server that USERKEEP_TEST_URL names.

The server is fresh but shared by the whole run: a test makes its ids from `mark`, and passes over
rows without it.
"""

import asyncio
import inspect
import os
import secrets

import pytest
from zep_python import ZepClient


def pytest_configure():
    if not os.environ.get("USERKEEP_TEST_URL"):
        raise pytest.UsageError("USERKEEP_TEST_URL does not say where the server is.")


class Awaited:
    """The client's async half behind the sync half's names: `user.add` is `user.aadd`, awaited.

    So one plain test judges both halves.
    """

    def __init__(self, half, runner):
        self._half = half
        self._runner = runner

    def __getattr__(self, name):
        if name in {"user", "memory", "message", "document"}:
            return Awaited(getattr(self._half, name), self._runner)

        def call(*args, **kwargs):
            started = getattr(self._half, f"a{name}")(*args, **kwargs)
            if inspect.isasyncgen(started):
                return self._chunks(started)
            return self._runner.run(started)

        return call

    def _chunks(self, generator):
        async def following():
            return await anext(generator, None)

        while chunk := self._runner.run(following()):
            yield chunk


@pytest.fixture(scope="session")
def url():
    return os.environ["USERKEEP_TEST_URL"]


@pytest.fixture(scope="session", params=["sync", "async"])
def zep(request, url):
    with asyncio.Runner() as runner, ZepClient(url) as client:
        yield client if request.param == "sync" else Awaited(client, runner)
        runner.run(client.aclose())


@pytest.fixture
def mark():
    return secrets.token_hex(6)
