"""The Dockerfile and the compose file: linted, and what matters in them.

No image is built here, because that needs a registry. test_installation.py runs the commands.
"""

import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from devtools.commands import ROOT
from tests.deploy.files import (
    COMPOSE,
    DOCKERFILE,
    compose,
    image_environment,
    instructions,
    only,
)

HADOLINT = Path(sys.executable).with_name("hadolint")


def test_hadolint_finds_nothing() -> None:
    checked = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_in_the_checkout_and_not_ignored() -> None:
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    for each in instructions():
        if each.name == "COPY" and "--from" not in each.argument:
            for name in each.argument.split()[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in ignored


def test_only_the_first_stage_uses_the_network_and_all_is_locked() -> None:
    installing = [each for each in instructions() if "pip" in each.argument and each.name == "RUN"]
    assert [each.stage for each in installing] == [1, 1, 2]
    assert "--require-hashes" in installing[0].argument
    assert all("--no-index" in each.argument for each in installing[1:])


def test_the_image_runs_the_server_without_privileges_and_stops_it_by_a_signal() -> None:
    assert only("USER") == "10001:10001"
    assert json.loads(only("ENTRYPOINT")) == ["userkeep"]
    assert json.loads(only("CMD")) == ["serve"]
    assert only("STOPSIGNAL") == "SIGTERM"
    assert image_environment()["USERKEEP_HOST"] == "0.0.0.0"
    assert "USERKEEP_PORT" not in image_environment(), "it would override the PORT of a platform"
    assert image_environment()["USERKEEP_DATABASE_URL"].startswith(f"sqlite:///{only('VOLUME')}/")


def test_the_compose_file_has_the_form_of_the_specification() -> None:
    schemas = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    jsonschema.validate(compose(), schema)


@pytest.mark.parametrize("name", ["userkeep", "postgres"])
def test_a_service_has_no_privileges_and_a_read_only_root(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all("noexec,nosuid,nodev" in each for each in service["tmpfs"])
    assert "cap_add" not in service or name == "postgres"


def test_a_server_of_the_compose_file_is_reached_from_this_machine_alone() -> None:
    services = compose()["services"]
    assert services["userkeep"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in services["postgres"]
    assert services["userkeep"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_secrets_are_files_that_the_operator_names() -> None:
    document = compose()
    used = {name for each in document["services"].values() for name in each["secrets"]}
    assert used == document["secrets"].keys()
    for name, secret in document["secrets"].items():
        assert re.fullmatch(rf"\$\{{SECRETS:\?[^}}]+\}}/{name}", secret["file"])
    for path in re.findall(r"/run/secrets/([\w-]+)", COMPOSE.read_text()):
        assert path in used


def test_a_variable_without_a_value_is_an_error_and_has_no_default() -> None:
    variables = re.findall(r"\$\{([^}]*)\}", COMPOSE.read_text())
    assert variables
    assert all(re.fullmatch(r"[A-Z_]+:\?.+", each) for each in variables)


def test_the_build_of_the_compose_file_is_that_of_the_dockerfile() -> None:
    build = compose()["services"]["userkeep"]["build"]
    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] == DOCKERFILE
    [line] = [each for each in DOCKERFILE.read_text().splitlines() if "docker build --file" in each]
    assert str(DOCKERFILE.relative_to(ROOT)) in shlex.split(line.lstrip("# "))
