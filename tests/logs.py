"""Logs name nobody: what people in this suite are called, and what they say, is in no log.

Servers are looked at when they end (`check_log`), the suite's own process while it runs: each test
fails whose code has logged something of somebody. So nearly every test is one of the logs, too.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PEOPLE = re.compile("jane|john|oslo|shoes|@example", re.IGNORECASE)
"""Names, addresses and contents that are all over the suite."""


def told_in(log: str, *places: Path) -> list[str]:
    """The lines of a log that tell something of somebody.

    Args:
        places: folders, which may be named after a test.
    """
    for place in places:
        log = log.replace(str(place), "")
    return [line for line in log.splitlines() if PEOPLE.search(line)]


def check_log(file: Path, *places: Path) -> None:
    """Fail if somebody is told of in a server's log; see told_in."""
    told = told_in(file.read_text(errors="replace"), *places) if file.is_file() else []
    assert not told, "\n".join(["a server's log names somebody:", *told])


class Ear(logging.Handler):
    """Hears all that is logged in this process.

    Attributes:
        told: what of it tells something of somebody.
    """

    def __init__(self, *places: Path) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.told: list[str] = []
        self._places = places

    def emit(self, record: logging.LogRecord) -> None:
        """Listen to one record, with its traceback if it has one."""
        self.told += told_in(self.format(record), *self._places)


@pytest.fixture(scope="session")
def ear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ear]:
    """Hears the package from its slightest word on, and all others from warnings on."""
    ear = Ear(tmp_path_factory.getbasetemp())
    package = logging.getLogger("userkeep")
    former = package.level
    package.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(ear)
    yield ear
    logging.getLogger().removeHandler(ear)
    package.setLevel(former)


@pytest.fixture(autouse=True)
def logs_name_nobody(ear: Ear) -> Iterator[None]:
    """A test whose code logs something of somebody fails."""
    ear.told.clear()
    yield
    assert not ear.told, "\n".join(["what was logged names somebody:", *ear.told])
