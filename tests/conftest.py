"""Fixtures and hooks of all tests: the ways to call Userkeep, databases, what a run covers."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, chdir
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck

from tests import matrix
from tests.embedding_server import embedding_server  # noqa: F401 - a fixture for all tests
from tests.logs import log_capture, no_personal_data_in_logs  # noqa: F401 - fixtures for all tests
from tests.long.counts import DONE, IS_FULL, SEED
from tests.matrix import Cell
from tests.postgres import migrated_database, postgres_server, row_secured_database
from tests.scheduling import GroupScheduling, rank_of
from tests.typed_ways import embedded, embedded_async, sdk, sdk_async
from tests.ways import Way, in_process, over_socket
from userkeep.config import Settings

ENGINES, ROW_SECURED = matrix.ENGINES, matrix.ROW_SECURED
IN_PROCESS = {"embedded": embedded, "embedded async": embedded_async, "in process": in_process}
REMOTE = {"socket": over_socket, "sdk": sdk, "sdk async": sdk_async}

_NUMBERS = count(1)
_LEFT_OUT = pytest.StashKey[dict[str, int]]()

_MEMORY = Path("/dev/shm")
_MIN_FREE_BYTES = 2 * 1024**3
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MIN_FREE_BYTES:
    # The files of most tests are in memory; for the others see `tmp_path`.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# A shell starts what runs in the background with SIGINT ignored, and nohup with SIGHUP. So would be
# the commands that tests send these signals.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Set before numpy is loaded: its threads wait for each other actively, twenty times as long where
# others use the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The workers of a run must have the same names of tests, and some names contain the seed.
os.environ["USERKEEP_TEST_SEED"] = str(SEED)

# On a busy machine the duration of an example means nothing.
_NO_DEADLINE = hypothesis.settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
hypothesis.settings.register_profile("ci", _NO_DEADLINE, max_examples=25)
hypothesis.settings.register_profile("long", _NO_DEADLINE, max_examples=500)
hypothesis.settings.register_profile("fuzz", _NO_DEADLINE, max_examples=500)
hypothesis.settings.load_profile("long" if IS_FULL else "ci")


def engine_id(engine: str) -> str:
    """Return the name of an engine in the id of a test."""
    return engine.replace(" ", "_")


def database_url(engine: str, folder: Path) -> str:
    """Return the URL of a fresh database; on PostgreSQL it has the schema, to save time."""
    if engine == "postgres":
        return migrated_database()
    if engine == ROW_SECURED:
        return row_secured_database()
    return "sqlite:///:memory:" if engine == "sqlite memory" else f"sqlite:///{folder}/userkeep.db"


def fresh_settings(engine: str, folder: Path) -> Settings:
    """Return the settings of an instance on a fresh database, with its secret in the folder."""
    return Settings(
        database_url=database_url(engine, folder),
        secret_file=str(folder / "userkeep.secret"),
        ledger_file=str(folder / "userkeep.ledger"),
        postgres_row_security=engine == ROW_SECURED,
    )


@pytest.fixture(scope="session", autouse=True)
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run all tests in a folder of this run: the deletion ledgers of PostgreSQL begin there."""
    with chdir(tmp_path_factory.mktemp("working-folder")):
        yield


@pytest.fixture(scope="session", params=matrix.cells(), ids=str)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """A way to call Userkeep, on an engine; tests share it and use ids of their own: `fresh`."""
    cell: Cell = request.param
    folder = tmp_path_factory.mktemp("way")
    settings = fresh_settings(cell.engine, folder)
    with ExitStack() as stack:
        if cell.way in IN_PROCESS:
            yield stack.enter_context(IN_PROCESS[cell.way](settings))
        else:
            yield stack.enter_context(REMOTE[cell.way](settings, folder))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this run does not cover, and set which tests a worker runs together."""
    about_http = [item for item in items if matrix.is_about_http_alone(item)]
    is_named = any("[" in argument for argument in config.args)
    further = [] if is_named else matrix.with_further_values(items)
    left_out = {*about_http, *further}
    if left_out or any(matrix.cell_of(item) for item in items):
        config.stash[_LEFT_OUT] = {
            "about_http": len(about_http),
            "further_values": len(left_out) - len(about_http),
        }
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Give the tests of one way, or of one file, to one worker."""
    return GroupScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage until all tests are collected, and then none of the tests themselves.

    They are most of the objects of a worker.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what this worker has left out to the process that reports it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: pytest.Item) -> None:
    """Store what a worker has left out: all leave out the same."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what this run covers, and how to run all tests."""
    left_out = config.stash.get(_LEFT_OUT, {})
    done = [
        str(text)
        for report in terminalreporter.getreports("passed")
        for name, text in report.user_properties
        if name == DONE
    ]
    if not left_out and not done:
        return
    terminalreporter.section("what this run covers")
    if left_out:
        for line in matrix.coverage(**left_out):
            terminalreporter.write_line(line)
    for line in done:
        terminalreporter.write_line(line)
    is_all = IS_FULL and matrix.cells() == matrix.ALL
    counts = "in full" if IS_FULL else "in part"
    terminalreporter.write_line(
        f"random histories, kills and races: {counts}, from seed {SEED}"
        f"{'' if is_all else '; all of everything: make test-all'}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped test fail if CI=true: in CI nothing may be missing."""
    report = yield
    is_skipped = report.skipped and not hasattr(report, "wasxfail")
    if is_skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session", autouse=True)
def postgres_log_has_no_personal_data() -> Iterator[None]:
    """Checks the log of the shared PostgreSQL server after all tests."""
    yield
    if postgres_server.cache_info().currsize:
        postgres_server().check_log()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The folder of pytest, which may be in memory; on a disk for a test marked `disk`."""
    if request.node.get_closest_marker("disk") is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="userkeep-disk-") as folder:
        yield Path(folder)


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> str:
    """A unique name: no other test uses it."""
    return f"{request.node.name}-{next(_NUMBERS)}"
