"""Every byte of every file below a folder: where a mark is still."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tests.residue.texts import Canaries
from userkeep.jobs.verify.patterns import Encoding, Pattern, patterns_of
from userkeep.jobs.verify.scanning import Scanner

_PAGE = 8192
_HEADER = 24
_SHOWN = 40
_PLACES_SHOWN = 5


def residue(
    folders: Sequence[Path], of: Sequence[Canaries], name_of: Callable[[Path], str] = str
) -> list[str]:
    """What is left of some people below some folders: a line for each place, five of a file.

    Args:
        name_of: says what a file is.
    """
    scanner = Scanner(_patterns(of))
    lines = []
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            for place, encoding, around in islice(_places(scanner, _read(file)), _PLACES_SHOWN):
                lines.append(f"{name_of(file)} at {place}, {encoding}: {around!r}")
    return lines


def _places(scanner: Scanner, data: bytes) -> Iterator[tuple[int, Encoding, bytes]]:
    for begin, run in _runs(data):
        for offset, pattern in scanner.find(run):
            around = run[max(0, offset - _SHOWN) : offset + len(pattern.data) + _SHOWN]
            yield begin + offset, pattern.encoding, around


def _patterns(of: Sequence[Canaries]) -> Iterator[Pattern]:
    """Of the marks every encoding, of uuids those that a database makes of them."""
    yield from patterns_of([mark for each in of for mark in each.marks])
    for pattern in patterns_of([uuid for each in of for uuid in sorted(each.uuids)]):
        if pattern.encoding in {Encoding.UTF8, Encoding.UUID_BYTES}:
            yield pattern


def _read(file: Path) -> bytes:
    """A file as it is, empty where it is gone or is none (such as a socket)."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except FileNotFoundError:
        return b""


def _runs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of a file that have something in them: PostgreSQL's log is mostly empty pages."""
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
