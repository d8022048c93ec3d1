"""`userkeep serve --uds`: a Unix socket instead of a port."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.cli.running import environment_of, is_sentence, userkeep, userkeep_process
from tests.logs import check_log
from tests.serving import USERKEEP
from userkeep import AsyncUserkeep, Userkeep
from userkeep.storage.sqlite.file_lock import read_lock_holder

START_S = 60


class UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def status_of(path: Path, headers: Mapping[str, str] = {}) -> int:
    """Return the status of a request to a socket."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/v1/users", headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def serving_on_socket(
    folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """Run a server on a socket; yield its path and the process. The log must be clean."""
    path, log = folder / "u.sock", folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(USERKEEP), "serve", "--uds", "u.sock", "--database", "sqlite:///userkeep.db"],
            cwd=folder,
            env=environment_of(settings),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        ends = time.monotonic() + START_S
        while "listens on" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends
            time.sleep(0.02)
        yield path, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)
        check_log(log, folder)


def test_a_server_on_a_socket_serves_and_stops(tmp_path: Path) -> None:
    with serving_on_socket(tmp_path) as (path, process):
        banner = (tmp_path / "log").read_text()
        assert f"listens on unix:{path}\n" in banner
        assert "auth      off: every program that may open the socket" in banner
        status = path.lstat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o660
        for host in ("localhost", "127.0.0.1:8000"):
            assert status_of(path, {"Host": host}) == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert status_of(path, headers) == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not path.exists()


def test_a_proxy_on_a_socket_is_trusted_if_the_setting_names_it(tmp_path: Path) -> None:
    headers = {"Host": "localhost", "Origin": "https://localhost", "X-Forwarded-Proto": "https"}
    with serving_on_socket(tmp_path) as (path, _):
        assert status_of(path, headers) == 403
    settings = {"USERKEEP_FORWARDED_ALLOW_IPS": "unix"}
    with serving_on_socket(tmp_path, settings) as (path, _):
        assert status_of(path, headers) == 200
        assert status_of(path, headers | {"X-Forwarded-For": "192.0.2.1"}) == 200


def test_commands_and_clients_use_the_socket_and_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with serving_on_socket(tmp_path) as (path, _):
        holder = read_lock_holder(str(tmp_path / "userkeep.db"))
        assert holder
        assert holder.url == f"unix:{path}"
        added = userkeep("users", "add", "jane", "--database", "userkeep.db", folder=tmp_path)
        assert (added.returncode, added.stderr) == (0, "")
        shown = userkeep("users", "show", "jane", "--url", f"unix:{path}", folder=tmp_path)
        assert shown.returncode == 0
        with Userkeep(f"unix:{path}") as client:
            assert client.user.get("jane").user_id == "jane"


def test_an_async_client_uses_the_socket(tmp_path: Path) -> None:
    async def add_user(url: str) -> str:
        async with AsyncUserkeep(url) as client:
            return (await client.user.add(user_id="jane")).user_id

    with serving_on_socket(tmp_path) as (path, _):
        assert asyncio.run(add_user(f"unix:{path}")) == "jane"


def test_the_socket_of_a_crashed_server_is_replaced(tmp_path: Path) -> None:
    with serving_on_socket(tmp_path) as (path, process):
        process.kill()
        process.wait(timeout=30)
        assert path.exists()
    with serving_on_socket(tmp_path) as (path, _):
        assert status_of(path) == 200


def test_the_socket_of_a_running_server_is_kept(tmp_path: Path) -> None:
    with serving_on_socket(tmp_path) as (path, _):
        other = userkeep_process(
            "serve", "--uds", "u.sock", "--database", "sqlite:///other.db", folder=tmp_path
        )
        assert other.returncode == 2
        assert is_sentence(other.stderr)
        assert f"Another program listens on the Unix socket {path}" in other.stderr
        assert not (tmp_path / "other.db").exists()
        assert status_of(path) == 200


def test_a_server_does_not_remove_the_socket_that_replaced_its_own(tmp_path: Path) -> None:
    with serving_on_socket(tmp_path) as (path, process):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "symbolic link", "named pipe"])
def test_only_a_socket_is_ever_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "u.sock"
    if kind == "file":
        path.write_text("important")
    elif kind == "folder":
        path.mkdir()
    elif kind == "symbolic link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    before = path.lstat()
    result = userkeep("serve", "--uds", "u.sock", folder=tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert f"{path} is a {kind}, not a Unix socket" in result.stderr
    assert path.lstat() == before
    assert [each.name for each in tmp_path.iterdir()] == ["u.sock"]


@pytest.mark.parametrize("path", ["missing/u.sock", "x" * 120, "x" * 300])
def test_a_path_that_cannot_be_used_is_rejected(tmp_path: Path, path: str) -> None:
    result = userkeep("serve", "--uds", path, folder=tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "Cannot listen on the Unix socket" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_client_of_a_missing_socket_gets_an_error(tmp_path: Path) -> None:
    url = f"unix:{tmp_path}/missing.sock"
    # In a process: the HTTP library leaves its socket to the garbage collector, with a warning.
    result = userkeep_process("users", "list", "--url", url, folder=tmp_path)
    assert result.returncode == 5
    assert is_sentence(result.stderr)
    assert f"Cannot connect to {url}" in result.stderr
