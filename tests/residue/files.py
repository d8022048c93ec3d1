"""Scan every byte of the files in a folder for the marks of deleted users."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tests.residue.texts import Canaries
from userkeep.jobs.verify.patterns import Encoding, Pattern, patterns_of
from userkeep.jobs.verify.scanning import Scanner

_PAGE = 8192
_HEADER = 24
_SHOWN = 40
_FINDINGS_SHOWN = 5


def find_residue(
    folders: Sequence[Path], of: Sequence[Canaries], name_of: Callable[[Path], str] = str
) -> list[str]:
    """Return the residue of some users in some folders: a line per finding, at most five per file.

    Args:
        name_of: describes a file.
    """
    scanner = Scanner(_patterns(of))
    lines = []
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            for position, encoding, around in islice(
                _findings(scanner, _read(file)), _FINDINGS_SHOWN
            ):
                lines.append(f"{name_of(file)} at {position}, {encoding}: {around!r}")
    return lines


def _findings(scanner: Scanner, data: bytes) -> Iterator[tuple[int, Encoding, bytes]]:
    for begin, run in _runs(data):
        for offset, pattern in scanner.find(run):
            around = run[max(0, offset - _SHOWN) : offset + len(pattern.data) + _SHOWN]
            yield begin + offset, pattern.encoding, around


def _patterns(of: Sequence[Canaries]) -> Iterator[Pattern]:
    """Yield every encoding of the marks, and the encodings of uuids that databases use."""
    yield from patterns_of([mark for each in of for mark in each.marks])
    for pattern in patterns_of([uuid for each in of for uuid in sorted(each.uuids)]):
        if pattern.encoding in {Encoding.UTF8, Encoding.UUID_BYTES}:
            yield pattern


def _read(file: Path) -> bytes:
    """Return the content of a file; empty if it is gone or not a file (such as a socket)."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except FileNotFoundError:
        return b""


def _runs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of a file that are not empty: most pages of the WAL of PostgreSQL are."""
    begin: int | None = None
    for at in range(0, len(data), _PAGE):
        is_empty = len(data[at : at + _PAGE].rstrip(b"\0")) <= _HEADER
        if is_empty and begin is not None:
            yield begin, data[begin:at]
            begin = None
        elif not is_empty and begin is None:
            begin = at
    if begin is not None:
        yield begin, data[begin:]
