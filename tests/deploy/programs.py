"""Programs that tests use if the machine has them."""

import os
import shutil
from pathlib import Path

import pytest

IN_CI = bool(os.environ.get("CI"))
INSTALLED_IN_CI = {"nginx", "caddy", "pgbouncer"}
"""Those that .ci/run installs."""


def find(name: str) -> Path:
    """Return the path of a program; skip the test without it, and fail if CI must have it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if IN_CI and name in INSTALLED_IN_CI:
            pytest.fail(f"{name} is not installed, and .ci/run must install it")
        pytest.skip(f"{name} is not installed")
    return Path(found)
