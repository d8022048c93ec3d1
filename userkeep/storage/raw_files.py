"""The files of a database, read as bytes past the database itself."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol


class OpenFile(Protocol):
    """A file that is open."""

    @property
    def size(self) -> int:
        """The size in bytes, now."""
        ...

    def read(self, offset: int, amount: int) -> bytes:
        """Return bytes from an offset; fewer only where the file ends."""
        ...


class RawFile(Protocol):
    """A file of a database."""

    @property
    def name(self) -> str:
        """The name, relative to the folder of the database."""
        ...

    @property
    def label(self) -> str:
        """What a report calls the file: itself, or the folder of one among hundreds."""
        ...

    def open(self) -> AbstractContextManager[OpenFile]:
        """Open the file.

        Raises:
            OSError: it is gone, or may not be read.
        """
        ...


class PlainFile(NamedTuple):
    """A file that may be opened and closed at any time."""

    path: Path
    name: str

    @property
    def label(self) -> str:
        """The folder, which may have hundreds of files."""
        folder = PurePosixPath(self.name).parent
        return f"files in {folder}" if folder.name else "files in the data directory"

    @contextmanager
    def open(self) -> Iterator[OpenFile]:
        """Open the file."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            yield _Descriptor(descriptor)
        finally:
            os.close(descriptor)


class _Descriptor(NamedTuple):
    descriptor: int

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def read(self, offset: int, amount: int) -> bytes:
        return os.pread(self.descriptor, amount, offset)
