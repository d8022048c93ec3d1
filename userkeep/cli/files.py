"""Files that commands read and write; `-` is stdin or stdout."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from userkeep.domain.errors import StorageError

DASH = "-"
_SQLITE_HEADER = b"SQLite format 3\0"


@contextmanager
def open_input(place: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a file for reading; give it with its size, if that is known.

    Raises:
        StorageError: it cannot be read.
    """
    if place == DASH:
        yield sys.stdin.buffer, None
        return
    try:
        file = Path(place).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}.") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size or None


@contextmanager
def open_output(place: str) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears, or replaces the existing one, when the block succeeds.

    Raises:
        StorageError: it cannot be written, or is a database or a secret.
    """
    if place == DASH:
        yield sys.stdout.buffer
        return
    path = Path(os.path.realpath(place))
    _check_is_no_database(path, place)
    if os.path.lexists(place) and not _is_replaceable(path):
        with _errors(place), Path(place).open("wb") as file:
            yield file
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _errors(place):
        file = open(draft, "xb", opener=_open_private)  # noqa: SIM115 - has an opener
    try:
        with file:
            yield file
            with _errors(place):
                file.flush()
                os.fsync(file.fileno())
        with _errors(place):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    """Open a file for the user alone: an export has personal data."""
    return os.open(path, flags, 0o600)


def _check_is_no_database(path: Path, place: str) -> None:
    if not path.is_file():
        return
    # If this process reads the database, closing the file drops SQLite's locks; but then it ends.
    with _errors(place), path.open("rb") as file:
        is_database = file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    if is_database or path.suffix == ".secret":
        kind = "SQLite database" if is_database else "secret"
        raise StorageError(f"{place} is a {kind}. It was not overwritten; name another file.")


def _is_replaceable(path: Path) -> bool:
    """Return whether a new file may replace this one; pipes and devices are written in place."""
    is_device = path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm")  # noqa: S108
    is_system = is_device or path.is_relative_to("/proc")
    return path.is_file() and not path.is_symlink() and not is_system


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{place} cannot be written: {error.strerror}.") from error
