"""The install commands in README and docs install what a wheel built from the tree contains.

Userkeep is not published, so its name on a package index may be someone else's package: the
commands must name a checkout.
"""

import re
import shutil
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from devtools.commands import ROOT, UV, run
from tests.docs.pages import DOCS, Block, all_pages, blocks_of

TEXTS = (*all_pages(), DOCS / "llms.txt", ROOT / "CONTRIBUTING.md")
NOT_IN_A_CHECKOUT = shutil.ignore_patterns(
    ".*", "_build", "__pycache__", "userkeep-data", "node_modules"
)

_FOR_DOCS = {"fastapi"}
"""What the examples of the documentation use, in the versions of development.txt."""

_COMMAND = re.compile(
    r"\b(?:(?:uv )?pip3? install|uv tool install|uv add|pipx install)(?: +(?P<what>[^`\n#&;|]+))?"
    r"|\buvx +(?P<tool>[^`\n#&;|]+)"
)
_CHECKOUT = re.compile(
    r"(?P<quote>'?)(?P<path>\.|\.\./userkeep)(?:\[(?P<extras>[\w,-]+)\])?(?P=quote)"
)


class Install(NamedTuple):
    """One requirement of an install command, and the place of the command."""

    place: str
    what: str


def installs() -> Iterator[Install]:
    """Yield what the install commands of all texts install."""
    for path in TEXTS:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for command in _COMMAND.finditer(line):
                words = (command["what"] or command["tool"] or "").split()
                place = f"{path.relative_to(ROOT)}:{number}"
                yield from (Install(place, word) for word in words if not word.startswith("-"))


def install_blocks() -> list[Block]:
    """Return the blocks that install a checkout."""
    blocks = [block for page in all_pages() for block in blocks_of(page)]
    found = [block for block in blocks if _COMMAND.search(block.code)]
    return [block for block in found if any(map(_CHECKOUT.fullmatch, block.code.split()))]


class Metadata(NamedTuple):
    """The metadata of the wheel."""

    name: str
    extras: set[str]


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Metadata:
    """Read the metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        headers = HeaderParser().parsestr(archive.read(name).decode())
    return Metadata(str(headers["Name"]), set(headers.get_all("Provides-Extra") or ()))


def test_there_are_install_commands() -> None:
    found = {install.what for install in installs()}
    assert {".", "../userkeep", "zep-python==1.5.0"} <= found


@pytest.mark.parametrize("install", sorted(set(installs())), ids=lambda install: install.place)
def test_a_command_installs_a_checkout_or_a_tested_client(
    install: Install, metadata: Metadata
) -> None:
    checkout = _CHECKOUT.fullmatch(install.what)
    if checkout is not None:
        assert set(filter(None, (checkout["extras"] or "").split(","))) <= metadata.extras
        return
    name = re.split(r"[^\w.-]", install.what)[0].lower().replace("_", "-")
    assert name != metadata.name, "it is not published"
    tested = (ROOT / "requirements" / "zep-python.in").read_text().splitlines()
    assert install.what in {requirement.replace(" ", "") for requirement in tested} | _FOR_DOCS


@pytest.mark.parametrize("block", install_blocks(), ids=lambda block: block.place)
def test_a_block_that_installs_a_checkout_installs_the_wheel(
    block: Block, wheel: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT, tmp_path / "userkeep", ignore=NOT_IN_A_CHECKOUT)
    is_beside = "../userkeep" in block.code
    folder = tmp_path if is_beside else tmp_path / "userkeep"
    environment = tmp_path / "environment"
    if "-m venv" not in block.code:
        # With pip, as `python -m venv` makes it, which takes seconds.
        options = ("--quiet", "--seed", "--python", UV.with_name("python"))
        run(UV, "venv", *options, environment, folder=tmp_path)
    variables = {
        "PATH": f"{environment / 'bin'}:{UV.parent}:/usr/bin:/bin",
        "PIP_NO_DEPS": "1",  # test_wheel.py installs the dependencies
        "PIP_COMPILE": "0",  # bytecode is not compared
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
    }
    run("bash", "-c", f"set -eu\n{block.code}", folder=folder, environment=variables)
    installed = list(tmp_path.glob("**/site-packages/userkeep"))
    assert len(installed) == len(_COMMAND.findall(block.code))
    for package in installed:
        assert files_of_package(package) == files_of_wheel(wheel)


def files_of_wheel(wheel: Path) -> dict[str, str]:
    """Return the hash of each file of the package in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if PurePosixPath(name).parts[0] == "userkeep"
        }


def files_of_package(package: Path) -> dict[str, str]:
    """Return the hash of each file of an installed package."""
    return {
        path.relative_to(package.parent).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
