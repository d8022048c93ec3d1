"""The command line: `userkeep <command>`."""

from userkeep.cli.commands import main

__all__ = ["main"]
