"""The systemd unit, checked by `systemd-analyze`. systemd itself does not run here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.commands import ROOT
from tests.deploy.files import UNIT, unit
from tests.deploy.programs import find
from userkeep.cli.stopping import LIMIT_S
from userkeep.config import Settings

MOST_EXPOSURE = 1.0


@pytest.fixture
def local_unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/userkeep/bin/userkeep", sys.executable))
    return path


def analyze(*words: object) -> str:
    """Run systemd-analyze, which must succeed, and return what it prints."""
    command = [str(find("systemd-analyze")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_valid(local_unit: Path) -> None:
    assert analyze("verify", local_unit) == ""


def test_the_unit_is_hardly_exposed(local_unit: Path) -> None:
    threshold = f"--threshold={round(MOST_EXPOSURE * 10)}"
    report = analyze("security", "--offline=true", "--no-pager", threshold, local_unit)
    exposure = re.search(r"Overall exposure level for userkeep.service: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_the_unit_waits_longer_than_a_stop_takes_and_never_for_a_start() -> None:
    assert float(unit("TimeoutStopSec")[0]) > LIMIT_S
    assert unit("TimeoutStartSec") == ["infinity"]


def test_the_limit_of_open_files_is_enough_for_the_default_settings() -> None:
    assert int(unit("LimitNOFILE")[0]) > 2 * Settings().max_connections


def test_the_secret_and_the_key_are_credentials() -> None:
    named = {each.partition(":")[0] for each in unit("LoadCredential")}
    used = {value for each in unit("Environment") for value in re.findall(r"%d/(\S+)", each)}
    assert named == used == {"secret", "api-key"}


def test_the_page_installs_locked_wheels_where_the_unit_runs_them() -> None:
    page = (ROOT / "docs" / "operations" / "deploy" / "systemd.md").read_text()
    assert f"python3 -m venv {Path(unit('ExecStart')[0].split()[0]).parents[1]}\n" in page
    locked = "requirements/runtime.txt"
    assert f"--require-hashes --requirement {locked}\n" in page
    assert (ROOT / locked).exists()
    assert "flit-core==" in (ROOT / locked).read_text(), "else there is nothing to build with"
    assert "--no-deps --no-build-isolation .\n" in page
