"""Running the commands of a checkout."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


def run(*command: object, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed, and return what it prints.

    Args:
        command: the program and its arguments.
        folder: the working directory.
        environment: variables to add; settings of Userkeep and PYTHONPATH are left out.

    Raises:
        AssertionError: it failed; the message is what it printed.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("USERKEEP_") and name != "PYTHONPATH"
    }
    ended = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=inherited | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout
