"""docs/reference/ matches the code, and the examples in --help are valid commands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields

import click
import pytest

from tests.docs.pages import DOCS, ROOT, all_pages
from userkeep.api.operations import OPERATIONS
from userkeep.cli import main
from userkeep.config import ClientSettings, Settings, variable_of

REFERENCE = DOCS / "reference"
SETTINGS = (*fields(Settings), *fields(ClientSettings))


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/generate_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_has_every_operation() -> None:
    text = (REFERENCE / "http.md").read_text()
    for operation in OPERATIONS:
        assert text.count(f"#### `{operation.method} {operation.path}`\n") == 1


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_only_existing_settings(page: object) -> None:
    named = set(re.findall(r"\bUSERKEEP_[A-Z_]+\b", text_of(page))) - {"USERKEEP_"}
    invented = {"USERKEEP_MEMORY_WINDOWS"}  # the settings page shows that it is rejected
    assert named - invented <= {variable_of(each.name) for each in SETTINGS}


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_only_existing_commands(page: object) -> None:
    named = set(re.findall(r"(?:^|`|\$ )userkeep ([a-z][a-z-]*)", text_of(page), re.MULTILINE))
    assert named <= set(main.list_commands(click.Context(main)))


def text_of(page: object) -> str:
    return (ROOT / str(page)).read_text()


def examples_in_help() -> Iterator[str]:
    def below(command: click.Command) -> Iterator[str]:
        yield from (line.strip() for line in (command.help or "").splitlines())
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                each = command.get_command(context, name)
                assert each is not None
                yield from below(each)

    for line in below(main):
        if line.startswith("userkeep "):
            yield re.split(r" {2,}", line)[0]


@pytest.mark.parametrize("example", sorted(set(examples_in_help())))
def test_an_example_in_help_is_a_valid_command(example: str) -> None:
    words = shlex.split(re.split(r" [|<>] ", example)[0], comments=True)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="userkeep")
    while isinstance(command, click.Group):
        name, command_, rest = command.resolve_command(context, words)
        assert command_ is not None
        assert name is not None
        command, words = command_, rest
        context = click.Context(command, info_name=name, parent=context)
    parser = command.make_parser(context)
    values, left, _ = parser.parse_args(args=words)
    assert left == []
    given = {name for name, value in values.items() if value is not None}
    for parameter in command.params:
        needed = isinstance(parameter, click.Argument) and parameter.required
        assert not needed or parameter.name in given, f"{example}: {parameter.name} is missing"
