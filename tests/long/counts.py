"""How much is done: all of it with USERKEEP_TEST_LONG=1, a tenth in the usual suite.

What is random comes from a seed, which is printed; USERKEEP_TEST_SEED takes it again.
"""

import os
import random
import time

IS_FULL = os.environ.get("USERKEEP_TEST_LONG") == "1"
SEED = int(os.environ.get("USERKEEP_TEST_SEED") or time.time_ns() % 1_000_000)


DONE = "done"
"""The property of a test that says how much it has done; see `say`."""


def count(full: int) -> int:
    """A count of the full run, or a tenth of it."""
    return full if IS_FULL else max(1, full // 10)


def randomness(of: str) -> random.Random:
    """Random numbers for one purpose, the same for the same seed."""
    return random.Random(f"{SEED} {of}")
