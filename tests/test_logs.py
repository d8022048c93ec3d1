"""Logs are checked, and personal data in them is found."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs import LogCapture, check_log, lines_with_personal_data
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
def test_a_line_with_personal_data_is_found(tmp_path: Path, line: str) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"serving on http://127.0.0.1:8000\n{line}\nstopped\n")
    with pytest.raises(AssertionError, match="a server logged personal data") as caught:
        check_log(log)
    assert str(caught.value).splitlines()[1:] == [line]


def test_the_path_of_a_folder_is_ignored() -> None:
    folder = Path("/tmp/test_jane_is_deleted0")
    assert lines_with_personal_data(f"SQLite, {folder}/userkeep.db", folder) == []
    assert lines_with_personal_data(f"SQLite, {folder}/jane.db", folder) != []


def test_a_test_whose_code_logs_personal_data_fails(tmp_path: Path) -> None:
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
    assert done.stdout.count("personal data was logged") >= 2


def test_personal_data_in_the_log_of_a_server_is_found_when_it_stops(tmp_path: Path) -> None:
    server = Server(tmp_path).wait_until_ready()
    with server.log.open("a") as log:
        log.write("WARNING jane\n")
    with pytest.raises(AssertionError, match="logged personal data"):
        server.stop()
    assert server.process.poll() == 0


def test_everything_logged_in_this_process_is_captured(log_capture: LogCapture) -> None:
    assert log_capture in logging.getLogger().handlers
    assert logging.getLogger("userkeep.http").isEnabledFor(logging.DEBUG)
