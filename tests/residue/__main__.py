"""Run many random histories: `make residue SEEDS=1000`; or one again: `make residue SEED=123`.

python -m tests.residue --seeds 1000 --engine sqlite
"""

import argparse
import sys
import time
import traceback
from contextlib import closing

from tests.residue.runner import ENGINES, Runner

SQLITE_FOR_EACH_POSTGRES = 8
_PRINT_EVERY_S = 5.0


class Progress:
    """Print the progress: on a terminal in one line, else every few seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._printed_at = 0.0
        self._is_terminal = sys.stdout.isatty()
        self.done = 0
        self.failed: list[str] = []

    def record(self, history: str, error: BaseException | None) -> None:
        """Record that a history has run."""
        self.done += 1
        if error is not None:
            self.failed.append(history)
            print(f"\n{history}")
            traceback.print_exception(error, file=sys.stdout)
        now = time.monotonic()
        if self._is_terminal or now > self._printed_at + _PRINT_EVERY_S or self.done == self._total:
            self._printed_at = now
            self._print(now - self._began)

    def _print(self, spent_s: float) -> None:
        left_s = spent_s / self.done * (self._total - self.done)
        line = f"{self.done} of {self._total} seeds, {len(self.failed)} failed, {left_s:.0f} s left"
        print(f"\r{line} " if self._is_terminal else line, end="" if self._is_terminal else "\n")
        sys.stdout.flush()


def main() -> int:
    """Run the histories; return 1 if any failed."""
    arguments = _arguments()
    first = arguments.seed if arguments.seed is not None else time.time_ns() % 1_000_000 * 1_000
    histories = _histories(first, arguments.seeds, arguments.engine)
    progress = Progress(len(histories))
    print(f"Seeds from {first} on")
    with closing(Runner()) as runner:
        for engine, seed in histories:
            try:
                runner.run(engine, seed)
            except Exception as error:
                progress.record(f"seed {seed} on {engine}", error)
            else:
                progress.record(f"seed {seed} on {engine}", None)
    print(f"\n{len(histories)} seeds, {len(progress.failed)} failed: {', '.join(progress.failed)}")
    return 1 if progress.failed else 0


def _histories(first: int, seeds: int, engine: str | None) -> list[tuple[str, int]]:
    if engine is not None or seeds == 1:
        engines = [engine] if engine is not None else ENGINES
        return [(each, first + n) for each in engines for n in range(seeds)]
    on_postgres = max(1, seeds // SQLITE_FOR_EACH_POSTGRES)
    return [("sqlite", first + n) for n in range(seeds)] + [
        ("postgres", first + n) for n in range(on_postgres)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.residue", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; default: a new one")
    parser.add_argument(
        "--seeds", type=int, default=1, help="number of histories (an eighth of it on PostgreSQL)"
    )
    parser.add_argument("--engine", choices=ENGINES, help="run on this engine only")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
