"""The distributions that are built from the tree."""

from pathlib import Path

import pytest

from devtools.commands import ROOT
from devtools.release import build


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Build the source distribution and the wheel."""
    return build(tmp_path_factory.mktemp("distributions"), ROOT)


@pytest.fixture(scope="session")
def wheel(distributions: list[Path]) -> Path:
    """Return the wheel."""
    [built] = [each for each in distributions if each.suffix == ".whl"]
    return built
