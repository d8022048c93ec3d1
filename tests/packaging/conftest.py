"""The wheel that is built from the tree."""

import sys
from pathlib import Path

import pytest

from tests.packaging.commands import ROOT, UV, run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--wheel", "--no-build-isolation", "--python", sys.executable, "--quiet")
    run(UV, "build", *options, "-o", folder, ROOT, folder=folder)
    [built] = folder.glob("*.whl")
    return built
