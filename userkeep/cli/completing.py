"""The scripts by which shells complete: click's own, which ask the program itself."""

import click
from click.shell_completion import get_completion_class


def script(command: click.Command, shell: str) -> str:
    """The script for a shell: `bash`, `zsh` or `fish`."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter(f"{shell} is not known.")
    return kind(command, {}, "userkeep", "_USERKEEP_COMPLETE").source()
