"""The full-text index: rebuild it, and compare it with the messages, batch by batch."""

from collections.abc import Callable
from functools import partial

import msgspec

from userkeep.domain.scope import Rules
from userkeep.domain.search.index import EntryDigest, EntryScan
from userkeep.domain.transaction import Transaction
from userkeep.services import reindexing
from userkeep.storage.engine import Engine

Progress = Callable[[int], None]
"""Called after each batch with the number of its messages."""


class IndexReport(msgspec.Struct):
    """The result of a comparison.

    Attributes:
        messages: the number of messages that were compared.
        faults: the `session_id`s of sessions whose messages are not indexed correctly.
        expected, found: the entries of an index that is stored apart from the messages.
    """

    messages: int = 0
    faults: list[str] = msgspec.field(default_factory=list)
    expected: EntryDigest = msgspec.field(default_factory=EntryDigest)
    found: EntryDigest = msgspec.field(default_factory=EntryDigest)

    @property
    def is_correct(self) -> bool:
        """Whether index and messages agree."""
        return not self.faults and self.expected == self.found


def no_progress(_messages: int) -> None:
    """Ignore the progress."""


def build_index(engine: Engine, rules: Rules, progress: Progress = no_progress) -> None:
    """Build the index, or continue where a build was interrupted.

    Nothing else may write until it is complete: an instance builds it before it serves.
    """
    build = engine.write(partial(reindexing.begin, rules=rules))
    is_done = False
    while not is_done:
        batch = engine.write(partial(reindexing.advance, rules=rules, build=build))
        build.after, is_done = batch.after, batch.is_done
        progress(batch.messages)


def rebuild_index(engine: Engine, rules: Rules, progress: Progress = no_progress) -> None:
    """Discard the index and build it again."""
    engine.write(reindexing.discard)
    build_index(engine, rules, progress)


def compare_index(engine: Engine, rules: Rules, progress: Progress = no_progress) -> IndexReport:
    """Compare the index with all messages, in both directions."""
    report = IndexReport()
    after, is_done = 0, False
    while not is_done:
        batch = engine.read(partial(reindexing.compare, rules=rules, after=after))
        after, is_done = batch.after, batch.is_done
        report.messages += batch.messages
        report.expected += batch.expected
        report.faults += batch.faults
        progress(batch.messages)
    scan = EntryScan()
    while not scan.is_done:
        scan = engine.read(partial(_continue_scan, scan=scan))
    report.found = scan.digest
    return report


def _continue_scan(tx: Transaction, scan: EntryScan) -> EntryScan:
    return tx.search_index.scan(scan)
