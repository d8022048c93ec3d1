"""Purged users are in no file, whatever happens before and during a purge; all others remain.

The seeds are new in each run, and in the names of the tests. `make residue` runs many more, or one
again.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.long.counts import IS_FULL, SEED
from tests.residue.runner import Runner

FIRST = SEED * 1_000
ON_SQLITE = 1_000 if IS_FULL else 8
ON_POSTGRES = 125 if IS_FULL else 3


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """Runs the histories."""
    with closing(Runner()) as runner:
        yield runner


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ON_POSTGRES))
def test_deleted_users_leave_no_residue_on_postgres(runner: Runner, seed: int) -> None:
    runner.run("postgres", seed)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ON_SQLITE))
def test_deleted_users_leave_no_residue_on_sqlite(runner: Runner, seed: int) -> None:
    runner.run("sqlite", seed)
