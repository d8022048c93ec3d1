"""Many stories, with their progress: `make residue SEEDS=1000`, or one: `make residue SEED=123`.

python -m tests.residue --seeds 1000 --engine sqlite
"""

import argparse
import sys
import time
import traceback
from contextlib import closing

from tests.residue.runs import ENGINES, Stage

SQLITE_FOR_EACH_POSTGRES = 8
_SAID_EVERY_S = 5.0


class Progress:
    """Says how far it is: on a terminal in one line, elsewhere now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._said_at = 0.0
        self._is_terminal = sys.stdout.isatty()
        self.done = 0
        self.failed: list[str] = []

    def note(self, story: str, error: BaseException | None) -> None:
        """A story was told."""
        self.done += 1
        if error is not None:
            self.failed.append(story)
            print(f"\n{story}")
            traceback.print_exception(error, file=sys.stdout)
        now = time.monotonic()
        if self._is_terminal or now > self._said_at + _SAID_EVERY_S or self.done == self._total:
            self._said_at = now
            self._say(now - self._began)

    def _say(self, spent_s: float) -> None:
        left_s = spent_s / self.done * (self._total - self.done)
        line = f"{self.done} of {self._total} seeds, {len(self.failed)} failed, {left_s:.0f} s left"
        print(f"\r{line} " if self._is_terminal else line, end="" if self._is_terminal else "\n")
        sys.stdout.flush()


def main() -> int:
    """Tell them; the exit code says whether anything was found."""
    arguments = _arguments()
    first = arguments.seed if arguments.seed is not None else time.time_ns() % 1_000_000 * 1_000
    stories = _stories(first, arguments.seeds, arguments.engine)
    progress = Progress(len(stories))
    print(f"Seeds from {first} on")
    with closing(Stage()) as stage:
        for engine, seed in stories:
            try:
                stage.tell(engine, seed)
            except Exception as error:
                progress.note(f"seed {seed} on {engine}", error)
            else:
                progress.note(f"seed {seed} on {engine}", None)
    print(f"\n{len(stories)} seeds, {len(progress.failed)} failed: {', '.join(progress.failed)}")
    return 1 if progress.failed else 0


def _stories(first: int, seeds: int, engine: str | None) -> list[tuple[str, int]]:
    if engine is not None or seeds == 1:
        engines = [engine] if engine is not None else ENGINES
        return [(each, first + n) for each in engines for n in range(seeds)]
    on_postgres = max(1, seeds // SQLITE_FOR_EACH_POSTGRES)
    return [("sqlite", first + n) for n in range(seeds)] + [
        ("postgres", first + n) for n in range(on_postgres)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.residue", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; without it a new one")
    parser.add_argument("--seeds", type=int, default=1, help="how many (on PostgreSQL an eighth)")
    parser.add_argument("--engine", choices=ENGINES, help="on this engine alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
