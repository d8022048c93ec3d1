"""How much is done: all of it in `make long`, a tenth in the normal suite.

What is random comes from a seed, which is printed; USERKEEP_TEST_SEED takes it again.
"""

import os
import random
import time

IS_FULL = os.environ.get("USERKEEP_TEST_LONG") == "1"
SEED = int(os.environ.get("USERKEEP_TEST_SEED") or time.time_ns() % 1_000_000)


def count(full: int) -> int:
    """A count of `make long`, or a tenth of it."""
    return full if IS_FULL else max(1, full // 10)


def randomness(of: str) -> random.Random:
    """Random numbers for one purpose, the same for the same seed."""
    return random.Random(f"{SEED} {of}")
