"""Running a piece of Python in another process: one that is forked, killed, or less powerful."""

import shutil
import subprocess
import sys
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
from tests.storage.notes import QUERIES, make, note, noted, noted_in
"""

# Whoever is root may write anywhere, whatever the file says. All modules are loaded before, because
# somebody else may not even reach this Python, and the files of ours that are read are a copy.
_AS_NOBODY = """
open_instance(Settings(database_url="sqlite:///:memory:")).close()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def start_elsewhere(code: str, *arguments: object, root: Path = ROOT) -> "subprocess.Popen[str]":
    """A process that runs the code; its arguments are in sys.argv[1:], what it prints in stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + dedent(code), *map(str, arguments)],
        cwd=root,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_elsewhere(code: str, *arguments: object) -> str:
    """What the code printed, once it has ended well."""
    return end(start_elsewhere(code, *arguments))


def run_as_nobody(code: str, *arguments: object) -> str:
    """The same, without the powers of root, for whom no file is read-only."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for package in ("userkeep", "tests/storage"):
            shutil.copytree(ROOT / package, root / package)
        (root / "tests" / "__init__.py").touch()
        return end(start_elsewhere(_AS_NOBODY + dedent(code), *arguments, root=root))


def end(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()
