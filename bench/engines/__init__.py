"""What the benchmark must know of an engine: how to make databases on it, and how to watch it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from bench.floor.native import Native
from bench.floor.replay import Noted, Replay
from bench.rows import Rates
from bench.seed import Seeded


class Watched(Protocol):
    """The statements that databases run."""

    def delete(self) -> None:
        """Begin anew."""
        ...

    def statements(self) -> Sequence[str]:
        """What has been run since then, without what holds a write together."""
        ...


class Engine(Protocol):
    """An engine of the product, and databases on it."""

    @property
    def floor(self) -> str:
        """The name of its floor."""
        ...

    @property
    def rates(self) -> Rates:
        """What is measured on it, with its goals."""
        ...

    @property
    def results(self) -> Path:
        """The file that keeps what a whole run gives."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the results must know."""
        ...

    def facts(self) -> Mapping[str, str]:
        """The versions of driver and database, with the settings that matter."""
        ...

    def empty(self, name: str) -> str:
        """The URL of a database in which there is nothing yet."""
        ...

    def seeded(self, size: Seeded, name: str) -> str:
        """The URL of a new database of this size, already on the disk."""
        ...

    def large(self, size: Seeded) -> str:
        """The URL of a database that is only read, in memory where there is room for it."""
        ...

    def filled(self, name: str, size: int, fill: Callable[[str], None]) -> str:
        """The URL of a database that somebody fills through the product, in memory if it fits.

        Args:
            name: what is in it; a database of the same name need not be filled again.
            size: about how many bytes it has.
            fill: is given the URL of an empty one.
        """
        ...

    def copied(self, url: str, name: str) -> str:
        """The URL of a copy of a database that nobody has open, to be written to."""
        ...

    def bytes_of(self, url: str) -> int:
        """How large a database is; somebody may have it open."""
        ...

    def execute(self, url: str, statements: Sequence[str]) -> None:
        """Run statements on a database that nobody has open."""
        ...

    def noting(self) -> AbstractContextManager[Noted]:
        """Note what the product reads in this process."""
        ...

    def replay(self, url: str) -> Replay:
        """What runs again what was noted."""
        ...

    def watched(self, urls: Sequence[str]) -> AbstractContextManager[Watched]:
        """Write down what is run on databases."""
        ...

    def options(self, url: str, of_reads: Sequence[str]) -> list[str]:
        """What its floor is told, where the product runs these statements for reads."""
        ...

    def native(self, url: str, of_reads: Sequence[str]) -> Native:
        """Its floor in this process, told the same."""
        ...

    def alone(self, size: Seeded) -> list[str]:
        """What `bench.floor.alone` is told; nothing where statements alone say nothing."""
        ...

    @property
    def is_beside(self) -> bool:
        """Whether the database has processes of its own, and `used_s` knows them."""
        ...

    def used_s(self) -> float:
        """The seconds of processor that the database's processes have used so far."""
        ...
