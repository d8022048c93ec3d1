"""That the logs are looked at, and that it would be noticed."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs import Ear, check_log, told_in
from tests.serving import Server

LEAKING = """
import logging

def test_something_else():
    logging.getLogger("userkeep.of.a.test").debug("added %s", "jane")

def test_something_with_an_error():
    try:
        raise KeyError("jane@example.com")
    except KeyError:
        logging.getLogger("userkeep.of.a.test").exception("something failed")

def test_nothing():
    logging.getLogger("userkeep.of.a.test").warning("something failed")
"""


@pytest.mark.parametrize("line", ["GET /v1/users/jane", "to Jane@Example.com", "I live in Oslo"])
def test_a_line_that_names_somebody_is_noticed(tmp_path: Path, line: str) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"serving on http://127.0.0.1:8000\n{line}\nstopped\n")
    with pytest.raises(AssertionError, match="a server's log names somebody") as told:
        check_log(log)
    assert str(told.value).splitlines()[1:] == [line]


def test_a_folder_may_be_named_after_a_test_about_somebody() -> None:
    folder = Path("/tmp/test_jane_is_deleted0")
    assert told_in(f"SQLite, {folder}/userkeep.db", folder) == []
    assert told_in(f"SQLite, {folder}/jane.db", folder) != []


def test_a_test_whose_code_logs_somebody_fails(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    command = [sys.executable, "-m", "pytest", "-p", "tests.logs", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 errors" in done.stdout, done.stdout
    assert "3 passed" in done.stdout
    assert done.stdout.count("what was logged names somebody") >= 2


def test_a_server_whose_log_names_somebody_is_noticed_when_it_ends(tmp_path: Path) -> None:
    server = Server(tmp_path).wait_until_ready()
    with server.log.open("a") as log:
        log.write("WARNING jane\n")
    with pytest.raises(AssertionError, match="names somebody"):
        server.stop()
    assert server.process.poll() == 0


def test_everything_in_this_process_is_heard(ear: Ear) -> None:
    assert ear in logging.getLogger().handlers
    assert logging.getLogger("userkeep.http").isEnabledFor(logging.DEBUG)
