"""The files in deploy/, as the tests read them."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from devtools.commands import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
COMPOSE = DEPLOY / "docker" / "compose.yaml"
UNIT = DEPLOY / "systemd" / "userkeep.service"
NGINX = DEPLOY / "nginx" / "userkeep.conf"
CADDYFILE = DEPLOY / "caddy" / "Caddyfile"
KUBERNETES = DEPLOY / "kubernetes"


def all_files() -> list[Path]:
    """Return every file in deploy/."""
    return sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def without_comments(text: str) -> str:
    """Return a text without lines that are comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


class Instruction(NamedTuple):
    """An instruction of a Dockerfile.

    Attributes:
        stage: how many FROM come before it.
    """

    stage: int
    name: str
    argument: str


def instructions() -> Iterator[Instruction]:
    """Yield the instructions of the Dockerfile."""
    text = re.sub(r"\\\n\s*", "", without_comments(DOCKERFILE.read_text()))
    stage = 0
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, argument = line.partition(" ")
        stage += name == "FROM"
        yield Instruction(stage, name, argument)


def only(name: str) -> str:
    """Return the argument of the only instruction with a name."""
    [found] = [each.argument for each in instructions() if each.name == name]
    return found


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile sets."""
    return dict(pair.split("=", 1) for pair in shlex.split(only("ENV")))


def health_check() -> list[str]:
    """Return the command of the Dockerfile's health check."""
    command: list[str] = json.loads(only("HEALTHCHECK").partition(" CMD ")[2])
    return command


def compose() -> dict[str, Any]:
    """Return the compose file."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def unit_lines() -> list[tuple[str, str]]:
    """Return the options of the unit, in order."""
    pairs = (line.partition("=") for line in without_comments(UNIT.read_text()).splitlines())
    return [(name, value) for name, equals, value in pairs if equals]


def unit(name: str) -> list[str]:
    """Return the values of an option of the unit."""
    return [value for each, value in unit_lines() if each == name]


def unit_environment(credentials: Path, state: Path) -> dict[str, str]:
    """Return the variables that the unit sets, with the folders of a test.

    Args:
        credentials: the folder in place of that of systemd.
        state: the folder in place of /var/lib.
    """
    found = dict(each.split("=", 1) for each in unit("Environment"))
    return {
        name: value.replace("%d", str(credentials)).replace("/var/lib", str(state))
        for name, value in found.items()
    }


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the Kubernetes objects of all files."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def workloads() -> list[dict[str, Any]]:
    """Return the objects with pods."""
    return [each for _, each in manifests() if each["kind"] == "StatefulSet"]
