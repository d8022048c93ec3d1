"""One server for most tests, and a client with sync and with async methods."""

import asyncio
import inspect
import secrets
from pathlib import Path

import pytest

from tests.serving import serving
from userkeep.zep import ZepClient

OLD_PYTHON = Path(__file__).parents[2] / ".environments" / "zep-python" / "bin" / "python"


class AsyncAdapter:
    """A client whose methods call the async methods: `user.add` calls `user.aadd`."""

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
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zep")
    with serving(folder, database_url="sqlite:///:memory:") as server:
        yield server.url


@pytest.fixture(scope="session", params=["sync", "async"])
def zep(request, url):
    with asyncio.Runner() as runner, ZepClient(url) as client:
        yield client if request.param == "sync" else AsyncAdapter(client, runner)
        runner.run(client.aclose())


@pytest.fixture
def mark():
    return secrets.token_hex(6)


@pytest.fixture(scope="session")
def old_python():
    """The interpreter with zep-python 1.5.0, which `make environments` installs."""
    assert OLD_PYTHON.exists(), "zep-python is not installed; run `make environments`"
    return OLD_PYTHON
