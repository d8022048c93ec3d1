"""The command line: `recollect <command>`."""

from recollect.cli.commands import main

__all__ = ["main"]
