"""The servers that are measured: processes on free ports of loopback.

With two cores or more, a server has one core to itself and the load generator another. Otherwise
they compete, and where the system happens to put a server's writer thread decides the result. The
writer shares its core with the event loop, in the baseline as in the product. What is started
beside them during that time, such as PostgreSQL, runs on the generator's core.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx2

from devtools.ports import free_port

SECRET = "the secret of a benchmark"
REPOSITORY = Path(__file__).parents[2]

_START_S = 60.0
_RESPONSE_S = 30.0
_STOP_S = 30.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ServerCommand(NamedTuple):
    """A command that serves a database.

    It takes the address of the database and the secret from its environment, and its port from
    `--port`.

    Attributes:
        words: the command.
        prefix: with what the names of its settings begin.
        folder: where it runs.
        is_ours: whether it is the code of this checkout, which PYTHONPATH may lead to.
    """

    words: tuple[str, ...]
    prefix: str = "USERKEEP_"
    folder: Path = REPOSITORY
    is_ours: bool = True

    @classmethod
    def other(cls, command: str, prefix: str, folder: Path) -> "ServerCommand":
        program, *words = shlex.split(command)
        # It runs in another folder than this process.
        program = str(Path(program).absolute()) if "/" in program else program
        return cls((program, *words), prefix, folder, is_ours=False)

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the process: ours, with these settings and no others."""
        hidden = ("USERKEEP_", self.prefix, *(() if self.is_ours else ("PYTHONPATH",)))
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
            **{self.prefix + name: value for name, value in settings.items()},
        }


PROGRAM = (sys.executable, "-m", "userkeep")
"""The program of this checkout, and its server."""
PRODUCT = ServerCommand((*PROGRAM, "serve"))


class Server:
    """A running server.

    Attributes:
        port: where it listens, on 127.0.0.1.
        started_s: seconds from its start to its first response.
    """

    def __init__(self, command: ServerCommand, logs: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = logs / f"server-{self.port}.log"
        began = perf_counter()
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                [*command.words, "--port", str(self.port)],
                cwd=command.folder,
                env=command.environment(settings),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_for_response(began + _START_S)
        self.started_s = perf_counter() - began

    def client(self, *, timeout_s: float = _RESPONSE_S) -> httpx2.Client:
        """Return a client for single requests; the load generator makes the many."""
        return httpx2.Client(base_url=self.url, timeout=timeout_s)

    def memory_bytes(self) -> int:
        """Return the resident set size of the process."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE_BYTES

    def cpu_s(self) -> float:
        """Return the processor seconds that its threads have used so far."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def own_memory_bytes(self) -> int:
        """Return the part of its resident set that is no file."""
        return self._status_bytes("RssAnon")

    def peak_memory_bytes(self) -> int:
        """Return the greatest resident set size since it was reset."""
        return self._status_bytes("VmHWM")

    def reset_peak_memory(self) -> None:
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> float:
        """Stop it, unless it has ended; return after how many seconds it had ended."""
        began = perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return perf_counter() - began

    def _status_bytes(self, name: str) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
        raise AssertionError(f"the system does not show {name} of a process")

    def _wait_for_response(self, until: float) -> None:
        with httpx2.Client(timeout=1) as client:
            while perf_counter() < until and self._process.poll() is None:
                try:
                    if client.get(f"{self.url}/healthz").is_success:
                        return
                except httpx2.TransportError:
                    sleep(0.001)
        self._process.kill()
        self._process.wait()
        raise SystemExit(f"a server did not start:\n{self._log.read_text()}")


class ServerHarness:
    """Where servers run: a folder for their logs, and a core of their own.

    Args:
        is_pinned: give them one core and this process another.
    """

    def __init__(self, folder: Path, *, is_pinned: bool) -> None:
        self._folder = folder
        self._all = os.sched_getaffinity(0)
        cores = sorted(self._all)
        self._is_pinned = is_pinned and len(cores) > 1
        self._of_servers = {cores[0]} if self._is_pinned else self._all
        self._own = {cores[1]} if self._is_pinned else self._all

    def __enter__(self) -> "ServerHarness":
        os.sched_setaffinity(0, self._own)
        return self

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._all)

    @property
    def note(self) -> str:
        if self._is_pinned:
            return "each server on one core, the load generator on another"
        return "servers and load generator share all cores"

    @contextmanager
    def serving(
        self,
        database_url: str,
        command: ServerCommand = PRODUCT,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Server]:
        """Run a server on a database. The secret is a setting, so there is no file of it.

        It logs no requests, as the baselines do not.
        """
        database = {"DATABASE_URL": database_url, "SECRET": SECRET, "LOG_LEVEL": "warning"}
        with self._running(command, database | dict(settings)) as server:
            yield server

    @contextmanager
    def baseline(self, name: str, *options: str) -> Iterator[Server]:
        """Run one of the baselines, see `bench.baseline`."""
        command = ServerCommand((sys.executable, "-m", "bench.baseline", name, *options))
        with self._running(command, {}) as server:
            yield server

    @contextmanager
    def _running(self, command: ServerCommand, settings: Mapping[str, str]) -> Iterator[Server]:
        os.sched_setaffinity(0, self._of_servers)  # a child inherits the cores of its parent
        try:
            server = Server(command, self._folder, settings)
        finally:
            os.sched_setaffinity(0, self._own)
        try:
            yield server
        finally:
            server.stop()


def exchange(client: httpx2.Client, method: str, path: str, json: Any = None) -> Any:
    """Send a request and return the JSON of its response.

    Raises:
        AssertionError: the status is not one of success.
    """
    response = client.request(method, path, json=json)
    assert response.is_success, (method, path, response.status_code, response.text)
    return response.json()
