"""Writing a backup: a snapshot of the database and the secret in one file, sealed and verified.

The file appears under its name when it is complete, on the disk, and read back; before that it is a
draft, which is deleted however the backup ends, but for a kill.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple, Protocol

from userkeep.domain.errors import StorageError
from userkeep.domain.secret import fingerprint
from userkeep.domain.values.times import Instant, rfc3339_text
from userkeep.jobs.backup import archive
from userkeep.jobs.backup.archive import Manifest, Writer, write_archive
from userkeep.jobs.backup.folder import abandoned_in, name_of
from userkeep.jobs.stopping import Stoppable
from userkeep.storage.private_files import private_draft, publish
from userkeep.storage.sqlite.snapshot import Snapshot, take_snapshot
from userkeep.version import __version__

_READ_BYTES = 1024 * 1024


class SealingFile(Writer, Protocol):
    """Seals what is written to it."""

    def finish(self) -> None:
        """Write the end."""
        ...


class Seal(Protocol):
    """For whom backups are sealed; see `age.Recipient`."""

    def writer(self, file: BinaryIO) -> SealingFile:
        """Return what seals into a file."""
        ...


class BackupReporter(Protocol):
    """Receives the progress of a backup or of a restore, in its thread."""

    def start(self, step: str, total_bytes: int | None) -> None:
        """Report the start of a step, and how many bytes it has to do, if that is known."""
        ...

    def advance(self, done_bytes: int) -> None:
        """Report how many bytes of the step are done."""
        ...


class SilentReporter:
    """Reports nothing."""

    def start(self, step: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, done_bytes: int) -> None:
        """Do nothing."""


class BackupReport(NamedTuple):
    """A backup that was written.

    Attributes:
        path: of the file.
        size_bytes: its size.
        database_bytes: the size of the database in it.
        created_at: the database is as it was then.
        seconds: how long it took.
        is_sealed: whether a passphrase or a key is needed to read it.
        has_secret: whether it has the secret.
    """

    path: Path
    size_bytes: int
    database_bytes: int
    created_at: Instant
    seconds: float
    is_sealed: bool
    has_secret: bool


class Backup(Stoppable):
    """One backup of a SQLite database, beside the process that has it open, or in it.

    Args:
        database: the path of the database.
        destination: the file, which must not exist; or a folder, where it is named by its time.
        seal: for whom it is sealed. None: it is not sealed, and does not have the secret.
        secret: the secret of the instance, for a sealed one.
        reporter: receives the progress.
    """

    def __init__(
        self,
        database: str,
        destination: Path,
        seal: Seal | None,
        secret: bytes | None,
        reporter: BackupReporter,
    ) -> None:
        self._database = database
        self._destination = destination
        self._seal = seal
        self._secret = secret if seal is not None else None
        self._reporter = reporter

    def run(self) -> BackupReport:
        """Write the backup.

        Raises:
            StorageError: the database cannot be read, is bound to another secret, or the file
                exists or cannot be written; nothing is left under its name.
            Stopped: `stop` was called.
        """
        began_s = monotonic()
        self._check_destination()
        self._remove_abandoned()
        self._reporter.start("copying the database", None)
        with take_snapshot(self._database, self._copied) as snapshot:
            self._check_stop()
            self._check_secret(snapshot)
            path = self._path_of(snapshot)
            with _errors(path), private_draft(path) as (draft, file):
                size_bytes = self._write(snapshot, draft, file)
                publish(draft, path)
        return BackupReport(
            path,
            size_bytes,
            snapshot.size_bytes,
            snapshot.created_at,
            round(monotonic() - began_s, 1),
            self._seal is not None,
            self._secret is not None,
        )

    def _check_destination(self) -> None:
        if not self._destination.is_dir() and os.path.lexists(self._destination):
            raise StorageError(
                f"{self._destination} exists, and was not overwritten. Name another file, or a "
                "folder."
            )

    def _remove_abandoned(self) -> None:
        """Remove the drafts of backups to the same place that were killed."""
        place = self._destination
        drafts = abandoned_in(place) if place.is_dir() else abandoned_in(place.parent, place.name)
        for draft in drafts:
            with suppress(OSError):
                draft.unlink()

    def _check_secret(self, snapshot: Snapshot) -> None:
        if self._secret is not None and fingerprint(self._secret) != snapshot.fingerprint:
            raise StorageError(
                f"{self._database} was created with another secret than the one that is set. Name "
                "its own in USERKEEP_SECRET_FILE, so that the backup has it."
            )

    def _path_of(self, snapshot: Snapshot) -> Path:
        if not self._destination.is_dir():
            return self._destination
        return self._destination / name_of(snapshot.created_at, is_sealed=self._seal is not None)

    def _write(self, snapshot: Snapshot, draft: Path, file: BinaryIO) -> int:
        manifest = Manifest(
            format=archive.FORMAT,
            userkeep_version=__version__,
            schema_version=snapshot.schema_version,
            created_at=rfc3339_text(snapshot.created_at),
            database_bytes=snapshot.size_bytes,
            has_secret=self._secret is not None,
        )
        self._reporter.start("writing the backup", snapshot.size_bytes)
        hashing = _HashingFile(file)
        sealing = None if self._seal is None else self._seal.writer(hashing)  # type: ignore[arg-type]
        out = hashing if sealing is None else sealing
        write_archive(out, manifest, self._secret, snapshot.file, self._advance)
        if sealing is not None:
            sealing.finish()
        file.flush()
        os.fsync(file.fileno())
        self._verify(draft, hashing)
        return hashing.size_bytes

    def _verify(self, draft: Path, written: "_HashingFile") -> None:
        """Read the file back: a disk may have kept something else than was written."""
        self._reporter.start("verifying the backup", written.size_bytes)
        found = _HashingFile(None)
        with draft.open("rb", buffering=0) as file:
            while data := file.read(_READ_BYTES):
                found.write(data)
                self._advance(found.size_bytes)
        if found.digest != written.digest:
            raise StorageError(
                f"{draft.parent} has another content than was written. Its disk fails."
            )

    def _copied(self, done_bytes: int, total_bytes: int) -> None:
        self._advance(min(done_bytes, total_bytes))

    def _advance(self, done_bytes: int) -> None:
        self._check_stop()
        self._reporter.advance(done_bytes)


class _HashingFile:
    """Passes on what is written, and computes its checksum and its size."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size_bytes += len(data)
        return len(data) if self._file is None else self._file.write(data)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
