"""The sync half of the SDK is generated from the async half."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_to(folder: Path) -> Path:
    """Copy the SDK and its generator to a folder where tests can change them."""
    for part in ("scripts", "userkeep/sdk"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def generate(root: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    script = root / "scripts" / "generate_sync.py"
    return subprocess.run(
        [sys.executable, str(script), *flags], capture_output=True, text=True, check=False
    )


def test_the_sync_half_is_up_to_date() -> None:
    result = generate(ROOT, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_changed_files_are_named_and_regenerated(tmp_path: Path) -> None:
    root = copy_to(tmp_path)
    sync = root / "userkeep" / "sdk" / "_sync"
    before = (sync / "users.py").read_text()
    (sync / "users.py").write_text(before + "# by hand\n")
    (sync / "more.py").write_text("")
    (sync / "lists.py").unlink()
    result = generate(root, "--check")
    assert result.returncode == 1
    assert "lists.py, more.py, users.py" in result.stderr
    assert generate(root).returncode == 0
    assert generate(root, "--check").returncode == 0
    assert (sync / "users.py").read_text() == before
    assert not (sync / "more.py").exists()


def test_a_substitution_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    root = copy_to(tmp_path)
    for path in (root / "userkeep" / "sdk" / "_async").glob("*.py"):
        path.write_text(path.read_text().replace("StopAsyncIteration", "StopIteration"))
    result = generate(root, "--check")
    assert result.returncode != 0
    assert "StopAsyncIteration" in result.stderr
