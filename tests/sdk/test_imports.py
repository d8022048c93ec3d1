"""Which packages are imported, and when."""

from pathlib import Path

import pytest

from tests.sdk.subprocesses import run

DRIVERS = {"apsw", "psycopg"}
SERVERS = {"starlette", "uvicorn", "uvloop", "httptools"}
HTTP = {"httpx2", "httpcore2", "ssl"}
TERMINAL = {"click", "rich"}
FRAMEWORKS = {"fastapi", "pydantic", "pydantic_core"}
LOADED = """
import sys
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(code: str, folder: Path) -> set[str]:
    """Return the packages that are imported after the code has run."""
    return set(run(f"{code}\n{LOADED}", folder=folder).split())


def test_importing_loads_no_driver_no_server_and_no_http_library(tmp_path: Path) -> None:
    loaded = loaded_by("import userkeep", tmp_path)
    assert "msgspec" in loaded
    assert loaded.isdisjoint(DRIVERS | SERVERS | HTTP | TERMINAL | {"asyncio", "anyio", "trio"})
    assert loaded.isdisjoint(FRAMEWORKS)


@pytest.mark.parametrize("kind", ["Userkeep", "AsyncUserkeep"])
def test_opening_a_file_loads_only_its_driver(tmp_path: Path, kind: str) -> None:
    use = f"""
from userkeep import Userkeep, AsyncUserkeep
import asyncio
client = {kind}.open("memory.db")
async def put():
    return await client.user.put(user_id="jane")
async def close():
    await client.close()
if isinstance(client, Userkeep):
    client.user.put(user_id="jane"); client.close()
else:
    asyncio.run(put()); asyncio.run(close())
"""
    loaded = loaded_by(use, tmp_path)
    assert "apsw" in loaded
    assert loaded.isdisjoint(
        {"psycopg"} | SERVERS | FRAMEWORKS | {"httpx2", "httpcore2"} | TERMINAL
    )


def test_a_client_of_a_server_loads_no_driver_and_no_server(tmp_path: Path) -> None:
    loaded = loaded_by("import userkeep; userkeep.Userkeep().close()", tmp_path)
    assert "httpx2" in loaded
    assert loaded.isdisjoint(DRIVERS | SERVERS | TERMINAL)
