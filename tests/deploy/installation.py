"""An environment that is made as the Dockerfile makes it, outside of Docker."""

import functools
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from devtools.commands import ROOT, run
from tests.deploy.files import instructions

NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
)

_FAST = {"PIP_COMPILE": "0"}
"""For pip: without bytecode, which takes most of the time; Python makes what it needs."""


@functools.cache
def readable_python() -> Path | None:
    """Return a Python that every user can run, with pip and venv; None if there is none."""
    candidates = (Path(sys.executable), Path("/usr/bin/python3"))
    return next((each for each in candidates if _is_usable(each)), None)


def _is_usable(python: Path) -> bool:
    if not python.exists():
        return False
    path = python.resolve()
    if not all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents)):
        return False
    code = "import sys, ensurepip, pip, venv; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def can_become_nobody() -> bool:
    """Return whether this process may run programs as another user, who has a Python here."""
    is_root = os.geteuid() == 0 and shutil.which("setpriv") is not None
    return is_root and readable_python() is not None


def install(folder: Path, python: Path) -> Path:
    """Run the commands of the Dockerfile's first two stages in a folder.

    Returns:
        The environment.
    """
    programs = folder / "programs"
    programs.mkdir()
    (programs / "python").symlink_to(python.resolve() if python.is_symlink() else python)
    source = folder / "source"
    source.mkdir()
    for each in instructions():
        if each.stage > 2:
            continue
        if each.name == "COPY" and "--from" not in each.argument:
            _copy(each.argument, source)
        if each.name == "RUN":
            variables = {"PATH": f"{programs}:{os.environ['PATH']}", **_FAST}
            command = _inside(folder, each.argument)
            run("sh", "-c", command, folder=source, environment=variables)
    return folder / "opt" / "userkeep"


def _copy(argument: str, source: Path) -> None:
    *names, target = argument.split()
    for name in names:
        from_, to = ROOT / name, source / target
        if from_.is_dir():
            shutil.copytree(from_, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(from_, to)


def _inside(folder: Path, command: str) -> str:
    """Return a command of the Dockerfile with its folders inside of another one.

    pip may use its cache here, because the tests run often.
    """
    command = command.replace("--no-cache-dir ", "")
    for path in ("/wheels", "/opt/userkeep"):
        command = command.replace(f" {path}", f" {folder}{path}")
    return f"set -e; {command}"
