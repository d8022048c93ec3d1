"""Purged users are in no file, whatever happens before and during a purge; all others remain.

The seeds are new in each run, and in the names of the tests. `make residue` runs many more, or one
again.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.long.counts import IS_FULL, SEED
from tests.residue.runner import Runner

ON_SQLITE = 1_000 if IS_FULL else 16
ON_POSTGRES = 125 if IS_FULL else 4


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """Runs the histories."""
    with closing(Runner()) as runner:
        yield runner


def seeds(count: int, group: str) -> list[Any]:
    """Return the seeds of histories, which one worker runs if their group is the same."""
    return [
        pytest.param(seed, marks=pytest.mark.xdist_group(group.format(seed=seed)))
        for seed in range(SEED * 1_000, SEED * 1_000 + count)
    ]


@pytest.mark.parametrize("seed", seeds(ON_POSTGRES, "histories on PostgreSQL"))
def test_deleted_users_leave_no_residue_on_postgres(runner: Runner, seed: int) -> None:
    runner.run("postgres", seed)


@pytest.mark.parametrize("seed", seeds(ON_SQLITE, "history {seed}"))
def test_deleted_users_leave_no_residue_on_sqlite(runner: Runner, seed: int) -> None:
    runner.run("sqlite", seed)
