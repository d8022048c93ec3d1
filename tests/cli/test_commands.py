"""What all commands have in common: help, settings, exit codes, and what is loaded when."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from recollect import __version__
from recollect.cli import main
from recollect.config import Settings, flag_of, variable_of
from tests.cli.running import is_sentence, recollect

COMMANDS = sorted(main.commands)


def on_database(command: str, url: str) -> tuple[str, ...]:
    """A command with the database that it is to work on."""
    if command == "port":
        return (command, url, "sqlite:///target.db")
    return (command, "--database", url)


def test_the_version_is_printed(tmp_path: Path) -> None:
    result = recollect("--version", folder=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"recollect, version {__version__}\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command_and_the_exit_codes(tmp_path: Path, flag: str) -> None:
    result = recollect(flag, folder=tmp_path)
    assert result.returncode == 0
    for command in COMMANDS:
        assert f"  {command} " in result.stdout
    for code in ("0 done", "1 refused", "2 wrong usage", "3 doctor found"):
        assert code in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_an_example(tmp_path: Path, command: str) -> None:
    result = recollect(command, "--help", folder=tmp_path)
    assert result.returncode == 0
    assert re.search(rf"^  recollect {command}( \w+:///\S+)*$", result.stdout, re.MULTILINE)


def test_help_of_serve_names_every_setting_with_its_variable(tmp_path: Path) -> None:
    result = recollect("serve", "--help", folder=tmp_path)
    text = " ".join(result.stdout.split())
    for each in fields(Settings):
        assert flag_of(each.name) in text
        assert variable_of(each.name) in text


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    result = recollect("sevre", folder=tmp_path)
    assert result.returncode == 2
    assert "No such command 'sevre'" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_variable_is_refused_by_name(tmp_path: Path, command: str) -> None:
    words = on_database(command, "sqlite:///recollect.db")
    result = recollect(*words, folder=tmp_path, environment={"RECOLLECT_DATABSE_URL": "x"})
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "RECOLLECT_DATABSE_URL is not a setting of Recollect" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_variables_of_the_tests_and_of_others_are_none_of_its_business(tmp_path: Path) -> None:
    environment = {"RECOLLECT_TEST_URL": "x", "RECOLLECTION": "y"}
    assert recollect("migrate", folder=tmp_path, environment=environment).returncode == 0


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("RECOLLECT_PORT", "eighty", "RECOLLECT_PORT must be a whole number, not 'eighty'."),
        ("RECOLLECT_PORT", "-1", "RECOLLECT_PORT must be at least 0."),
        ("RECOLLECT_PORT", "70000", "RECOLLECT_PORT must be"),
        ("RECOLLECT_INSECURE_NO_AUTH", "maybe", "must be true or false, not 'maybe'."),
        ("RECOLLECT_QUEUE_LIMIT", "0", "RECOLLECT_QUEUE_LIMIT must be at least 1."),
        ("RECOLLECT_SECRET", "short", "RECOLLECT_SECRET must have at least 16 characters."),
        ("RECOLLECT_LOG_LEVEL", "loud", "RECOLLECT_LOG_LEVEL must be one of critical, error"),
        ("RECOLLECT_DATABASE_URL", "sqlite:///", "RECOLLECT_DATABASE_URL names no file"),
        ("RECOLLECT_DATABASE_URL", "mysql://h/d", "'mysql://h/d' is not a database"),
    ],
)
def test_a_setting_with_a_bad_value_is_refused_by_name(
    tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    result = recollect("serve", folder=tmp_path, environment={variable: value})
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["eighty", "-1", "70000"])
def test_a_flag_with_a_bad_port_is_wrong_usage(tmp_path: Path, value: str) -> None:
    result = recollect("serve", "--port", value, folder=tmp_path)
    assert result.returncode == 2
    assert "port" in result.stderr.lower()
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql://jane:hunter2@db.example/recollect"
    for command in COMMANDS:
        result = recollect(*on_database(command, url), folder=tmp_path)
        assert result.returncode != 0
        assert "hunter2" not in result.stdout + result.stderr
        assert "db.example" in result.stdout + result.stderr


LOADED = """
import sys
{statement}
loaded = {{name.partition(".")[0] for name in sys.modules}}
known = {{"apsw", "starlette", "uvicorn", "uvloop", "httptools", "click", "msgspec"}}
print(*sorted(loaded & known))
"""


def loaded_after(statement: str) -> set[str]:
    """Which of the packages that it depends on are loaded after a statement."""
    code = LOADED.format(statement=statement)
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_no_driver_and_no_server() -> None:
    assert loaded_after("import recollect") == set()


def test_the_command_line_loads_no_driver_and_no_server_before_a_command_needs_them() -> None:
    assert loaded_after("import recollect.cli") & {"apsw", "starlette", "uvicorn"} == set()
