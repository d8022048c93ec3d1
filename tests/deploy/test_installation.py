"""The wheels of the Dockerfile, installed and served as the systemd unit does it.

The Dockerfile's commands run outside of Docker: everything but its last stage, which makes a user
and a folder. The program runs as the user nobody without any capability, if the tests may do that:
with the unit's settings, a folder for the data and a folder with credentials, in a working
directory that it cannot write to, without HOME. What only systemd or Docker does is not tested: the
sandbox, the volumes and the networks.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devtools.ports import free_port
from devtools.release import check_programs
from tests.cli.running import userkeep
from tests.deploy.files import compose, health_check, unit, unit_environment
from tests.deploy.installation import (
    AS_NOBODY,
    NOBODY,
    can_become_nobody,
    install,
    readable_python,
)
from tests.postgres import postgres_server
from userkeep.version import __version__

KEY = "0123456789abcdef" * 2


class Host:
    """A machine with the unit: the installed program, and the folders that systemd makes."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = folder
        self.programs = environment / "bin"
        self.state = folder / "state" / "userkeep"
        self.ledger = folder / "state" / "userkeep-ledger"
        self.log = folder / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._credentials = folder / "credentials"
        self._make_folders()

    def _make_folders(self) -> None:
        assert unit("StateDirectory") == [f"{self.state.name} {self.ledger.name}"]
        made = (self.state, self.ledger, self._credentials)
        for each in made:
            each.parent.mkdir(exist_ok=True)
            each.mkdir(mode=0o700)
        for name, text in (("secret", "s" * 64), ("api-key", KEY)):
            (self._credentials / name).write_text(text)
            (self._credentials / name).chmod(0o400)
        (self.folder / "working").mkdir(mode=0o555)
        if can_become_nobody():
            for each in (*made, *self._credentials.iterdir()):
                os.chown(each, NOBODY, NOBODY)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the unit, and nothing else."""
        variables = unit_environment(self._credentials, self.state.parent)
        return variables | {"USERKEEP_PORT": str(self.port), "PATH": "/usr/bin:/bin"}

    def command(self, *words: str) -> list[str]:
        """Return a command of the program, as the user of the server."""
        prefix = AS_NOBODY if can_become_nobody() else ()
        return [*prefix, str(self.programs / "userkeep"), *words]

    def run(self, *words: str) -> str:
        """Run a command to its end."""
        return subprocess.check_output(
            self.command(*words), env=self.environment, cwd=self.folder / "working", text=True
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run ExecStart until the service manager is notified; stop it at the end."""
        [start] = unit("ExecStart")
        with (
            self.log.open("a") as log,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        ):
            manager.bind(str(self.folder / "notify"))
            (self.folder / "notify").chmod(0o777)
            manager.settimeout(30)
            with subprocess.Popen(
                self.command(*start.split()[1:]),
                env=self.environment | {"NOTIFY_SOCKET": str(self.folder / "notify")},
                cwd=self.folder / "working",
                umask=0o077,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process:
                assert manager.recv(100) == b"READY=1"
                try:
                    yield
                finally:
                    process.terminate()
                assert manager.recv(100) == b"STOPPING=1"
        assert process.returncode == 0


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Install the program."""
    python = readable_python() or Path(sys.executable)
    # Not in the folder of pytest, which only its own user can enter.
    with tempfile.TemporaryDirectory(prefix="userkeep-deploy-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Host(folder, install(folder, python))


def request(url: str, key: str | None = KEY, body: Any = None, method: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, headers | {"Content-Type": "application/json"})
    if method is not None:
        asked.method = method
    with urllib.request.urlopen(asked, timeout=10) as response:
        return response.read().decode()


def is_healthy(host: Host, **environment: str) -> bool:
    """Run the health check of the Dockerfile."""
    program, *rest = health_check()
    command = [str(host.programs / program), *rest]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def test_only_locked_wheels_are_installed_and_no_pip(host: Host) -> None:
    assert (host.programs / "userkeep").exists()
    assert not list(host.programs.glob("pip*"))
    [packages] = host.programs.parent.glob("lib/python3*/site-packages")
    locked = (host.folder / "source" / "requirements" / "image.txt").read_text()
    for each in packages.glob("*.dist-info"):
        name, _, version = each.name.removesuffix(".dist-info").partition("-")
        pinned = f"{name.lower().replace('_', '-')}=={version}"
        assert name == "userkeep" or pinned in locked.lower().replace("_", "-")


def test_an_app_the_command_and_the_server_run(host: Host, tmp_path: Path) -> None:
    check_programs(host.programs, tmp_path)
    assert (tmp_path / "userkeep-data" / "userkeep.db").exists()


def test_the_unit_serves_as_a_user_without_privileges(host: Host) -> None:
    with host.serving():
        assert request(f"{host.url}/readyz", key=None)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            request(f"{host.url}/v1/users", key=None)
        assert '"jane"' in request(f"{host.url}/v1/users", body={"user_id": "jane"})
        made = host.run("keys", "create", "--scope", "admin", "--json")
        assert '"jane"' in request(f"{host.url}/v1/users", key=json.loads(made)["key"])
        assert "deleted" in request(f"{host.url}/v1/users/jane", method="DELETE")
        assert is_healthy(host, USERKEEP_PORT=str(host.port))
        assert is_healthy(host, PORT=str(host.port))
    log = host.log.read_text()
    assert f"Userkeep {__version__} listens on {host.url}" in log
    assert "WARNING" not in log
    files = {each.name: each for each in (*host.state.iterdir(), *host.ledger.iterdir())}
    assert files.keys() == {"userkeep.db", "userkeep.db.lock", "userkeep.ledger"}
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in files.values())
    owner = NOBODY if can_become_nobody() else os.geteuid()
    assert {each.stat().st_uid for each in files.values()} == {owner}
    assert not is_healthy(host, USERKEEP_PORT=str(host.port))
    if not can_become_nobody():
        pytest.skip("it ran, but as the user of the tests: not root, or no Python for all users")


def test_a_first_key_can_be_created_with_the_settings_of_the_compose_file(tmp_path: Path) -> None:
    """As `docker compose run --rm userkeep keys create --scope admin` does."""
    service = compose()["services"]["userkeep"]
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for name in service["secrets"]:
        (secrets / name).write_text(KEY)
        (secrets / name).chmod(0o600)
    variables = {
        name: re.sub("/run/secrets|/var/lib/userkeep-ledger", str(secrets), value)
        for name, value in service["environment"].items()
        if name != "PGPASSFILE"
    }
    variables["USERKEEP_DATABASE_URL"] = postgres_server().new_database()
    words = ("keys", "create", "--scope", "admin", "--json")
    created = userkeep(*words, folder=tmp_path, environment=variables)
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["scope"] == "admin"
    assert {each.name for each in tmp_path.iterdir()} == {"secrets"}
