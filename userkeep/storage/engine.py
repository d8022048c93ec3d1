"""The interface of an engine, for APIs and the embedded client."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, Self, TypeVar

from userkeep.domain.purge import SkippedStep
from userkeep.domain.transaction import Operation
from userkeep.domain.vectors.index import LargeCollection
from userkeep.domain.verification import Skipped
from userkeep.storage.figures import Disk, Figures
from userkeep.storage.raw_files import RawFile

T = TypeVar("T")

Dialect = Literal["sqlite", "postgres"]


class Files(NamedTuple):
    """The files of a database, as bytes.

    Attributes:
        raw: the files that can be read. Data that moves from one to another while they are read in
            this order is found in one of them at least.
        skipped: what else there is, with the reason why it cannot be read.
    """

    raw: tuple[RawFile, ...]
    skipped: tuple[Skipped, ...]


class Engine(Protocol):
    """Runs operations. Every way to run one raises what the operation raises, and Unavailable.

    A read sees one snapshot. A write returns after its commit is durable. It runs even if its
    caller has left, and it may run twice: when another operation of its group commit fails, a
    connection breaks, or another transaction holds a lock.
    """

    @property
    def dialect(self) -> Dialect:
        """The dialect of its queries."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same database at the same time."""
        ...

    def read(self, operation: Operation[T]) -> T:
        """Run a read, from any thread."""
        ...

    def write(self, operation: Operation[T]) -> T:
        """Run a write, from any thread."""
        ...

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        """Run a read from the event loop.

        If the calling task is cancelled, a read that runs beside the loop ends soon and frees its
        thread and its connection.

        Args:
            is_bounded: whether an index and a page of at most 100 rows bound it, so that it may run
                on the loop itself. Any other runs in a thread, Python and statements, within a time
                limit (see domain.deadline).
        """
        ...

    async def write_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        """Run a write from the event loop.

        Args:
            is_bounded: whether it writes little. Any other runs in a thread, Python and statements.
        """
        ...

    def describe(self) -> str:
        """Return the engine and the location of the database, without passwords."""
        ...

    def figures(self) -> Figures:
        """Return what the engine does at the moment, as numbers."""
        ...

    def disk(self) -> Disk | None:
        """Return the disk of the database's files; None if this process does not know it."""
        ...

    def files(self) -> Files:
        """Return the files of the database as they are now, for a scan of their bytes."""
        ...

    def compactor(self, tables: Mapping[str, Sequence[str]]) -> "Compactor":
        """Return a compactor for one purge.

        Args:
            tables: the tables with personal data and their columns with personal data, for an
                engine that rewrites table by table.
        """
        ...

    def vector_indexer(self) -> "VectorIndexer | None":
        """Return what builds approximate indexes of embeddings; None if the engine has none."""
        ...

    def close(self) -> None:
        """Finish what is queued, then close the database. In a forked process, do nothing."""
        ...


class Compactor(Protocol):
    """Rewrites the database, so that deleted data is no longer in its files.

    Enter it to take the lock of purges: one runs at a time for each database. It can be interrupted
    at any point without harm, and then runs again from the beginning.
    """

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            Unavailable: another purge is running.
        """
        ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, report: Callable[[str], None]) -> list[SkippedStep]:
        """Rewrite the database; return the steps that could not be done here.

        Args:
            report: called with the name of each step.

        Raises:
            Unavailable: something prevents it now, which the message names, or it was stopped.
        """
        ...

    def stop(self) -> None:
        """Make `run` end soon, from any thread."""
        ...


class VectorIndexer(Protocol):
    """Builds approximate indexes of large collections, concurrently with requests."""

    def run(self, collections: Sequence[LargeCollection], least: int) -> None:
        """Build the indexes that are missing, and drop those that are not wanted any more.

        It can take minutes, and does nothing while another process does it, or a purge runs. An
        interrupted index is built again by the next call.

        Args:
            collections: all with as many embeddings as half of `least`, at least.
            least: a collection with so many embeddings gets an index.

        Raises:
            Unavailable: an index could not be built, for a reason that the message names.
        """
        ...

    def stop(self) -> None:
        """Make `run` end soon, from any thread."""
        ...
