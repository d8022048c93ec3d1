"""Files that commands read and write; `-` is stdin or stdout."""

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep
from typing import BinaryIO

from userkeep.domain.errors import StorageError
from userkeep.storage.private_files import kind_of, private_draft

DASH = "-"

_DATABASE = re.compile(rb"SQLite format 3\0")
_LOG = re.compile(rb"\x37\x7f\x06[\x82\x83]")
_SECRET = re.compile(rb"[0-9a-f]{64}\s*\Z")
_LOCK = re.compile(rb'\{"pid":\d+,"url":')
_BESIDE_A_DATABASE = ("-wal", "-shm", "-journal", ".lock", ".secret", ".ledger")
_HEAD_BYTES = 100

_STANDARD = ("stdin", "stdout", "stderr")
_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(\d{1,6})")

_PIPE_ATTEMPTS = 20
_PIPE_PAUSE_S = 0.05


@contextmanager
def open_input(place: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a file for reading; give it with its size, if that is known.

    Raises:
        StorageError: it cannot be read, or is not a file.
    """
    if place == DASH:
        yield sys.stdin.buffer, None
        return
    given = _own_descriptor(place)
    try:
        # Without O_NONBLOCK, this would wait for a process that writes to a named pipe.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(place, flags) if given is None else os.dup(given)
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        kind = kind_of(status)
        if kind is not None and given is None:
            raise StorageError(
                f"{place} is a {kind}, not a file. To read from it, pass - and redirect stdin."
            )
        yield file, status.st_size or None


@contextmanager
def open_output(place: str, secrets: Sequence[str] = ()) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears, or replaces the existing one, when the block succeeds.

    Pipes and devices are written in place. A link is not followed: where others can write to the
    folder, it can lead to any file of this user.

    Args:
        place: its path.
        secrets: the paths of files with secrets, which are not overwritten.

    Raises:
        StorageError: it cannot be written, or is a link, a database or a secret.
    """
    if place == DASH:
        yield sys.stdout.buffer
        return
    path, given = Path(place), _own_descriptor(place)
    kind = _kind_at(path, place)
    if given is not None or kind in {"named pipe", "device"}:
        with _errors(place):
            descriptor = _open_in_place(place) if given is None else os.dup(given)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        return
    if kind is not None:
        raise StorageError(f"{place} is a {kind}. It was not written to; name a file.")
    _check_may_be_overwritten(path, place, secrets)
    with ExitStack() as stack:
        with _errors(place):
            draft, file = stack.enter_context(private_draft(path))
        yield file
        with _errors(place):
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)


def _kind_at(path: Path, place: str) -> str | None:
    with _errors(place):
        try:
            return kind_of(path.lstat())
        except FileNotFoundError:
            return None


def _own_descriptor(place: str) -> int | None:
    """Return the descriptor of this process that a path such as /dev/stdout or /dev/fd/3 names."""
    found = _DESCRIPTOR.fullmatch(place)
    if found is None:
        return None
    return _STANDARD.index(found[1]) if found[1] else int(found[2])


def _open_in_place(place: str) -> int:
    """Open a pipe or a device; a pipe needs a process that reads it."""
    for _ in range(_PIPE_ATTEMPTS):
        try:
            descriptor = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            sleep(_PIPE_PAUSE_S)
        else:
            os.set_blocking(descriptor, True)
            return descriptor
    raise OSError(errno.ENXIO, "no process reads the pipe")


def _check_may_be_overwritten(path: Path, place: str, secrets: Sequence[str]) -> None:
    kind = _kind_of_content(path, place) or _kind_of_name(path)
    if any(_is_same_file(path, each) for each in secrets):
        kind = "secret"
    if kind is not None:
        raise StorageError(f"{place} is a {kind}. It was not overwritten; name another file.")


def _kind_of_content(path: Path, place: str) -> str | None:
    if not path.is_file():
        return None
    # If this process reads the database, closing the file drops SQLite's locks; but then it ends.
    with _errors(place):
        head = _read_head(path)
    if _DATABASE.match(head):
        return "SQLite database"
    if _LOG.match(head):
        return "log of a SQLite database"
    if _SECRET.match(head):
        return "secret"
    return "lock file" if _LOCK.match(head) else None


def _kind_of_name(path: Path) -> str | None:
    if path.suffix == ".secret" and path.exists():
        return "secret"
    for end in _BESIDE_A_DATABASE:
        database = path.with_name(path.name.removesuffix(end) or "-")
        if path.name.endswith(end) and database.is_file():
            with _errors(str(database)):
                if _DATABASE.match(_read_head(database)):
                    return f"file of the database {database.name}"
    return None


def _read_head(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _HEAD_BYTES)
    finally:
        os.close(descriptor)


def _is_same_file(path: Path, other: str) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe has closed it: not an error of the file
    except OSError as error:
        raise StorageError(f"{place} cannot be written: {error.strerror}.") from error
