"""What is in a backup: a tar file, which may be sealed as a whole.

Its members are, in this order: `manifest.json`; `secret`, unless it was left out; `userkeep.db`, a
SQLite file; and `SHA256SUMS`, the checksums of the others, as `sha256sum --check` reads them. They
are written and read as a stream, in constant memory.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable
from typing import BinaryIO, Protocol

import msgspec

from userkeep.domain.errors import StorageError

FORMAT = 1
DATABASE = "userkeep.db"

_MANIFEST = "manifest.json"
_SECRET = "secret"  # noqa: S105 - the name of a member
_SUMS = "SHA256SUMS"
_MOST_BYTES = 64 * 1024
"""Of each member but the database."""

_MODE = 0o600
_READ_BYTES = 256 * 1024
_NOT_A_BACKUP = "It is not a backup of Userkeep, or it was altered."
_CUT = "It was cut short: its end is missing. Nothing of it was used."


class Writer(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Write bytes."""
        ...


class Reader(Protocol):
    """Gives bytes."""

    def read(self, amount: int, /) -> bytes:
        """Return the next bytes; fewer than `amount` only at the end."""
        ...


class Manifest(msgspec.Struct):
    """What a backup has.

    Attributes:
        format: the version of this form.
        userkeep_version: of the program that wrote it.
        schema_version: the number of the last migration of the database.
        created_at: when the database was as it is in the backup: RFC 3339.
        database_bytes: the size of the database.
        has_secret: whether it has the secret of the instance.
    """

    format: int
    userkeep_version: str
    schema_version: int
    created_at: str
    database_bytes: int
    has_secret: bool


def write_archive(
    out: Writer,
    manifest: Manifest,
    secret: bytes | None,
    database: BinaryIO,
    report: Callable[[int], None],
) -> None:
    """Write a backup.

    Args:
        database: open for reading, at its begin.
        report: called with the number of bytes of the database that are written; what it raises
            ends the backup.

    Raises:
        OSError: what `out` or `database` raises.
    """
    sums: list[str] = []
    with _tar("w|", out) as tar:
        tar.copybufsize = _READ_BYTES  # type: ignore[attr-defined]

        def add(name: str, size: int, file: Reader) -> None:
            counted = _Counted(file, report if name == DATABASE else _ignore)
            member = tarfile.TarInfo(name)
            member.size, member.mode = size, _MODE
            tar.addfile(member, counted)  # type: ignore[arg-type]
            sums.append(f"{counted.digest}  {name}\n")

        def add_bytes(name: str, content: bytes) -> None:
            add(name, len(content), io.BytesIO(content))

        add_bytes(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        if secret is not None:
            add_bytes(_SECRET, secret)
        add(DATABASE, manifest.database_bytes, database)
        add_bytes(_SUMS, "".join(sums).encode())


def read_archive(
    source: Reader,
    accept: Callable[[Manifest], None],
    database: BinaryIO,
    report: Callable[[int], None],
) -> tuple[Manifest, bytes | None]:
    """Read a backup to its last byte, and verify its checksums.

    Args:
        accept: called with the manifest before the database is read; what it raises ends it.
        database: where the database is written.
        report: called with the number of bytes of the database that are read; as `accept`.

    Returns:
        The manifest, and the secret, if it has one.

    Raises:
        StorageError: it is no backup, of a newer form, was altered, or was cut short.
        OSError: what `database` raises.
    """
    sums: list[str] = []
    try:
        with _tar("r|", source) as tar:
            members = _Members(tar, sums)
            manifest = _parse_manifest(members.read(_MANIFEST))
            accept(manifest)
            secret = members.read(_SECRET) if manifest.has_secret else None
            members.copy(DATABASE, manifest.database_bytes, database, report)
            expected = "".join(sums).encode()
            if members.read(_SUMS) != expected:
                raise StorageError("Its checksums are wrong: it was altered, or is damaged.")
            if tar.next() is not None:
                raise StorageError(_NOT_A_BACKUP)
        while source.read(_READ_BYTES):  # a sealed file is authentic only at its end
            pass
    except (tarfile.TarError, EOFError) as error:
        raise StorageError(_CUT if sums else _NOT_A_BACKUP) from error
    return manifest, secret


def _tar(mode: str, file: Reader | Writer) -> tarfile.TarFile:
    return tarfile.open(  # type: ignore[no-any-return, call-overload]
        fileobj=file, mode=mode, format=tarfile.PAX_FORMAT, bufsize=_READ_BYTES
    )


class _Members:
    """Reads the members of a tar file, whose names and order are known."""

    def __init__(self, tar: tarfile.TarFile, sums: list[str]) -> None:
        self._tar = tar
        self._sums = sums

    def read(self, name: str) -> bytes:
        content = io.BytesIO()
        self._copy(name, content, _ignore, most_bytes=_MOST_BYTES)
        return content.getvalue()

    def copy(self, name: str, size: int, out: BinaryIO, report: Callable[[int], None]) -> None:
        if self._copy(name, out, report, most_bytes=size) != size:
            raise StorageError(_NOT_A_BACKUP)

    def _copy(
        self, name: str, out: BinaryIO, report: Callable[[int], None], *, most_bytes: int
    ) -> int:
        member = self._tar.next()
        if member is None:
            raise StorageError(_CUT)
        file = self._tar.extractfile(member) if member.isreg() else None
        if member.name != name or file is None or member.size > most_bytes:
            raise StorageError(_NOT_A_BACKUP)
        counted = _Counted(file, report)
        while data := counted.read(_READ_BYTES):
            out.write(data)
        self._sums.append(f"{counted.digest}  {name}\n")
        return member.size


class _Counted:
    """Reads a file, and computes its checksum."""

    def __init__(self, file: Reader, report: Callable[[int], None]) -> None:
        self._file = file
        self._report = report
        self._hash = hashlib.sha256()
        self._done = 0

    def read(self, amount: int) -> bytes:
        data = self._file.read(amount)
        self._hash.update(data)
        self._done += len(data)
        self._report(self._done)
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _parse_manifest(content: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StorageError(_NOT_A_BACKUP) from error
    if manifest.format > FORMAT:
        raise StorageError(
            f"It was made by Userkeep {manifest.userkeep_version}, in a form that this version "
            "cannot read. Install that version."
        )
    return manifest


def _ignore(_done: int) -> None: ...
