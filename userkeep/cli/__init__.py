"""The command line: `userkeep <command>`."""

import userkeep.cli.clock  # noqa: F401 - first: other imports fail with a wrong clock
from userkeep.cli.main import main

__all__ = ["main"]
