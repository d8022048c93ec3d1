"""Checks that a checkout can be released: `make release-check`. It publishes nothing.

It builds the source distribution and the wheel twice, validates their metadata, and installs each
into an empty environment of every supported Python on this machine, where it runs a small app, the
command and the server.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from packaging.metadata import Metadata
from packaging.version import Version
from trove_classifiers import classifiers, deprecated_classifiers

from devtools.commands import ROOT, UV, run
from userkeep.version import __version__

LOCKED = ROOT / "requirements" / "runtime.txt"

FIVE_LINES = """
from userkeep import Userkeep

with Userkeep.open("memory.db") as client:
    client.user.add(user_id="jane", email="jane@example.com")
    print(client.user.get("jane").email, client.user.delete("jane").state)
"""
PRINTED = "jane@example.com deleted\n"

_IS_TYPED = """
from importlib.resources import files

print(files("userkeep").joinpath("py.typed").is_file())
"""

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>unreleased|\d{4}-\d\d-\d\d)\)$", re.M)
_PYENV = "versions/*/bin/python3.*[0-9]"


class Problem(Exception):
    """Something must be changed before a release."""


class Python(NamedTuple):
    """An interpreter: its minor version, such as 3.12, and its path."""

    minor: str
    path: Path


def main() -> int:
    """Check everything; print what was checked."""
    try:
        for line in check():
            print(line, flush=True)
    except (Problem, AssertionError) as problem:
        print(f"not ready for a release: {problem}", file=sys.stderr)
        return 1
    return 0


def check() -> Iterator[str]:
    """Yield a line for each thing that is as it must be.

    Raises:
        Problem, AssertionError: something is not.
    """
    yield f"version {__version__}, in userkeep/version.py alone"
    date = check_changelog((ROOT / "CHANGELOG.md").read_text(), __version__)
    yield f"CHANGELOG.md begins with {__version__} ({date})"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = build(folder / "one", ROOT)
        if digests(built) != digests(build(folder / "two", ROOT)):
            raise Problem("two builds of the same files differ")
        for file in built:
            check_metadata(metadata_of(file), supported_pythons())
            yield f"{file.name}: reproducible, metadata valid, sha256 {digests([file])[0]}"
        yield from _check_installations(built, folder)
    if date == "unreleased":
        yield "To release, replace `unreleased` in CHANGELOG.md by the date."


def _check_installations(built: list[Path], folder: Path) -> Iterator[str]:
    pythons = find_pythons()
    for python in pythons:
        for file in built:
            check_installation(file, python, folder / f"{python.minor}-{file.suffix[1:]}")
            yield f"{file.name}: installed and served with Python {python.minor}"
    absent = sorted(supported_pythons() - {each.minor for each in pythons})
    if absent:
        yield f"not checked, because this machine has none: Python {', '.join(absent)}"


def check_changelog(text: str, version: str) -> str:
    """Return the date in the first heading of a changelog.

    Raises:
        Problem: the heading has another version, or another form.
    """
    heading = _HEADING.search(text)
    if heading is None or heading["version"] != version:
        raise Problem(f"the first heading of CHANGELOG.md must be `## {version} (YYYY-MM-DD)`")
    return heading["date"]


def build(folder: Path, source: Path) -> list[Path]:
    """Build the source distribution, and the wheel from it; return both.

    The build backend is that of the development environment.
    """
    options = ("--no-build-isolation", "--python", sys.executable, "--quiet")
    # The newest time that a file in an archive can have is then the same for each build.
    fixed = {"SOURCE_DATE_EPOCH": "1700000000"}
    run(UV, "build", *options, "-o", folder, source, folder=source, environment=fixed)
    return sorted([*folder.glob("*.tar.gz"), *folder.glob("*.whl")])


def digests(files: Iterable[Path]) -> list[str]:
    """Return the SHA-256 of each file."""
    return [sha256(file.read_bytes()).hexdigest() for file in files]


def metadata_of(file: Path) -> Metadata:
    """Read the metadata of a wheel or a source distribution.

    Raises:
        ExceptionGroup: it is not valid.
    """
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
            return Metadata.from_email(archive.read(name), validate=True)
    with tarfile.open(file) as archive:
        member = archive.extractfile(f"{file.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert member is not None
        return Metadata.from_email(member.read(), validate=True)


def check_metadata(metadata: Metadata, pythons: set[str]) -> None:
    """Check what an index would reject, and what must be true of this project.

    Args:
        metadata: that of a distribution, valid by its form.
        pythons: the minor versions in the classifiers.

    Raises:
        Problem: something is wrong.
    """
    given = metadata.classifiers or []
    unknown = [each for each in given if each not in classifiers or each in deprecated_classifiers]
    if unknown:
        raise Problem(f"unknown classifiers: {', '.join(unknown)}")
    if "Typing :: Typed" not in given:
        raise Problem("the classifier `Typing :: Typed` is missing")
    if str(metadata.version) != __version__:
        raise Problem(f"the version is {metadata.version}, not {__version__}")
    if metadata.description_content_type != "text/markdown":
        raise Problem("the description is not Markdown")
    addresses = [metadata.home_page, metadata.download_url, *(metadata.project_urls or {}).values()]
    addresses += [metadata.author_email, metadata.maintainer_email]
    if any(addresses):  # none of them exists yet
        raise Problem(f"addresses in the metadata: {', '.join(filter(None, addresses))}")
    if metadata.requires_python is None or not all(map(metadata.requires_python.contains, pythons)):
        raise Problem("Requires-Python excludes a version of the classifiers")


def supported_pythons() -> set[str]:
    """Return the minor versions of Python that the classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    return {f"3.{each.removeprefix(prefix)}" for each in project["classifiers"] if prefix in each}


