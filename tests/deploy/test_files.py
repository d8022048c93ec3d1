"""What all files in deploy/ have in common: real settings, no secrets, no invented addresses."""

import re
from pathlib import Path

import pytest

from tests.deploy.files import all_files, unit, without_comments
from userkeep.config import Settings, variable_of
from userkeep.version import __version__

_VARIABLE = re.compile(r"\bUSERKEEP_[A-Z_]+")
_FLAG = re.compile(r"(?<=\s)--[a-z-]+")
_ADDRESS = re.compile(r"https?://([\w.-]+)")
KNOWN = {variable_of(name) for name in Settings.__dataclass_fields__}


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", all_files(), ids=name_of)
def test_a_file_names_only_existing_settings(path: Path) -> None:
    # Kubernetes sets USERKEEP_PORT and others for a Service; the text is about that.
    assert set(_VARIABLE.findall(path.read_text())) <= KNOWN


@pytest.mark.parametrize("path", all_files(), ids=name_of)
def test_a_file_has_no_secret_no_version_and_no_invented_address(path: Path) -> None:
    text = path.read_text()
    assert __version__ not in text
    hosts = set(_ADDRESS.findall(text)) - {"127.0.0.1", "userkeep"}
    assert all(host.endswith("example.com") for host in hosts)
    for line in without_comments(text).splitlines():
        assert not re.search(r"(?i)password['\"]?\s*[:=]\s*['\"]?\w", line), line
        assert not re.search(r"postgresql://[^@/]*:[^@/]*@", line), line


def test_the_unit_runs_the_program_of_the_image() -> None:
    [command] = unit("ExecStart")
    assert command == "/opt/userkeep/bin/userkeep serve"
