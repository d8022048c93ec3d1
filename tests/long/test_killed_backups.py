"""A backup, a restore or a rotation of the secret that is killed at any step leaves all usable."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backups import content_of, make_instance, write_key
from tests.cli.running import environment_of, userkeep
from tests.long.counts import IS_FULL, seeded_random

pytestmark = pytest.mark.disk

SOME = 2
MOST = 200

# Kills itself before a step: before a file is opened, renamed, linked, removed or cut.
PROGRAM = """
import os, signal, sys
left, folder = int(sys.argv[1]), sys.argv[2]
def count(event, arguments):
    global left
    if event in {"open", "os.rename", "os.link", "os.remove", "os.truncate"}:
        if os.path.abspath(str(arguments[0])).startswith(folder):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
from userkeep.cli import main
sys.addaudithook(count)
main(sys.argv[3:])
"""


def run_killed(step: int, folder: Path, *words: str) -> bool:
    """Run a command that is killed before a step; return False if it had ended before."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(step), str(folder), *words],
        cwd=folder,
        env=environment_of({"USERKEEP_DATABASE_URL": f"sqlite:///{folder}/data/userkeep.db"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in {0, -signal.SIGKILL}, result.stderr
    return result.returncode != 0


def steps(purpose: str, count: int) -> Iterator[int]:
    """Yield all steps until the caller stops, or some of so many."""
    if IS_FULL:
        yield from range(MOST)
    else:
        yield from sorted(seeded_random(purpose).sample(range(count), SOME))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another instance in `data`, and a backup in `sealed`."""
    folder = tmp_path_factory.mktemp("made")
    key = write_key(folder)
    make_instance(folder)
    database = ("--database", f"sqlite:///{folder}/data/userkeep.db")
    result = userkeep("backup", "sealed", "--key-file", str(key), *database, folder=folder)
    assert result.returncode == 0
    shutil.move(folder / "data", folder / "original")
    make_instance(folder, messages=1)
    return folder


@pytest.fixture
def new_place(made: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Copies this folder."""
    return lambda number: shutil.copytree(made, tmp_path / f"place-{number}")


def check_opens(folder: Path) -> None:
    words = ("users", "list", "--database", "data/userkeep.db")
    result = userkeep(*words, folder=folder)
    assert result.returncode == 0, result.stderr
    assert "jane" in result.stdout


def test_a_killed_restore_leaves_the_former_or_the_restored_database(
    new_place: Callable[[int], Path], report: Callable[[str], None]
) -> None:
    kills = 0
    words = ("restore", "sealed", "--force", "--key-file", "backup.key")
    for step in steps("restore", 32):
        folder = new_place(step)
        former, restored = (
            content_of(folder / name / "userkeep.db") for name in ("data", "original")
        )
        assert former != restored
        is_killed = run_killed(step, folder, *words)
        check_opens(folder)
        found = content_of(folder / "data/userkeep.db")
        assert found in (former, restored)
        assert is_killed or found == restored
        result = userkeep(*words, "--database", "sqlite:///data/userkeep.db", folder=folder)
        assert result.returncode == 0, result.stderr
        check_opens(folder)
        assert content_of(folder / "data/userkeep.db") == restored
        assert not list((folder / "data").glob("*.restoring*"))
        shutil.rmtree(folder)
        if not is_killed:
            break
        kills += 1
    report(f"{kills} kills of a restore: the former or the restored database, with its secret")


def test_a_killed_backup_leaves_nothing_under_its_name(
    new_place: Callable[[int], Path], report: Callable[[str], None]
) -> None:
    kills = 0
    key = ("--key-file", "backup.key")
    database = ("--database", "sqlite:///data/userkeep.db")
    for step in steps("backup", 14):
        folder = new_place(step)
        before = content_of(folder / "data/userkeep.db")
        is_killed = run_killed(step, folder, "backup", "out", *key)
        if (folder / "out").exists():
            to = ("--database", "sqlite:///other/userkeep.db")
            assert userkeep("restore", "out", *key, *to, folder=folder).returncode == 0
            assert content_of(folder / "other/userkeep.db") == before
            (folder / "out").unlink()
        past = time.time() - 7200
        for left in (*folder.glob(".*.part"), *(folder / "data").glob("*.part")):
            os.utime(left, (past, past))
        result = userkeep("backup", "out", *key, *database, folder=folder)
        assert result.returncode == 0, result.stderr
        assert not list(folder.rglob("*.part"))
        assert content_of(folder / "data/userkeep.db") == before
        shutil.rmtree(folder)
        if not is_killed:
            break
        kills += 1
    report(f"{kills} kills of a backup: nothing under its name, or a whole backup")


def test_a_killed_rotation_leaves_a_database_that_opens(
    new_place: Callable[[int], Path], report: Callable[[str], None]
) -> None:
    kills = 0
    for step in steps("rotation", 16):
        folder = new_place(step)
        is_killed = run_killed(step, folder, "secret", "rotate", "--yes")
        check_opens(folder)
        database = ("--database", "sqlite:///data/userkeep.db")
        result = userkeep("secret", "rotate", "--yes", *database, folder=folder)
        assert result.returncode == 0, result.stderr
        check_opens(folder)
        shutil.rmtree(folder)
        if not is_killed:
            break
        kills += 1
    report(f"{kills} kills of a rotation: the database opens with the secret that is there")
