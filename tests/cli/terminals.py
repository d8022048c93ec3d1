"""`userkeep` on a terminal: a pseudo-terminal with a width, and keys that are typed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cli.running import environment_of
from tests.serving import USERKEEP

WAIT_S = 30
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal.

    Attributes:
        seen: all that the terminal was sent so far.
        code: the exit code, once it has ended.
    """

    def __init__(
        self,
        *words: object,
        folder: Path,
        columns: int = 80,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._words = [str(USERKEEP), *map(str, words)]
        self._folder = folder
        self._columns = columns
        self._environment = environment_of({"TERM": "xterm-256color", **(environment or {})})
        for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
            if name not in (environment or {}):
                self._environment.pop(name, None)
        self.seen = ""
        self.code: int | None = None

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, self._columns, 0, 0))
        self._process = subprocess.Popen(
            self._words,
            cwd=self._folder,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What was seen, without colours and movements."""
        return _ESCAPES.sub("", self.seen).replace("\r\n", "\n")

    def read_until(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        ends = time.monotonic() + WAIT_S
        while text not in self.text:
            assert time.monotonic() < ends, self.text
            assert self._read(), self.text

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def interrupt(self) -> None:
        """Ctrl-C, until something comes of it.

        One that comes just before Python begins to wait for a line is noticed with the next.
        """
        ends = time.monotonic() + WAIT_S
        self._process.send_signal(signal.SIGINT)
        while not select.select([self._ours], [], [], 0.5)[0]:
            assert time.monotonic() < ends, self.text
            self._process.send_signal(signal.SIGINT)

    def read_to_end(self) -> Self:
        """Wait for the end of the command."""
        while self._read():
            pass
        self.code = self._process.wait(timeout=WAIT_S)
        return self

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], WAIT_S)
        assert ready, self.text
        try:
            received = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += received.decode(errors="replace")
        return bool(received)


def on_terminal(
    *words: object,
    folder: Path,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
) -> Terminal:
    """A command that ran to its end on a terminal."""
    with Terminal(*words, folder=folder, columns=columns, environment=environment) as terminal:
        return terminal.read_to_end()
