"""Making the index of words anew and comparing it with the messages, batch by batch to the end."""

from collections.abc import Callable
from functools import partial

import msgspec

from userkeep.domain.scope import Rules
from userkeep.services import reindexing
from userkeep.services.reindexing import Entries, Listing
from userkeep.storage.engine import Engine

Tell = Callable[[int], None]
"""Is told, now and then, how many messages more are done."""


class IndexReport(msgspec.Struct):
    """What a comparison has found.

    Attributes:
        messages: how many were compared.
        faults: the `session_id`s of sessions whose messages are not indexed as they should be.
        expected, found: the entries of an index that is kept apart from the messages.
    """

    messages: int = 0
    faults: list[str] = msgspec.field(default_factory=list)
    expected: Entries = msgspec.field(default_factory=Entries)
    found: Entries = msgspec.field(default_factory=Entries)

    @property
    def is_well(self) -> bool:
        """Whether index and messages agree."""
        return not self.faults and self.expected == self.found


def tell_nobody(_messages: int) -> None:
    """Where nobody looks."""


def make_index(engine: Engine, rules: Rules, tell: Tell = tell_nobody) -> None:
    """Make the index anew, or go on with it where that was interrupted.

    Until it is whole nobody else should write: an instance does it before it serves.
    """
    making = engine.write(partial(reindexing.begin, rules=rules))
    is_done = False
    while not is_done:
        progress = engine.write(partial(reindexing.make, rules=rules, making=making))
        making.after, is_done = progress.after, progress.is_done
        tell(progress.messages)


def remake_index(engine: Engine, rules: Rules, tell: Tell = tell_nobody) -> None:
    """Make an index anew that does not fit."""
    engine.write(reindexing.discard)
    make_index(engine, rules, tell)


def compare_index(engine: Engine, rules: Rules, tell: Tell = tell_nobody) -> IndexReport:
    """Compare the index with all messages, in both directions."""
    report = IndexReport()
    after, is_done = 0, False
    while not is_done:
        progress = engine.read(partial(reindexing.compare, rules=rules, after=after))
        after, is_done = progress.after, progress.is_done
        report.messages += progress.messages
        report.expected += progress.entries
        report.faults += progress.faults
        tell(progress.messages)
    listing = Listing()
    while not listing.is_done:
        listing = engine.read(partial(reindexing.listed, listing=listing))
    report.found = listing.entries
    return report
