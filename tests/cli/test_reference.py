"""docs/reference.md names what there is, and nothing else."""

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from recollect.api.operations import OPERATIONS
from recollect.cli import main
from recollect.config import Settings, flag_of, variable_of

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()


def line_with(text: str) -> str:
    """The line of a table that begins with this in its first cell."""
    lines = [line for line in REFERENCE.splitlines() if line.startswith(f"| `{text}")]
    assert len(lines) == 1, f"{text} must have one line in docs/reference.md"
    return lines[0]


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_a_setting_has_a_line_with_its_variable_its_flag_and_its_default(
    setting: "Field[Any]",
) -> None:
    line = line_with(f"{variable_of(setting.name)}`")
    variable, flag, default, meaning = map(str.strip, line.strip("|").split("|"))
    assert variable == f"`{variable_of(setting.name)}`"
    assert flag == f"`{flag_of(setting.name)}`"
    assert meaning.endswith(".")
    if setting.default != "":
        assert default == f"`{str(setting.default).lower()}`"


def test_no_other_setting_is_named() -> None:
    named = set(re.findall(r"\bRECOLLECT_[A-Z_]+\b", REFERENCE)) - {"RECOLLECT_"}
    assert named == {variable_of(each.name) for each in fields(Settings)}


def test_no_other_flag_is_named() -> None:
    known = {
        option
        for command in main.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", REFERENCE)) <= known


@pytest.mark.parametrize("command", sorted(main.commands))
def test_a_command_has_a_line_that_begins_with_its_own_words(command: str) -> None:
    line = line_with(f"recollect {command}`")
    first_words = (main.commands[command].help or "").split(".")[0]
    assert " ".join(first_words.split()) in line


def test_no_other_command_is_named() -> None:
    named = set(re.findall(r"`recollect ([a-z-]+)", REFERENCE))
    assert named == set(main.commands)


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    def codes(text: str) -> list[tuple[str, str]]:
        words = " ".join(text.replace("`", "").split())
        return re.findall(r"(\d) (done|refused|wrong usage|doctor found)", words)

    told = codes(REFERENCE.partition("Exit codes:")[2].partition("\n\n")[0])
    assert told == codes((main.help or "").partition("Exit codes:")[2])
    assert len(told) == 4


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_has_its_method_and_route_in_the_table(operation: Any) -> None:
    ends = (f"{operation.path}`", f"{operation.path}?")
    lines = [line for line in REFERENCE.splitlines() if any(end in line for end in ends)]
    assert any(re.search(rf"\b{operation.method}\b", line) for line in lines)
