"""The wheel, installed in an empty environment."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from devtools.ports import free_port
from tests.packaging.commands import ROOT, UV, run
from userkeep.version import __version__

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
)

FIVE_LINES = """
from userkeep import Userkeep

with Userkeep.open("memory.db") as client:
    client.user.add(user_id="jane", email="jane@example.com")
    print(client.user.get("jane").email, client.user.delete("jane").state)
"""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and its dependencies, none compiled here."""
    environment = tmp_path_factory.mktemp("empty") / "environment"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment, folder=environment.parent)
    python = environment / "bin" / "python"
    options = ("--quiet", "--only-binary", ":all:", "--python", python)
    run(UV, "pip", "install", *options, wheel, folder=environment.parent)
    return environment / "bin"


def test_an_app_of_five_lines_runs(programs: Path, tmp_path: Path) -> None:
    printed = run(programs / "python", "-W", "error", "-c", FIVE_LINES, folder=tmp_path)
    assert printed == "jane@example.com deleted\n"


def test_the_command_and_the_module_are_the_same_program(programs: Path, tmp_path: Path) -> None:
    by_name = run(programs / "userkeep", "--version", folder=tmp_path)
    assert by_name == run(programs / "python", "-m", "userkeep", "--version", folder=tmp_path)
    assert __version__ in by_name


def test_the_server_starts_and_stops(programs: Path, tmp_path: Path) -> None:
    port = free_port()
    serving = subprocess.Popen(
        [programs / "userkeep", "serve", "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    with serving:
        assert serving.stdout is not None
        assert f"http://127.0.0.1:{port}" in serving.stdout.readline()
        serving.terminate()
    assert serving.returncode == 0
    assert (tmp_path / "userkeep-data" / "userkeep.db").exists()


def test_the_command_runs_without_being_installed(wheel: Path, tmp_path: Path) -> None:
    options = ("tool", "run", "--quiet", "--python", sys.executable, "--from", wheel)
    assert __version__ in run(UV, *options, "userkeep", "--version", folder=tmp_path)


def test_the_wheel_contains_type_information(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "userkeep/py.typed" in archive.namelist()


def test_the_version_is_that_of_pyproject() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert described["project"]["version"] == __version__


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_no_dependency_has_to_be_compiled(python: str, platform: str, tmp_path: Path) -> None:
    options = ("--dry-run", "--quiet", "--only-binary", ":all:", "--target", tmp_path / "target")
    where = ("--python-version", python, "--python-platform", platform)
    locked = ROOT / "requirements" / "runtime.txt"
    run(UV, "pip", "install", *options, *where, "-r", locked, folder=tmp_path)
