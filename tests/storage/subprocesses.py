"""Running Python code in another process: one that forks, is killed, or is unprivileged."""

import atexit
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

ROOT = Path(__file__).parents[2]

_PRELUDE = """
import os, sys
from contextlib import closing
from pathlib import Path
import apsw
from userkeep.config import Settings
from userkeep.domain.errors import UserkeepError
from userkeep.instance import open_instance
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.file_lock import read_lock_holder
from tests.storage.notes import QUERIES, create_table, add_note, read_notes, notes_in_file
"""

# Root may write anywhere, whatever the mode of a file. All modules are loaded before, because an
# unprivileged user may not even be able to read this Python; the files of the package are a copy.
_DROP_PRIVILEGES = """
open_instance(Settings(database_url="sqlite:///:memory:")).close()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def start_subprocess(code: str, *arguments: object, root: Path = ROOT) -> "subprocess.Popen[str]":
    """Start a process that runs the code, with the arguments in sys.argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + dedent(code), *map(str, arguments)],
        cwd=root,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_in_subprocess(code: str, *arguments: object) -> str:
    """Run the code in another process; return what it printed."""
    return finish(start_subprocess(code, *arguments))


def run_unprivileged(code: str, *arguments: object) -> str:
    """Run the code without the privileges of root, for whom no file is read-only."""
    root = _readable_copy()
    return finish(start_subprocess(_DROP_PRIVILEGES + dedent(code), *arguments, root=root))


@cache
def _readable_copy() -> Path:
    """Copy the packages once for all tests to where every user may read them."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    root.chmod(0o755)
    for package in ("userkeep", "tests/storage"):
        shutil.copytree(ROOT / package, root / package)
    (root / "tests" / "__init__.py").touch()
    return root


def finish(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()
