"""Whatever happened before and meanwhile: who is purged is in no file, and nobody else is missed.

Seeds are new in each run, and in the names of the tests. `make residue` tells many more, or one
again.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.long.counts import IS_FULL, SEED
from tests.residue.runs import Stage

ON_SQLITE = 1_000 if IS_FULL else 16
ON_POSTGRES = 125 if IS_FULL else 4


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Where stories are told."""
    with closing(Stage()) as stage:
        yield stage


@pytest.mark.parametrize("seed", range(SEED * 1_000, SEED * 1_000 + ON_SQLITE))
def test_nothing_is_left_of_the_deleted_on_sqlite(stage: Stage, seed: int) -> None:
    stage.tell("sqlite", seed)


@pytest.mark.parametrize("seed", range(SEED * 1_000, SEED * 1_000 + ON_POSTGRES))
def test_nothing_is_left_of_the_deleted_on_postgres(stage: Stage, seed: int) -> None:
    stage.tell("postgres", seed)
