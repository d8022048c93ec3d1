"""`userkeep` in this process, and as a process of its own where a test is about processes."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.testing import CliRunner

from tests.serving import USERKEEP
from userkeep.cli import main


def userkeep(
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in a folder, with no settings but those given, and this stdin.

    It runs in this process, because the start of an interpreter takes longer than most commands.
    """
    words = [str(each) for each in arguments]
    inherited = {name: None for name in os.environ if name.startswith("USERKEEP_")}
    with contextlib.chdir(folder):
        result = CliRunner().invoke(
            main,
            words,
            input=given or "",
            env=inherited | dict(environment or {}),
            prog_name="userkeep",
            catch_exceptions=False,
        )
    return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)


def userkeep_process(
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
    given: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """The same as a process of its own: for tests of start-up, of serving, and of the script."""
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
    """Return the environment of a command, with only the given settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("USERKEEP_")}
    return inherited | dict(settings or {})


def all_commands(
    group: click.Group = main, *before: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that is not a group, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, *before, name)
        else:
            yield (*before, name), command


def is_sentence(error: str) -> bool:
    """Return whether stderr has one sentence on one line after any warnings, and no traceback."""
    lines = error.splitlines(keepends=True)
    error = "".join(line for line in lines if not line.startswith("userkeep: warning: "))
    return (
        error.startswith("userkeep: ") and error.endswith((".\n", "?\n")) and error.count("\n") == 1
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
