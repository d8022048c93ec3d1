"""Compressed files of exports: gzip, which every system has."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, RawIOBase
from typing import BinaryIO, cast

from userkeep.domain.errors import BadRequest, StorageError

SUFFIX = ".gz"
_MAGIC = b"\x1f\x8b"
_LEVEL = 6


class BadGzip(BadRequest):
    """The gzip file is damaged or incomplete."""


class _GzipLines:
    """The lines of a gzip file, which is decompressed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def readline(self, size: int, /) -> bytes:
        """Return a line, or its first bytes if it is longer.

        Raises:
            BadGzip: the file is damaged or ends too early.
        """
        try:
            return self._file.readline(size)
        except EOFError as error:
            raise BadGzip("The gzip file is incomplete: it ends too early.") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise BadGzip("The gzip file is damaged.") from error


def decompressed(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """Return a file to read lines from, and whether it is compressed, which its first bytes say."""
    # A program that replaces stdin may have one without `peek`.
    buffered = file if isinstance(file, BufferedReader) else BufferedReader(cast("RawIOBase", file))
    head = buffered.peek(len(_MAGIC))[: len(_MAGIC)]
    if not head or not _MAGIC.startswith(head):
        return cast("BinaryIO", buffered), False
    return cast("BinaryIO", _GzipLines(cast("BinaryIO", buffered))), True


@contextmanager
def compressed(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file whose content is compressed into another one, without a name or a time.

    Raises:
        StorageError: its end cannot be written.
    """
    lines = gzip.GzipFile("", "wb", _LEVEL, file, 0)
    try:
        yield cast("BinaryIO", lines)
    except BaseException:
        with suppress(OSError):
            lines.close()
        raise
    try:
        lines.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"The export cannot be written: {error.strerror}.") from error
