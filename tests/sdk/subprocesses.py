"""Code of an app in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent


def start(code: str, *arguments: object, folder: Path, **settings: str) -> "subprocess.Popen[str]":
    """Start a process that runs the code, with the arguments in sys.argv[1:].

    Every warning in it is an error.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("USERKEEP_")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", dedent(code), *map(str, arguments)],
        cwd=folder,
        env=inherited | settings,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(code: str, *arguments: object, folder: Path, **settings: str) -> str:
    """Run the code and return its output. It must succeed, and print nothing to stderr."""
    process = start(code, *arguments, folder=folder, **settings)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out.strip()
