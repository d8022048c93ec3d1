"""How far something long is, such as an import: on stderr, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from userkeep.cli.lines import Counts
from userkeep.cli.terminal import counted
from userkeep.cli.terminal import progress as progress_console

_OFTEN_S = 0.1


class Shown:
    """What is shown meanwhile; nothing where nobody looks."""

    def __init__(self, bar: Progress | None, task: TaskID | None) -> None:
        self._bar = bar
        self._task = task
        self._told_at = 0.0

    def tell(self, counts: Counts, done_bytes: int | None = None) -> None:
        """Show how many there were, and how much of the file."""
        self.say(
            f"{counted(counts.users, 'user')}, {counted(counts.messages, 'message')}", done_bytes
        )

    def say(self, text: str, done_bytes: int | None = None) -> None:
        """Show how far it is."""
        if self._bar is None or self._task is None or monotonic() - self._told_at < _OFTEN_S:
            return
        self._told_at = monotonic()
        self._bar.update(self._task, completed=done_bytes, counts=text)


@contextmanager
def shown(
    doing: str, *, on_terminal: bool = True, total_bytes: int | None = None
) -> Iterator[Shown]:
    """Show progress while something goes on.

    Args:
        doing: what.
        on_terminal: False where the terminal shows what is written itself.
        total_bytes: of the file, if it is known.
    """
    shows = sys.stderr.isatty() and (on_terminal or not sys.stdout.isatty())
    if not shows:
        yield Shown(None, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress_console(), transient=True) as bar:
        yield Shown(bar, bar.add_task(doing, total=total_bytes, counts=""))


@contextmanager
def counting(doing: str) -> Iterator[Callable[[int], None]]:
    """Show how many messages were handled; the block is given what to tell of more of them."""
    messages = 0
    with shown(doing) as progress:

        def tell(more: int) -> None:
            nonlocal messages
            messages += more
            progress.say(counted(messages, "message"))

        yield tell
