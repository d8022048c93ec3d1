"""`recollect` as a process."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.serving import RECOLLECT


def recollect(
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in a folder, with no settings but those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RECOLLECT_")}
    return subprocess.run(
        [str(RECOLLECT), *map(str, arguments)],
        cwd=folder,
        env=inherited | dict(environment or {}),
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )


def is_sentence(error: str) -> bool:
    """Whether what was printed to stderr is one line for a human being, and no trace."""
    return error.startswith("recollect: ") and error.endswith(".\n") and error.count("\n") == 1


def files_in(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
