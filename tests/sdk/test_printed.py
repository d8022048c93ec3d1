"""The synchronous half of the SDK is printed from the other."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """The SDK and what prints it, to be changed freely."""
    for part in ("scripts", "userkeep/sdk"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def print_sync(root: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    script = root / "scripts" / "print_sync.py"
    return subprocess.run(
        [sys.executable, str(script), *flags], capture_output=True, text=True, check=False
    )


def test_sync_is_as_printed() -> None:
    result = print_sync(ROOT, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_what_was_changed_by_hand_is_named_and_printed_again(tmp_path: Path) -> None:
    root = copied(tmp_path)
    sync = root / "userkeep" / "sdk" / "_sync"
    before = (sync / "users.py").read_text()
    (sync / "users.py").write_text(before + "# by hand\n")
    (sync / "more.py").write_text("")
    (sync / "lists.py").unlink()
    result = print_sync(root, "--check")
    assert result.returncode == 1
    assert "lists.py, more.py, users.py" in result.stderr
    assert print_sync(root).returncode == 0
    assert print_sync(root, "--check").returncode == 0
    assert (sync / "users.py").read_text() == before
    assert not (sync / "more.py").exists()


def test_a_substitution_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    for path in (root / "userkeep" / "sdk" / "_async").glob("*.py"):
        path.write_text(path.read_text().replace("StopAsyncIteration", "StopIteration"))
    result = print_sync(root, "--check")
    assert result.returncode != 0
    assert "StopAsyncIteration" in result.stderr
