"""What all commands have in common: help, settings, exit codes, and lazy imports."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.running import all_commands, is_sentence, userkeep, userkeep_process
from userkeep import __version__
from userkeep.cli import main
from userkeep.config import Settings, flag_of, variable_of

WORDS = main.list_commands(click.Context(main))
COMMANDS = [words for words, _ in all_commands()]
ON_A_DATABASE = [
    words for words in COMMANDS if words not in {("completion",), ("secret", "backup-key")}
]
ARGUMENTS = {
    "backup": ("out", "--without-secret"),
    "restore": ("out",),
    "secret rotate": ("--yes",),
    "users add": ("jane",),
    "users show": ("jane",),
    "users update": ("jane", "--email", "jane@example.com"),
    "users delete": ("jane", "--yes"),
    "sessions show": ("chat-1",),
    "sessions update": ("chat-1", "--title", "Shoes"),
    "sessions end": ("chat-1",),
    "sessions reopen": ("chat-1",),
    "sessions delete": ("chat-1", "--yes"),
    "messages delete": ("chat-1", "01a204d3-fd4f-7b04-a503-2bf951c2c06d", "--yes"),
    "messages list": ("chat-1",),
    "messages show": ("chat-1", "m-1"),
    "messages update": ("chat-1", "m-1", "--name", "Jane"),
    "messages clear": ("chat-1", "--yes"),
    "messages add": ("chat-1", "Hello"),
    "memory show": ("chat-1",),
    "erasures show": ("01a204d3-fd4f-7b04-a503-2bf951c2c06d",),
    "erasures purge": ("01a204d3-fd4f-7b04-a503-2bf951c2c06d",),
    "erasures verify": ("01a204d3-fd4f-7b04-a503-2bf951c2c06d",),
    "keys create": ("--scope", "admin"),
    "keys show": ("0123456789abcdef",),
    "keys rotate": ("0123456789abcdef",),
    "keys revoke": ("0123456789abcdef", "--yes"),
    "import": ("-",),
    "collections add": ("papers", "--dimensions", "8"),
    "collections show": ("papers",),
    "collections delete": ("papers", "--yes"),
    "documents add": ("papers", "about shoes"),
    "documents list": ("papers",),
    "documents show": ("papers", "a"),
    "documents search": ("papers",),
    "documents delete": ("papers", "a", "--yes"),
    "projects create": ("shop",),
    "projects show": ("shop",),
    "projects rename": ("shop", "store"),
    "projects update": ("shop", "--max-messages-per-user", "10"),
    "projects delete": ("shop", "--yes"),
}


def on_database(words: tuple[str, ...], url: str) -> tuple[str, ...]:
    """Return a command with its required arguments, on a database."""
    if words == ("copy",):
        return (*words, url, "sqlite:///target.db")
    return (*words, *ARGUMENTS.get(" ".join(words), ()), "--database", url)


def test_the_version_is_printed(tmp_path: Path) -> None:
    result = userkeep_process("--version", folder=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"userkeep, version {__version__}\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command_and_the_exit_codes(tmp_path: Path, flag: str) -> None:
    result = userkeep(flag, folder=tmp_path)
    assert result.returncode == 0
    for word in WORDS:
        assert f"  {word} " in result.stdout
    codes = ("0 success", "1 rejected", "2 wrong usage", "3 doctor found", "4 not found")
    for code in (*codes, "5 server unreachable", "6 access denied", "130 for Ctrl-C"):
        assert code in " ".join(result.stdout.split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_a_command_has_an_example(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = userkeep(*words, "--help", folder=tmp_path)
    assert result.returncode == 0
    example = rf"^  (gunzip .* \| )?userkeep {' '.join(words)}( \S.*)?$"
    assert re.search(example, result.stdout, re.MULTILINE)


def test_help_of_a_group_names_its_commands(tmp_path: Path) -> None:
    result = userkeep("users", "--help", folder=tmp_path)
    named = re.findall(r"^  ([a-z]+)  ", result.stdout.partition("Commands:")[2], re.MULTILINE)
    assert named == ["add", "list", "show", "update", "delete"]


@pytest.mark.parametrize("alias", ["get", "create"])
def test_aliases_have_help_and_are_not_listed(tmp_path: Path, alias: str) -> None:
    for group in ("users", "sessions", "messages"):
        result = userkeep(group, alias, "--help", folder=tmp_path)
        assert result.returncode == 0
        assert f"Usage: userkeep {group} {alias} [OPTIONS]" in result.stdout
        assert f"  {alias} " not in userkeep(group, "--help", folder=tmp_path).stdout
    assert userkeep("erasures", "create", folder=tmp_path).returncode == 2
    assert userkeep("keys", "add", "--help", folder=tmp_path).returncode == 0
    assert "  add " not in userkeep("keys", "--help", folder=tmp_path).stdout


def test_aliases_do_what_the_commands_do(tmp_path: Path) -> None:
    created = userkeep("users", "create", "jane", "--json", folder=tmp_path)
    assert created.returncode == 0
    shown = userkeep("users", "get", "jane", "--json", folder=tmp_path)
    assert shown.stdout == created.stdout


def test_options_before_the_command_are_those_of_the_command(tmp_path: Path) -> None:
    added = userkeep("--database", "a.db", "--json", "users", "add", "jane", folder=tmp_path)
    assert (added.returncode, added.stderr) == (0, "")
    shown = userkeep("users", "--database", "a.db", "show", "jane", "--json", folder=tmp_path)
    assert shown.stdout == added.stdout
    # The one nearest to the command applies.
    for words in (
        ("--database", "x.db", "users", "--database", "a.db", "show", "jane"),
        ("--database", "x.db", "users", "show", "jane", "--database", "a.db"),
        ("users", "--database", "x.db", "show", "jane", "--database", "a.db"),
        ("--database=x.db", "users", "show", "--database=a.db", "jane"),
    ):
        assert userkeep("--json", *words, folder=tmp_path).stdout == added.stdout
    assert not (tmp_path / "x.db").exists()
    url = f"sqlite:///{tmp_path}/a.db"
    assert "ok" in userkeep("--database", url, "doctor", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--url", "http://127.0.0.1:1", "users", "list", "--database", "a.db"),
            "Use --database or --url, not both.",
        ),
        (
            ("--database", "a.db", "users", "--url", "http://127.0.0.1:1", "list"),
            "Use --database or --url, not both.",
        ),
        (("--url", "http://127.0.0.1:1", "serve"), "No such option"),
        (("--json", "completion", "bash"), "No such option"),
        (("--database", "a.db", "copy", "a", "b"), "No such option"),
        (("--database",), "requires an argument"),
        (("--json",), "Missing command"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_options_before_the_command_that_do_not_fit_are_wrong_usage(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    result = userkeep(*words, folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_secret_before_the_command_is_warned_of_once(tmp_path: Path) -> None:
    words = ("--api-key", "k", "--url", "http://127.0.0.1:1", "users", "list")
    result = userkeep(*words, folder=tmp_path)
    assert result.returncode == 5
    assert result.stderr.count("warning: every user of this machine") == 1
    url = "postgresql://jane:hunter2@db.example/userkeep"
    for command in (("users", "list"), ("doctor",), ("copy", "a", "b")):
        result = userkeep("--database", url, *command, folder=tmp_path)
        assert result.returncode != 0
        assert "hunter2" not in result.stdout + result.stderr
        assert result.stderr.count("can read the password") == (command[0] != "copy")


def test_help_of_serve_names_every_setting_with_its_variable(tmp_path: Path) -> None:
    result = userkeep("serve", "--help", folder=tmp_path)
    text = " ".join(result.stdout.split())
    for each in fields(Settings):
        if each.name == "zep_auth_secret":
            continue  # the flag of a secret is hidden, and this one has no file
        assert flag_of(each.name) in text
        assert variable_of(each.name) in text


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_help_of_serve_has_the_basics_first(tmp_path: Path, command: str) -> None:
    text = userkeep(command, "--help", folder=tmp_path).stdout
    assert re.findall(r"^(\w+):$", text, re.MULTILINE) == [
        "Basics",
        "Network",
        "Data",
        "Embeddings",
        "Limits",
        "Monitoring",
    ]
    basics = text.partition("Basics:")[2].partition("Network:")[0]
    for flag in ("--database", "--host", "--port", "--log-level", "--help"):
        assert f" {flag} " in basics
    assert "--queue-limit" in text.partition("Limits:")[2]


def test_the_list_of_commands_has_the_first_sentence_of_each_help() -> None:
    context = click.Context(main)
    formatter = context.make_formatter()
    main.format_commands(context, formatter)
    listed = " ".join(formatter.getvalue().split())
    for word in WORDS:
        command = main.get_command(context, word)
        assert command is not None
        sentence = " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())
        assert f"{word} {sentence}" in listed


def test_no_line_of_a_list_of_commands_is_cut() -> None:
    for words in [(), *{words[:1] for words in COMMANDS if len(words) > 1}]:
        text = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).stdout
        listed = text.partition("Commands:")[2]
        assert listed
        assert "..." not in listed, words


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    result = userkeep("sevre", folder=tmp_path)
    assert result.returncode == 2
    assert "No such command 'sevre'" in result.stderr


@pytest.mark.parametrize("command", ON_A_DATABASE, ids=" ".join)
def test_an_unknown_variable_is_rejected_by_name(tmp_path: Path, command: tuple[str, ...]) -> None:
    words = on_database(command, "sqlite:///userkeep.db")
    result = userkeep(*words, folder=tmp_path, environment={"USERKEEP_DATABSE_URL": "x"})
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "USERKEEP_DATABSE_URL is not a setting of Userkeep" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_variables_of_tests_and_of_other_programs_are_ignored(tmp_path: Path) -> None:
    environment = {"USERKEEP_TEST_URL": "x", "USERKEEPION": "y"}
    assert userkeep("migrate", folder=tmp_path, environment=environment).returncode == 0


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("USERKEEP_PORT", "eighty", "USERKEEP_PORT must be a whole number, not 'eighty'."),
        ("USERKEEP_PORT", "-1", "USERKEEP_PORT must be at least 0."),
        ("USERKEEP_PORT", "70000", "USERKEEP_PORT must be"),
        ("USERKEEP_INSECURE_NO_AUTH", "maybe", "must be true or false, not 'maybe'."),
        ("USERKEEP_QUEUE_LIMIT", "0", "USERKEEP_QUEUE_LIMIT must be at least 1."),
        ("USERKEEP_SECRET", "short", "USERKEEP_SECRET must have at least 16 characters."),
        ("USERKEEP_LOG_LEVEL", "loud", "USERKEEP_LOG_LEVEL must be one of critical, error"),
        ("USERKEEP_COMPRESSION", "br", "USERKEEP_COMPRESSION must be one of gzip, none; got 'br'."),
        ("USERKEEP_LOG_FORMAT", "xml", "USERKEEP_LOG_FORMAT must be one of text, json; got 'xml'."),
        ("USERKEEP_DATABASE_URL", "sqlite:///", "USERKEEP_DATABASE_URL names no file"),
        ("USERKEEP_DATABASE_URL", "mysql://h/d", "'mysql://h/d' is not a database"),
    ],
)
def test_an_invalid_setting_is_rejected_by_name(
    tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    result = userkeep("serve", folder=tmp_path, environment={variable: value})
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["eighty", "-1", "70000"])
def test_an_invalid_port_flag_is_wrong_usage(tmp_path: Path, value: str) -> None:
    result = userkeep("serve", "--port", value, folder=tmp_path)
    assert result.returncode == 2
    assert "port" in result.stderr.lower()
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql://jane:hunter2@db.example/userkeep"
    for command in ON_A_DATABASE:
        result = userkeep(*on_database(command, url), folder=tmp_path)
        assert result.returncode != 0
        assert "hunter2" not in result.stdout + result.stderr
        assert "db.example" in result.stdout + result.stderr


LOADED = """
import sys
{statement}
loaded = {{name.partition(".")[0] for name in sys.modules}}
drivers = {{"apsw", "psycopg", "httpx2"}}
servers = {{"starlette", "uvicorn", "uvloop", "httptools"}}
print(*sorted(loaded & (drivers | servers | {{"click", "rich"}})))
"""


def loaded_after(statement: str) -> set[str]:
    """Return the dependencies that are imported after a statement."""
    code = LOADED.format(statement=statement)
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_imports_no_dependency() -> None:
    assert loaded_after("import userkeep") == set()


def test_importing_the_command_line_imports_only_click() -> None:
    assert loaded_after("import userkeep.cli") == {"click"}


def test_it_also_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "userkeep", "--version"]
    run = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=True)
    assert run.stdout == f"userkeep, version {__version__}\n"


@pytest.mark.parametrize(
    ("shell", "sign"),
    [("bash", "complete -o"), ("zsh", "#compdef userkeep"), ("fish", "--command userkeep")],
)
def test_a_completion_script_is_printed(tmp_path: Path, shell: str, sign: str) -> None:
    result = userkeep("completion", shell, folder=tmp_path)
    assert result.returncode == 0
    assert sign in result.stdout
    assert f"_USERKEEP_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("userkeep users l", ["list"]),
        ("userkeep users ", ["add", "list", "show", "update", "delete"]),
        ("userkeep users g", ["get"]),
        ("userkeep users get --js", ["--json"]),
        ("userkeep --url http://localhost users u", ["update"]),
        ("userkeep --database a.db sessions reo", ["reopen"]),
        ("userkeep --json users show --data", ["--database"]),
        ("userkeep --da", ["--database"]),
    ],
)
def test_commands_and_options_are_completed(
    tmp_path: Path, words: str, completions: list[str]
) -> None:
    asked = {
        "_USERKEEP_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    shown = userkeep(folder=tmp_path, environment=asked).stdout
    assert shown.splitlines() == [f"plain,{each}" for each in completions]
