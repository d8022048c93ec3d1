"""One server for most tests, and both halves of the client behind the same names."""

import asyncio
import inspect
import secrets
from pathlib import Path

import pytest

from tests.serving import serving
from userkeep.zep import ZepClient

OLD_PYTHON = Path(__file__).parents[2] / ".environments" / "zep-python" / "bin" / "python"


class Awaited:
    """The client's awaited half behind the waiting half's names: `user.add` is `user.aadd`."""

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
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zep")
    with serving(folder, database_url="sqlite:///:memory:") as server:
        yield server.url


@pytest.fixture(scope="session", params=["waiting", "awaited"])
def zep(request, url):
    with asyncio.Runner() as runner, ZepClient(url) as client:
        yield client if request.param == "waiting" else Awaited(client, runner)
        runner.run(client.aclose())


@pytest.fixture
def mark():
    return secrets.token_hex(6)


@pytest.fixture(scope="session")
def old_python():
    """The interpreter that has zep-python 1.5.0: `make environments` sets it up."""
    assert OLD_PYTHON.exists(), "zep-python is not there to compare with; run `make environments`"
    return OLD_PYTHON