def find_pythons() -> list[Python]:
    """Return one interpreter of each supported minor version that this machine has."""
    listed = run(UV, "python", "list", "--only-installed", "--output-format", "json", folder=ROOT)
    paths = [
        Path(each["path"]) for each in json.loads(listed) if each["implementation"] == "cpython"
    ]
    pyenv = shutil.which("pyenv")
    of_pyenv = Path(run(pyenv, "root", folder=ROOT).strip()).glob(_PYENV) if pyenv else ()
    found: dict[str, Python] = {}
    for path in (Path(sys.executable), *paths, *sorted(of_pyenv)):
        with suppress(OSError, subprocess.SubprocessError):
            code = "import sys; print(sys.version_info[0], sys.version_info[1], sep='.')"
            minor = subprocess.check_output([path, "-c", code], text=True, timeout=20).strip()
            found.setdefault(minor, Python(minor, path))
    supported = supported_pythons()
    return [found[each] for each in sorted(found, key=Version) if each in supported]


def check_installation(file: Path, python: Python, folder: Path) -> None:
    """Install a distribution into an empty environment, and use it there.

    Args:
        file: the wheel or the source distribution.
        folder: a new folder, for the environment and its data.

    Raises:
        AssertionError: something does not work.
    """
    folder.mkdir()
    programs = folder / "environment" / "bin"
    run(UV, "venv", "--quiet", "--python", python.path, programs.parent, folder=folder)
    install = (UV, "pip", "install", "--quiet", "--python", programs / "python")
    run(*install, "--require-hashes", "--only-binary", ":all:", "-r", LOCKED, folder=folder)
    run(*install, "--no-deps", "--no-build-isolation", file, folder=folder)
    run(UV, "pip", "check", "--quiet", "--python", programs / "python", folder=folder)
    check_programs(programs, folder)


def check_programs(programs: Path, folder: Path) -> None:
    """Run a small app, the command and the server of an environment.

    Raises:
        AssertionError: something does not work.
    """
    python = programs / "python"
    assert run(python, "-W", "error", "-c", FIVE_LINES, folder=folder) == PRINTED
    assert run(python, "-c", _IS_TYPED, folder=folder) == "True\n"
    by_name = run(programs / "userkeep", "--version", folder=folder)
    assert by_name == run(python, "-m", "userkeep", "--version", folder=folder)
    assert __version__ in by_name
    check_server([str(programs / "userkeep"), "serve", "--port", "0"], folder)


def check_server(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Start a server, and stop it when it is ready.

    Raises:
        AssertionError: it does not start or stop.
    """
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        serving.terminate()
    assert "listens on http://127.0.0.1:" in line
    assert serving.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
