"""Progress of something long, on stderr, if that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from userkeep.cli.output.terminal import print_note, stderr_console
from userkeep.domain.values.counts import pluralize
from userkeep.jobs.jsonl import Counts

_INTERVAL_S = 0.1


class ProgressReporter:
    """Shows progress in one line; without a terminal it shows only warnings."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self._bar = bar
        self._task = task
        self._shown_at = 0.0

    def progress(self, counts: Counts, read_bytes: int | None = None) -> None:
        """Show how much is done, and how much of the file is read."""
        if self._is_due():
            users = pluralize(counts.users, "user")
            self._show(f"{users}, {pluralize(counts.messages, 'message')}", read_bytes)

    def count(self, count: int, noun: str) -> None:
        """Show how many things are done."""
        if self._is_due():
            self._show(pluralize(count, noun))

    def warn(self, sentence: str) -> None:
        """Print a note."""
        print_note(sentence, self._bar.console if self._bar else None)

    def _is_due(self) -> bool:
        return self._bar is not None and monotonic() - self._shown_at >= _INTERVAL_S

    def _show(self, text: str, done_bytes: int | None = None) -> None:
        if self._bar is None or self._task is None:
            return
        self._shown_at = monotonic()
        self._bar.update(self._task, completed=done_bytes, counts=text)


@contextmanager
def progress_bar(
    title: str, *, is_hidden: bool = False, total_bytes: int | None = None
) -> Iterator[ProgressReporter]:
    """Show progress during the block.

    Args:
        title: what is being done.
        is_hidden: show nothing, because the terminal shows the result itself.
        total_bytes: the size of the file that is read, if it is known.
    """
    if is_hidden or not sys.stderr.isatty():
        yield ProgressReporter()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr_console(), transient=True) as bar:
        yield ProgressReporter(bar, bar.add_task(title, total=total_bytes, counts=""))


@contextmanager
def counter(title: str, noun: str = "message") -> Iterator[Callable[[int], None]]:
    """Show how many things are done; the block calls the function with each further number.

    Args:
        title: what is being done.
        noun: what is counted.
    """
    count = 0
    with progress_bar(title) as reporter:

        def add(more: int) -> None:
            nonlocal count
            count += more
            reporter.count(count, noun)

        yield add


class ByteReporter:
    """Shows the steps of a job that moves bytes; see `jobs.backup.job.BackupReporter`."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = TaskID(0)
        self._shown_at = 0.0

    def start(self, step: str, total_bytes: int | None) -> None:
        """Show a step."""
        if self._bar is None:
            return
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._task = self._bar.add_task(f"{step[0].upper()}{step[1:]}", total=total_bytes)

    def advance(self, done_bytes: int) -> None:
        """Show how much of the step is done."""
        if self._bar is not None and monotonic() - self._shown_at >= _INTERVAL_S:
            self._shown_at = monotonic()
            self._bar.update(self._task, completed=done_bytes)


@contextmanager
def byte_progress() -> Iterator[ByteReporter]:
    """Show the steps of a job that moves bytes during the block, on stderr if it is a terminal."""
    if not sys.stderr.isatty():
        yield ByteReporter(None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(binary_units=True),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr_console(), transient=True) as bar:
        yield ByteReporter(bar)
