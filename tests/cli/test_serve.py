"""`userkeep serve`: how it starts, when it does not start, and how it stops."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from devtools.ports import free_port
from tests.cli.running import environment_of, is_sentence, userkeep, userkeep_process
from tests.serving import USERKEEP, Server, serving
from userkeep import __version__
from userkeep.storage.sqlite.file_lock import read_lock_holder


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read().decode())


def post(url: str, body: Any) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        return int(response.status)


@contextmanager
def half_sent(server: Server, path: str, body: bytes) -> Iterator[http.client.HTTPConnection]:
    """Send the head and half of the body of a request."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        connection.send(body[: len(body) // 2])
        time.sleep(0.3)
        yield connection


# Starting.


def test_the_banner_has_address_database_and_authentication(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        lines = server.log.read_text().splitlines(keepends=True)
        assert "".join(lines[:5]) == (
            f"Userkeep {__version__} listens on {server.url}\n"
            f"  database  SQLite, {tmp_path}/userkeep.db (created)\n"
            "  auth      off: every program on this machine has access, web pages do not\n"
            f"  docs      {server.url}/docs\n"
            f"  console   {server.url}/console\n"
        )
        assert get(f"{server.url}/healthz") == "."
        assert get(f"{server.url}/docs").startswith("<!")


def test_by_default_the_data_is_in_a_folder_beside(tmp_path: Path) -> None:
    with serving(tmp_path, database_url="sqlite:///userkeep-data/userkeep.db") as server:
        assert post(f"{server.url}/v1/users", {"user_id": "jane"}) == 201
    assert {each.name for each in (tmp_path / "userkeep-data").iterdir()} == {
        "userkeep.db",
        "userkeep.db.lock",
        "userkeep.db.secret",
    }


def test_the_banner_names_an_in_memory_database(tmp_path: Path) -> None:
    with serving(tmp_path, database_url="sqlite:///:memory:") as server:
        assert "database  SQLite in memory (created)\n" in server.log.read_text()
        assert post(f"{server.url}/v1/users", {"user_id": "jane"}) == 201
    assert [each.suffix for each in tmp_path.iterdir()] == [".log"]


def test_it_starts_quickly(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    began = time.monotonic()
    with serving(tmp_path):
        took = time.monotonic() - began
    print(f"ready after {took:.2f} s")
    assert took < 5  # the budget of half a second is the benchmark's to watch


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_every_loopback_address_can_be_served(tmp_path: Path, host: str) -> None:
    server = Server(tmp_path, settings={"USERKEEP_HOST": host})
    try:
        url = f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
        for _ in range(100):
            if server.log.read_text():
                break
            time.sleep(0.05)
        assert f"listens on {url}\n" in server.log.read_text()
        assert get(f"{url}/healthz") == "."
    finally:
        assert server.stop() == 0


def test_the_banner_and_the_lock_have_the_port_that_the_system_chose(
    tmp_path: Path,
) -> None:
    database = tmp_path / "userkeep.db"
    command = [str(USERKEEP), "serve", "--port", "0", "--database", f"sqlite:///{database}"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[-1]
            assert get(f"{url}/healthz") == "."
            owner = read_lock_holder(str(database))
            assert owner
            assert owner.url == url
        finally:
            process.terminate()


# Not starting.


def test_an_address_that_others_can_reach_is_rejected_with_advice(tmp_path: Path) -> None:
    result = userkeep_process("serve", "--host", "0.0.0.0", folder=tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "Other machines can reach 0.0.0.0" in result.stderr
    assert "127.0.0.1" in result.stderr
    assert "--insecure-no-auth" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--allowed-host", "https://userkeep.example.com"),
        ("--allowed-host", "userkeep.example.com/path"),
        ("--allowed-host", "*"),
        ("--allowed-host", "*.com"),
        ("--allowed-host", "*.10.0.0.1"),
        ("--allowed-host", "a.*.example.com"),
        ("--allowed-host", "user@example.com"),
        ("--allowed-host", "example.com:0"),
        ("--allowed-host", "example.com:65536"),
        ("--allowed-host", "2001:db8::1"),
        ("--allowed-host", "[2001:db8::g]"),
        ("--allowed-host", "[10.0.0.1]"),
        ("--allowed-host", "exämple.com"),
        ("--cors-origin", "*"),
        ("--cors-origin", "null"),
        ("--cors-origin", "app.example.com"),
        ("--cors-origin", "https://app.example.com/"),
        ("--cors-origin", "https://*.example.com"),
        ("--cors-origin", "https://user@app.example.com"),
        ("--cors-origin", "https://app.example.com:443"),
        ("--root-path", "userkeep"),
        ("--root-path", "/"),
        ("--root-path", "/userkeep/"),
        ("--root-path", "/user//keep"),
        ("--root-path", "/a/../b"),
        ("--root-path", "/a b"),
        ("--root-path", "/v1"),
        ("--root-path", "/api/v1"),
        ("--forwarded-allow-ips", "*"),
        ("--forwarded-allow-ips", "proxy.example.com"),
        ("--forwarded-allow-ips", "10.0.0.1/8"),
        ("--forwarded-allow-ips", "10.0.0.256"),
    ],
)
def test_what_is_in_front_of_the_server_is_checked_at_the_start(
    tmp_path: Path, flag: str, value: str
) -> None:
    variable = f"USERKEEP_{flag[2:].replace('-', '_').upper()}"
    for words, environment in (((flag, value), {}), ((), {variable: value})):
        result = userkeep("serve", *words, folder=tmp_path, environment=environment)
        assert result.returncode == 2
        assert is_sentence(result.stderr)
        assert result.stderr.startswith(f"userkeep: {variable}: {value!r} ")
    assert list(tmp_path.iterdir()) == []


def test_lists_are_separated_by_commas_or_repeated(tmp_path: Path) -> None:
    command = [str(USERKEEP), "serve", "--port", "0"]
    for name in ("one.example.com", "two.example.com,three.example.com"):
        command += ["--allowed-host", name]
    settings = {"USERKEEP_CORS_ORIGIN": "https://a.example.com, https://b.example.com,"}
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, cwd=tmp_path, env=environment_of(settings)
    ) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[-1]
            process.stdout.readline()
            names = "one.example.com, two.example.com, three.example.com"
            assert f"OFF: everyone who can reach {names} has access" in process.stdout.readline()
            for host, origin in (("one", "a"), ("three", "b")):
                headers = {
                    "Host": f"{host}.example.com",
                    "Origin": f"https://{origin}.example.com",
                }
                request = urllib.request.Request(f"{url}/v1/users", headers=headers)
                with urllib.request.urlopen(request, timeout=5) as response:
                    assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
        finally:
            process.terminate()


def test_an_address_that_others_can_reach_is_served_if_the_setting_allows_it(
    tmp_path: Path,
) -> None:
    settings = {"USERKEEP_HOST": "0.0.0.0", "USERKEEP_INSECURE_NO_AUTH": "true"}
    with serving(tmp_path, settings=settings) as server:
        banner = server.log.read_text()
        assert f"listens on http://0.0.0.0:{server.port}" in banner
        assert "auth      OFF (--insecure-no-auth): everyone" in banner


def test_a_port_in_use_is_rejected_and_the_file_is_released(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = userkeep_process("serve", "--port", port, folder=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith(f"userkeep: Port {port} on 127.0.0.1 is already in use.")
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "userkeep-data").glob("*-wal"))
    assert userkeep_process("migrate", folder=tmp_path).returncode == 0


def test_an_address_of_another_machine_is_rejected(tmp_path: Path) -> None:
    result = userkeep_process("serve", "--host", "192.0.2.1", "--insecure-no-auth", folder=tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "192.0.2.1 is not an address of this machine. Use --host" in result.stderr


def test_a_host_without_an_address_is_rejected(tmp_path: Path) -> None:
    words = ("--host", "host.invalid", "--insecure-no-auth", "--log-format", "json")
    result = userkeep_process("serve", *words, folder=tmp_path)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert "'host.invalid' has no address" in json.loads(line)["message"]


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that replaces a part of the system, and then calls the command line."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment_of(),
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_port_that_needs_a_privilege_is_rejected_with_advice(tmp_path: Path) -> None:
    """The socket library rejects the port, as the system does for users who are not root."""
    code = """
import socket, sys
def create_server(*_, **__):
    raise PermissionError(13, "Permission denied")
socket.create_server = create_server
from userkeep.cli import main
sys.exit(main(["serve", "--port", "80"]))
"""
    result = run_python(code, tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "port 80: ports below 1024 need a privilege. Use --port" in result.stderr


def test_a_served_file_is_rejected_with_process_and_url(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        result = userkeep_process(
            "serve", "--port", free_port(), "--database", server.database_url, folder=tmp_path
        )
        assert result.returncode == 1
        assert result.stderr == (
            f"userkeep: {tmp_path}/userkeep.db is served by process {server.process.pid} at "
            f"{server.url}; use that, or stop it.\n"
        )
        assert get(f"{server.url}/healthz") == "."


def test_a_clock_without_times_is_rejected_with_a_sentence(tmp_path: Path) -> None:
    """The clock of the process is replaced before anything of Userkeep is imported."""
    code = """
import sys, time
def time_ns():
    raise OverflowError("timestamp too large to convert to C _PyTime_t")
time.time = time.time_ns = time_ns
from userkeep.cli import main
sys.exit(main(["users", "add", "jane"]))
"""
    result = run_python(code, tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "The system clock of this machine is wrong" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--database", "sqlite:////dev/null/userkeep.db"], "folder /dev/null cannot be created"),
        (["--database", "sqlite:////"], "cannot be"),
        (["--secret-file", "/dev/null"], "shorter than 16 characters"),
    ],
)
def test_a_database_that_cannot_be_opened_is_rejected_with_a_sentence(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    result = userkeep_process("serve", *arguments, folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert sentence in result.stderr


@contextmanager
def serving_with_limit(folder: Path, limit: str) -> Iterator[int]:
    """Run a server with a limit of open files (`ulimit`); yield its port."""
    port = free_port()
    command = f"{limit}; exec {USERKEEP} serve --port {port} --database sqlite:///x.db >log 2>&1"
    (folder / "log").touch()
    with subprocess.Popen(["sh", "-c", command], cwd=folder) as process:
        try:
            while "listens on" not in (folder / "log").read_text():
                assert process.poll() is None
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def connected(stack: ExitStack, port: int) -> http.client.HTTPConnection:
    """Return a connection that has sent a part of a head."""
    connection = stack.enter_context(
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10))
    )
    connection.connect()
    connection.sock.sendall(b"POST /v1/users HTTP/1.1\r\nhost: localhost\r\nconten")
    return connection


def test_connections_leave_file_descriptors_for_the_database(tmp_path: Path) -> None:
    with serving_with_limit(tmp_path, "ulimit -n 200") as port, ExitStack() as stack:
        assert "there is room for 64 connections" in (tmp_path / "log").read_text()
        connections = [connected(stack, port) for _ in range(64)]
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(f"http://127.0.0.1:{port}/readyz")
        connections[0].sock.sendall(b't-length: 19\r\n\r\n{"user_id": "jane"}')
        assert connections[0].sock.recv(12) == b"HTTP/1.1 201"


def test_a_low_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    with serving_with_limit(tmp_path, "ulimit -Sn 100") as port, ExitStack() as stack:
        for _ in range(200):
            connected(stack, port)
        assert get(f"http://127.0.0.1:{port}/readyz").startswith('{"status":"ok"')


# Stopping.


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_stop_leaves_one_complete_file_and_no_log(tmp_path: Path, how: signal.Signals) -> None:
    with serving(tmp_path) as server:
        for n in range(20):
            assert post(f"{server.url}/v1/users", {"user_id": f"user-{n}"}) == 201
        get(f"{server.url}/v1/users")
        get(f"{server.url}/v1/users?limit=1000")
        assert (tmp_path / "userkeep.db-wal").exists()
        server.process.send_signal(how)
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log.read_text()
    assert not (tmp_path / "userkeep.db-wal").exists()
    assert not (tmp_path / "userkeep.db-shm").exists()
    with closing(apsw.Connection(str(tmp_path / "userkeep.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(20,)]


def test_a_stop_waits_for_a_half_sent_request(tmp_path: Path) -> None:
    body = json.dumps({"user_id": "jane", "metadata": {"x": "y" * 1000}}).encode()
    with serving(tmp_path) as server:
        with half_sent(server, "/v1/users", body) as connection:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert server.process.poll() is None
            connection.send(body[len(body) // 2 :])
            response = connection.getresponse()
            assert response.status == 201
            assert json.load(response)["user_id"] == "jane"
        assert server.process.wait(30) == 0
    with serving(tmp_path) as server:
        assert json.loads(get(f"{server.url}/v1/users/jane"))["user_id"] == "jane"


def test_a_stop_ends_a_request_that_does_not_end(tmp_path: Path) -> None:
    # It takes as long as a stop waits for requests, seven seconds.
    body = json.dumps({"user_id": "jane"}).encode()
    with serving(tmp_path) as server, half_sent(server, "/v1/users", body) as connection:
        server.process.send_signal(signal.SIGTERM)
        response = connection.getresponse()
        assert response.status == 503
        assert "stopping" in json.load(response)["detail"]
        assert server.process.wait(5) == 0
        assert "Traceback" not in server.log.read_text()
        assert not (tmp_path / "userkeep.db-wal").exists()


@pytest.mark.parametrize("which", [signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_are_ignored(tmp_path: Path, which: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.process.send_signal(which)
        assert get(f"{server.url}/readyz").startswith('{"status":"ok"')
        assert server.stop() == 0


def test_with_nohup_the_end_of_a_session_does_not_stop_the_server(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        server = Server(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, previous)
    server.wait_until_ready()
    server.process.send_signal(signal.SIGHUP)
    assert get(f"{server.url}/readyz").startswith('{"status":"ok"')
    assert server.stop() == 0


def test_a_stop_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        idle = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(3)]
        for connection in idle:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 3
        for connection in idle:
            connection.close()


def test_after_the_signal_no_connection_is_accepted(tmp_path: Path) -> None:
    body = json.dumps({"user_id": "jane"}).encode()
    with serving(tmp_path) as server, half_sent(server, "/v1/users", body) as connection:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(urllib.error.URLError):
            get(f"{server.url}/healthz")
        connection.send(body[len(body) // 2 :])
        assert connection.getresponse().status == 201


def test_a_stop_under_load_loses_no_acknowledged_write(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    oddities: list[object] = []

    def write(client: int) -> None:
        for n in range(100_000):
            user_id = f"user-{client}-{n}"
            try:
                status = post(f"{server.url}/v1/users", {"user_id": user_id})
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    oddities.append(error.code)
                return
            except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
                return
            if status == 201:
                acknowledged.append(user_id)

    with serving(tmp_path) as server, ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write, client) for client in range(8)]
        time.sleep(0.7)
        assert server.stop() == 0
        for each in writing:
            each.result(30)
        assert "Traceback" not in server.log.read_text()
    assert oddities == []
    assert len(acknowledged) > 10
    with closing(apsw.Connection(str(tmp_path / "userkeep.db"))) as connection:
        there = {user_id for (user_id,) in connection.execute("SELECT user_id FROM users")}
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + 8


def test_an_erasure_that_a_stop_interrupts_continues_at_the_next_start(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert post(f"{server.url}/v1/users", {"user_id": "jane"}) == 201
        words = [{"role": "user", "content": "x" * 1000}] * 1000
        for n in range(10):
            url = f"{server.url}/v1/sessions/jane-{n}/messages"
            assert post(url, {"user_id": "jane", "messages": words}) == 201
        request = urllib.request.Request(f"{server.url}/v1/users/jane", method="DELETE")
        statuses: list[int] = []

        def delete() -> None:
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    statuses.append(response.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)

        deleting = threading.Thread(target=delete)
        deleting.start()
        time.sleep(0.05)
        assert server.stop() == 0
        deleting.join()
        assert "Traceback" not in server.log.read_text()
        assert statuses in ([200], [202], [503])
    with serving(tmp_path) as server:
        ends = time.monotonic() + 60
        while not is_gone(f"{server.url}/v1/users/jane") and time.monotonic() < ends:
            time.sleep(0.05)
        assert is_gone(f"{server.url}/v1/users/jane")
        assert is_gone(f"{server.url}/v1/sessions/jane-9")


def is_gone(url: str) -> bool:
    try:
        get(url)
    except urllib.error.HTTPError as error:
        return error.code == 404
    return False
