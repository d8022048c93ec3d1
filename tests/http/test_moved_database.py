"""A database file that is moved, deleted or replaced under a running server."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import fresh_settings
from tests.ways import in_process
from userkeep import Userkeep
from userkeep.config import sqlite_path

pytestmark = pytest.mark.disk

CHECKED_EVERY_S = 0.06
"""A little longer than it takes until reads notice; writes do at once."""


def delete_all(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if each.suffix != ".secret":
            each.unlink()


def delete_file(path: Path) -> None:
    path.unlink()


def delete_wal(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.db"))


def replace_with_another(path: Path) -> None:
    other = path.parent / "other" / path.name
    with Userkeep.open(other) as client:
        client.user.add(user_id="john")
    other.replace(path)


@pytest.mark.parametrize(
    "move", [delete_all, delete_file, delete_wal, rename, replace_with_another]
)
def test_a_server_whose_database_has_moved_says_so_and_creates_nothing(
    tmp_path: Path, move: Callable[[Path], None]
) -> None:
    settings = fresh_settings("sqlite file", tmp_path)
    path = Path(sqlite_path(settings.database_url))
    with in_process(settings) as server:
        assert server.request("POST", "/v1/users", json={"user_id": "jane"}).status == 201
        assert server.request("GET", "/readyz").status == 200
        move(path)
        time.sleep(CHECKED_EVERY_S)
        before = {each: each.stat().st_ino for each in path.parent.iterdir()}
        answers = [
            server.request("POST", "/v1/users", json={"user_id": "june"}),
            server.request("GET", "/v1/users/jane"),
            server.request("POST", "/v1/search", json={"query": "jane"}),
            server.request("GET", "/readyz"),
        ]
        for answer in answers:
            assert answer.status == 503
            assert "moved, deleted or replaced" in answer.text
        assert {each: each.stat().st_ino for each in path.parent.iterdir()} == before
        assert server.request("GET", "/healthz").status == 200


def test_a_file_that_is_put_back_is_used_again(tmp_path: Path) -> None:
    settings = fresh_settings("sqlite file", tmp_path)
    path = Path(sqlite_path(settings.database_url))
    with in_process(settings) as server:
        path.rename(path.with_name("renamed.db"))
        time.sleep(CHECKED_EVERY_S)
        assert server.request("GET", "/readyz").status == 503
        path.with_name("renamed.db").rename(path)
        time.sleep(CHECKED_EVERY_S)
        assert server.request("GET", "/readyz").status == 200
        assert server.request("POST", "/v1/users", json={"user_id": "jane"}).status == 201


def test_a_server_that_stops_leaves_the_log_of_the_database_that_replaced_its_own(
    tmp_path: Path,
) -> None:
    settings = fresh_settings("sqlite file", tmp_path)
    path = Path(sqlite_path(settings.database_url))
    with in_process(settings) as server:
        assert server.request("POST", "/v1/users", json={"user_id": "jane"}).status == 201
        secret = Path(shutil.copy(settings.secret_file, tmp_path.parent / f"{tmp_path.name}.key"))
        for each in path.parent.glob(f"{path.name}*"):
            shutil.move(each, tmp_path.parent / f"{tmp_path.name}-{each.name}")
        other = Userkeep.open(path)
        other.user.add(user_id="john")
    wal = path.with_name(f"{path.name}-wal")
    assert b"john" in wal.read_bytes()
    other.close()
    with Userkeep.open(path) as client:
        assert [each.user_id for each in client.user.list()] == ["john"]
    moved = tmp_path.parent / f"{tmp_path.name}-{path.name}"
    with Userkeep.open(moved, secret_file=str(secret)) as client:
        assert [each.user_id for each in client.user.list()] == ["jane"]
