"""The command line: `userkeep <command>`."""

from userkeep.cli.main import main

__all__ = ["main"]
