"""`userkeep` as a process."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from tests.serving import USERKEEP
from userkeep.cli import main


def userkeep(
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
    given: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in a folder, with no settings but those given, and this stdin."""
    return subprocess.run(
        [str(USERKEEP), *map(str, arguments)],
        cwd=folder,
        env=environment_of(environment),
        input=given or "",
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )


def environment_of(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command, with no settings but those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("USERKEEP_")}
    return inherited | dict(settings or {})


def walk(
    group: click.Group = main, *before: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, and its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, *before, name)
        else:
            yield (*before, name), command


def is_sentence(error: str) -> bool:
    """Whether what was printed to stderr is one line for a human being, and no trace."""
    return (
        error.startswith("userkeep: ") and error.endswith((".\n", "?\n")) and error.count("\n") == 1
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
