"""What an engine offers to doors and to the embedded caller."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, Self, TypeVar

from userkeep.domain.purge import NotDone
from userkeep.domain.transaction import Operation
from userkeep.domain.verification import NotLookedAt
from userkeep.storage.raw_files import RawFile

T = TypeVar("T")

Dialect = Literal["sqlite", "postgres"]


class Files(NamedTuple):
    """The files of a database, as bytes.

    Attributes:
        raw: those that can be read, in an order in which what moves from one to another while they
            are read is met in the second at least.
        unread: what there is besides and cannot be read, or why there is nothing.
    """

    raw: tuple[RawFile, ...]
    unread: tuple[NotLookedAt, ...]


class Engine(Protocol):
    """Runs operations. Each of its four ways raises what the operation raises, and Unavailable.

    A read sees one snapshot. A write returns after its commit is durable; it runs even if whoever
    waited for it has left, and it may run twice where a neighbour in its group broke the group's
    transaction.
    """

    @property
    def dialect(self) -> Dialect:
        """Which queries it is given."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes may be at work on the same database."""
        ...

    def read(self, operation: Operation[T]) -> T:
        """Run a read from any thread."""
        ...

    def write(self, operation: Operation[T]) -> T:
        """Run a write from any thread."""
        ...

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        """Run a read from the event loop.

        A short one (bounded by an index and a page of at most 100) may run on the loop itself; any
        other runs in a lane beside it, within the engine's time limit.
        """
        ...

    async def write_async(self, operation: Operation[T]) -> T:
        """Run a write from the event loop."""
        ...

    def describe(self) -> str:
        """Which engine and where, for a banner: without passwords."""
        ...

    def files(self) -> Files:
        """The files of the database as they are now, to look into past the database itself."""
        ...

    def rewriter(self, tables: Mapping[str, Sequence[str]]) -> "Rewriter":
        """What writes the database anew, for one purge.

        Args:
            tables: those in which people's data is, with the columns in which it is, for an engine
                that writes table by table.
        """
        ...

    def close(self) -> None:
        """Finish what is queued, then let go of the database."""
        ...


class Rewriter(Protocol):
    """Writes the database anew, so that what was deleted before is no longer in its files.

    Whoever enters it holds the right to; there is one at a time for each database. Whatever stops
    it half-way, nothing is harmed: all of it can be done again.
    """

    def __enter__(self) -> Self:
        """Take the right to.

        Raises:
            Unavailable: somebody else is at it.
        """
        ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, tell: Callable[[str], None]) -> list[NotDone]:
        """Write it anew; what could not be done here.

        Args:
            tell: is told what is being done, at each step.

        Raises:
            Unavailable: something is in the way now, which the sentence names, or it was stopped.
        """
        ...

    def stop(self) -> None:
        """Let `run` end soon, from any thread."""
        ...
