"""The servers that are measured: processes on free ports of loopback.

With two cores or more, a server has one core to itself and the load generator another. Otherwise
the two push each other about, and where the system happens to put the writer thread of a server
decides the result. The writer shares its core with the event loop, in the floor as in the product.
What is started beside them while they are so divided, as PostgreSQL is, is on the generator's core.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep

SECRET = "the secret of a benchmark"

_START_S = 30.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_REPOSITORY = Path(__file__).parent.parent


class Server:
    """A running server.

    Attributes:
        port: where it listens, on 127.0.0.1.
        started_s: seconds from its spawning to its first answer.
    """

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.port = _free_port()
        self._log = log
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("USERKEEP_")
        }
        began = perf_counter()
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=_REPOSITORY,
                env=inherited | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_for_answer(began + _START_S)
        self.started_s = perf_counter() - began

    def memory_bytes(self) -> int:
        """The resident set of the process."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE_BYTES

    def used_s(self) -> float:
        """The seconds of processor that its threads have used so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_for_answer(self, until: float) -> None:
        while perf_counter() < until and self.process.poll() is None:
            with suppress(OSError):
                if _is_healthy(self.port):
                    return
            sleep(0.001)
        self.process.kill()
        self.process.wait()
        raise SystemExit(f"a server did not start:\n{self._log.read_text()}")


class Ground:
    """Where servers run: a folder for their logs, and a core of their own.

    Args:
        is_pinned: give them one core and this process another.
    """

    def __init__(self, folder: Path, *, is_pinned: bool) -> None:
        self._folder = folder
        self._all = os.sched_getaffinity(0)
        cores = sorted(self._all)
        self.is_pinned = is_pinned and len(cores) > 1
        self._of_servers = {cores[0]} if self.is_pinned else self._all
        self._own = {cores[1]} if self.is_pinned else self._all

    def __enter__(self) -> "Ground":
        os.sched_setaffinity(0, self._own)
        return self

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._all)

    @contextmanager
    def product(self, database_url: str, **settings: str) -> Iterator[Server]:
        """`userkeep serve` on a database; the secret is a setting, so no file is left of it."""
        userkeep = Path(sys.executable).with_name("userkeep")
        environment = _settings(database_url) | settings
        with self._running([str(userkeep), "serve"], environment) as server:
            yield server

    @contextmanager
    def unindexed(self, database_url: str) -> Iterator[Server]:
        """The same without the index of what is searched; see `bench.floor.unindexed`."""
        command = [sys.executable, "-m", "bench.floor.unindexed", "serve"]
        with self._running(command, _settings(database_url)) as server:
            yield server

    @contextmanager
    def floor(self, name: str, *options: str) -> Iterator[Server]:
        """One of the floors; see there."""
        command = [sys.executable, "-m", "bench.floor", name, *options]
        with self._running(command, {}) as server:
            yield server

    @contextmanager
    def alone(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        """The floor's statements without a server, on the core that servers have; see there."""
        command = [sys.executable, "-m", "bench.floor.alone", *options]
        with self._on_core_of_servers():
            process = subprocess.Popen(
                command, cwd=_REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        with process:  # which closes its input, and so it ends
            yield process

    @contextmanager
    def _running(self, command: list[str], environment: dict[str, str]) -> Iterator[Server]:
        with self._on_core_of_servers():
            server = Server(command, self._folder / "server.log", environment)
        try:
            yield server
        finally:
            server.stop()

    @contextmanager
    def _on_core_of_servers(self) -> Iterator[None]:
        os.sched_setaffinity(0, self._of_servers)  # a child has the cores of its parent
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._own)


def _settings(database_url: str) -> dict[str, str]:
    return {"USERKEEP_DATABASE_URL": database_url, "USERKEEP_SECRET": SECRET}


def _is_healthy(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        return client.recv(4096).startswith(b"HTTP/1.1 200 ")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
