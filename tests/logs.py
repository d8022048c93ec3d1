"""Logs contain no personal data: no names, addresses or messages of the users in this suite.

The logs of servers are checked when they stop (`check_log`). The log of the test process is checked
after each test, so that a test fails if the code it calls logs personal data.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from userkeep.cli.output.logs import TextFormatter

PERSONAL_DATA = re.compile("jane|john|oslo|shoes|@example", re.IGNORECASE)
"""Names, addresses and contents that are used throughout the suite."""


def lines_with_personal_data(log: str, *folders: Path) -> list[str]:
    """Return the lines of a log that contain personal data.

    Args:
        folders: their paths are ignored, because they may contain the name of a test.
    """
    if not PERSONAL_DATA.search(log):
        return []
    for folder in folders:
        log = log.replace(str(folder), "")
    return [line for line in log.splitlines() if PERSONAL_DATA.search(line)]


def check_log(file: Path, *folders: Path) -> None:
    """Fail if the log of a server contains personal data; see lines_with_personal_data."""
    lines = []
    if file.is_file():
        lines = lines_with_personal_data(file.read_text(errors="replace"), *folders)
    assert not lines, "\n".join(["a server logged personal data:", *lines])


class LogCapture(logging.Handler):
    """Capture what is logged in this process.

    Attributes:
        personal: the lines with personal data.
    """

    def __init__(self, *folders: Path) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        self.personal: list[str] = []
        self._folders = folders

    def emit(self, record: logging.LogRecord) -> None:
        """Capture a record, with its traceback if it has one."""
        self.personal += lines_with_personal_data(self.format(record), *self._folders)


@pytest.fixture(scope="session")
def log_capture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogCapture]:
    """Captures all records of the package, and those of other packages from warnings on."""
    capture = LogCapture(tmp_path_factory.getbasetemp())
    package = logging.getLogger("userkeep")
    level = package.level
    package.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(capture)
    yield capture
    logging.getLogger().removeHandler(capture)
    package.setLevel(level)


@pytest.fixture(autouse=True)
def no_personal_data_in_logs(log_capture: LogCapture) -> Iterator[None]:
    """Fails a test whose code logs personal data."""
    log_capture.personal.clear()
    yield
    assert not log_capture.personal, "\n".join(["personal data was logged:", *log_capture.personal])
