"""`userkeep serve` as a platform runs it: its port, signals, exit codes and log records."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import apsw
import pytest

from devtools.ports import free_port
from tests.cli.running import environment_of, is_sentence, userkeep, userkeep_process
from tests.serving import USERKEEP, serving
from userkeep import Userkeep

LINKS = {
    "USERKEEP_PORT": "tcp://10.0.0.1:8000",
    "USERKEEP_SERVICE_HOST": "10.0.0.1",
    "USERKEEP_SERVICE_PORT": "8000",
    "USERKEEP_SERVICE_PORT_HTTP": "8000",
    "USERKEEP_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "USERKEEP_PORT_8000_TCP_PROTO": "tcp",
    "USERKEEP_PORT_8000_TCP_PORT": "8000",
    "USERKEEP_PORT_8000_TCP_ADDR": "10.0.0.1",
}
JSON = {"USERKEEP_LOG_FORMAT": "json"}


@contextmanager
def started(
    folder: Path, *flags: str, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a server without options of the tests; stop it at the end."""
    process = subprocess.Popen(
        [USERKEEP, "serve", *flags],
        cwd=folder,
        env=environment_of(environment),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
    assert process.returncode == 0


def url_in_banner(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().split()[-1]


def json_error(result: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the only log record of a server that did not start."""
    assert result.stdout == ""
    record = json.loads(result.stderr)
    assert isinstance(record, dict)
    assert record["level"] == "critical"
    return record


# The port.


def test_a_port_that_is_set_for_userkeep_overrides_that_of_the_platform(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for flags, settings in (
            ((), {"PORT": "not read", "USERKEEP_PORT": port}),
            (("--port", port), {"PORT": "not read", "USERKEEP_PORT": "not read either"}),
        ):
            result = userkeep("serve", *flags, folder=tmp_path, environment=settings)
            assert f"Port {port} on 127.0.0.1 is already in use." in result.stderr


@pytest.mark.parametrize("port", ["http", "-1", "65536", "tcp://10.0.0.1:80", "²"])
def test_a_wrong_port_of_the_platform_is_rejected_by_name(tmp_path: Path, port: str) -> None:
    result = userkeep("serve", folder=tmp_path, environment={"PORT": port})
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert result.stderr.startswith(f"userkeep: PORT must be a port from 0 to 65535, not {port!r}")
    assert list(tmp_path.iterdir()) == []


def test_commands_that_serve_nothing_ignore_the_port_of_the_platform(tmp_path: Path) -> None:
    result = userkeep("migrate", folder=tmp_path, environment={"PORT": "not read"})
    assert result.returncode == 0


def test_the_port_of_the_platform_is_served_and_variables_of_a_service_are_ignored(
    tmp_path: Path,
) -> None:
    port = free_port()
    settings = LINKS | JSON | {"PORT": str(port)}
    with started(tmp_path, environment=settings) as process:
        assert process.stderr
        warning, banner = (json.loads(process.stderr.readline()) for _ in range(2))
        assert warning["level"] == "warning"
        assert warning["message"].startswith(f"ignored {', '.join(sorted(LINKS))}: ")
        assert "enableServiceLinks: false" in warning["message"]
        assert f"http://127.0.0.1:{port}" in banner["message"]


def test_an_unknown_variable_is_rejected_with_the_nearest_one(tmp_path: Path) -> None:
    for name in ("USERKEEP_LOG_FROMAT", "USERKEEP_SERVICE_HOSTS", "USERKEEP_PORT_X_TCP"):
        result = userkeep("migrate", folder=tmp_path, environment={name: "json"})
        assert result.returncode == 2
        assert is_sentence(result.stderr)
        is_near = "(did you mean USERKEEP_LOG_FORMAT?)" in result.stderr
        assert is_near == (name == "USERKEEP_LOG_FROMAT")


# Signals.


def test_further_signals_change_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for number in cycle((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)):
            server.process.send_signal(number)
            time.sleep(0.002)
            if server.process.poll() is not None:
                break
        assert server.process.returncode == 0
        assert "Traceback" not in server.log.read_text()
    assert not (tmp_path / "userkeep.db-wal").exists()


def test_a_signal_before_the_server_is_ready_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(10)
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/userkeep"
        command = [USERKEEP, "serve", "--port", "0", "--database", url]
        options = {"cwd": tmp_path, "env": environment_of(), "stderr": subprocess.PIPE}
        for number in (signal.SIGTERM, signal.SIGQUIT):
            with subprocess.Popen(command, **options) as process:  # type: ignore[call-overload]
                connection, _ = silent.accept()  # the start waits for a response now
                with connection:
                    process.send_signal(number)
                    assert process.wait(10) == 0
                [line] = process.stderr.read().decode().splitlines()
                assert line.endswith("stopped by a signal before the server was ready")


# Systemd.


def test_the_service_manager_is_notified_of_start_and_stop(tmp_path: Path) -> None:
    name = f"userkeep-test-{os.getpid()}"  # an abstract socket; tests/deploy has one in a folder
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(10)
        with serving(tmp_path, settings={"NOTIFY_SOCKET": f"@{name}"}) as server:
            assert manager.recv(100) == b"READY=1"
            server.process.terminate()
            assert manager.recv(100) == b"STOPPING=1"
            assert server.process.wait(10) == 0


def test_a_service_manager_that_does_not_listen_is_no_reason_to_stop(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"NOTIFY_SOCKET": str(tmp_path / "none")}) as server:
        time.sleep(0.05)
    assert "the service manager did not get READY=1" in server.log.read_text()


# Exit codes.


def test_each_exit_code_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    with Userkeep.open(newer):
        pass
    with closing(apsw.Connection(str(newer))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    text = tmp_path / "text.db"
    text.write_text("not a database" * 100)
    for words, code, sentence in (
        (("--prot", "80"), 2, "No such option"),
        (("--port", "80000"), 2, "USERKEEP_PORT must be at most 65535"),
        (("--host", "0.0.0.0"), 2, "there is no API key"),
        (("--database", f"sqlite:///{newer}"), 1, "was made by a newer Userkeep"),
        (("--database", f"sqlite:///{text}"), 1, "is not a SQLite database"),
    ):
        result = userkeep("serve", "--port", "0", *words, folder=tmp_path)
        assert result.returncode == code
        assert sentence in result.stderr


def test_a_wrong_setting_in_json_is_one_record(tmp_path: Path) -> None:
    result = userkeep_process(
        "serve", "--log-format", "json", folder=tmp_path, environment={"PORT": "http"}
    )
    assert result.returncode == 2
    assert json_error(result)["message"].startswith("PORT must be a port")


def test_a_port_in_use_in_json_is_one_record(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = JSON | {"USERKEEP_PORT": str(other.getsockname()[1])}
        result = userkeep_process("serve", folder=tmp_path, environment=settings)
    assert result.returncode == 2
    assert "is already in use" in json_error(result)["message"]


def test_a_database_that_cannot_be_reached_in_json_is_one_record(tmp_path: Path) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/userkeep"
    settings = JSON | {"USERKEEP_DATABASE_URL": url}
    result = userkeep_process("serve", folder=tmp_path, environment=settings)
    assert result.returncode == 1
    assert "127.0.0.1" in json_error(result)["message"]
