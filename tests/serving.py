"""Run `userkeep serve` as a process on a free loopback port.

As a command it runs another one with the server's address in USERKEEP_TEST_URL:

    python -m tests.serving -- .environments/zep-python/bin/pytest tests/clients/zep_python

Its embeddings are made up. It serves a fresh file; after `--on-given-database` what
USERKEEP_DATABASE_URL names, as it does where `python -m tests.postgres` runs it. After `--with-key`
the server needs a key, which is in USERKEEP_TEST_API_KEY.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devtools.ports import free_port
from tests.embedding_server import serving_embeddings
from tests.logs import check_log
from userkeep.config import Settings

START_S = 60
ON_GIVEN = "--on-given-database"
WITH_KEY = "--with-key"
USERKEEP = Path(sys.executable).with_name("userkeep")


class Server:
    """A running `userkeep serve`."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_url or f"sqlite:///{folder / 'userkeep.db'}"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("USERKEEP_")
        }
        environment |= {"USERKEEP_DATABASE_URL": self.database_url, **(settings or {})}
        self.log = folder / f"server-{self.port}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [str(USERKEEP), "serve", "--port", str(self.port)],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> "Server":
        """Wait until the server responds; fail with its log if it does not."""
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self) -> int:
        """Send SIGTERM and return the exit code. The log must not contain personal data."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        check_log(self.log, self.log.parent)
        return code

    def kill(self) -> None:
        """Send SIGKILL, so that nothing is finished. The log must not contain personal data."""
        self.process.kill()
        self.process.wait(timeout=30)
        check_log(self.log, self.log.parent)


@contextmanager
def serving(
    folder: Path,
    *,
    database_url: str | None = None,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server, ready for requests, and stop it at the end."""
    server = Server(folder, database_url=database_url, port=port, settings=settings)
    server.wait_until_ready()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@contextmanager
def serving_with(settings: Settings, folder: Path) -> Iterator[Server]:
    """Run a server on the database of settings, with row-level security if they want it."""
    given = {"USERKEEP_POSTGRES_ROW_SECURITY": str(settings.postgres_row_security).lower()}
    with serving(folder, database_url=settings.database_url, settings=given) as server:
        yield server


def main() -> int:
    """Run the command after `--` against a fresh server."""
    end = sys.argv.index("--")
    options, command = sys.argv[1:end], sys.argv[end + 1 :]
    database_url = os.environ["USERKEEP_DATABASE_URL"] if ON_GIVEN in options else None
    key = secrets.token_hex(16) if WITH_KEY in options else ""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_embeddings() as endpoint,
        serving(
            Path(folder),
            database_url=database_url,
            settings={"USERKEEP_API_KEY": key, **endpoint.settings},
        ) as server,
    ):
        environment = os.environ | {"USERKEEP_TEST_URL": server.url, "USERKEEP_TEST_API_KEY": key}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
