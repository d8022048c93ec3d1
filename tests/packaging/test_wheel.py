"""The distributions: metadata and dependencies. tests/deploy installs and serves the wheel."""

import re
import sys
import zipfile
from itertools import product
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from devtools.commands import ROOT, UV, run
from devtools.release import (
    Problem,
    check_changelog,
    check_metadata,
    metadata_of,
    supported_pythons,
)
from tests.long.counts import IS_FULL
from userkeep.version import __version__

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
)

# In a usual run each of them once: a dry run asks the package index for each dependency.
PLACES = list(product(PYTHONS, PLATFORMS) if IS_FULL else zip(PYTHONS, PLATFORMS, strict=True))


def test_the_command_runs_without_being_installed(wheel: Path, tmp_path: Path) -> None:
    options = ("tool", "run", "--quiet", "--python", sys.executable, "--from", wheel)
    assert __version__ in run(UV, *options, "userkeep", "--version", folder=tmp_path)


def test_the_metadata_of_both_distributions_is_valid(distributions: list[Path]) -> None:
    assert supported_pythons() == set(PYTHONS)
    for file in distributions:
        check_metadata(metadata_of(file), set(PYTHONS))


def test_the_changelog_begins_with_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert check_changelog(text, __version__)
    for wrong in ("", "## 0.0.1 (2026-01-01)\n", f"## {__version__}\n", f"## {__version__} (soon)"):
        with pytest.raises(Problem, match="the first heading"):
            check_changelog(wrong, __version__)


def test_wrong_metadata_is_found(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("/METADATA")]
        text = archive.read(name).decode()
    for found, replaced, problem in (
        ("Typing :: Typed", "Typing :: Some", "unknown classifiers: Typing :: Some"),
        ("Classifier: Typing :: Typed\n", "", "is missing"),
        (f"Version: {__version__}", "Version: 9.9", "the version is 9.9"),
        ("text/markdown", "text/plain", "not Markdown"),
        ("\n\n", "\nProject-URL: Home, https://userkeep.example\n\n", "https://userkeep.example"),
        ("Requires-Python: >=3.11", "Requires-Python: >=3.12", "Requires-Python excludes"),
    ):
        assert found in text
        changed = Metadata.from_email(text.replace(found, replaced, 1), validate=True)
        with pytest.raises(Problem, match=re.escape(problem)):
            check_metadata(changed, set(PYTHONS))


@pytest.mark.parametrize(("python", "platform"), PLACES)
def test_no_dependency_has_to_be_compiled(python: str, platform: str, tmp_path: Path) -> None:
    options = ("--dry-run", "--only-binary", ":all:", "--target", tmp_path / "target")
    where = ("--python-version", python, "--python-platform", platform)
    locked = ROOT / "requirements" / "runtime.txt"
    patient = {"UV_HTTP_RETRIES": "10", "UV_HTTP_TIMEOUT": "60"}
    command = (UV, "pip", "install", *options, *where, "-r", locked)
    run(*command, folder=tmp_path, environment=patient)
