"""How much the long tests do: all of it with USERKEEP_TEST_LONG=1, else a tenth or less.

Random values come from a seed, which is printed. USERKEEP_TEST_SEED sets it.
"""

import os
import random
import time

IS_FULL = os.environ.get("USERKEEP_TEST_LONG") == "1"
SEED = int(os.environ.get("USERKEEP_TEST_SEED") or time.time_ns() % 1_000_000)


DONE = "done"
"""The property of a test with what it has done; see the fixture `report`."""


def count(full: int) -> int:
    """Return a count of the full run, or a tenth of it."""
    return full if IS_FULL else max(1, full // 10)


def seeded_random(purpose: str) -> random.Random:
    """Return random numbers for one purpose, the same for the same seed."""
    return random.Random(f"{SEED} {purpose}")
