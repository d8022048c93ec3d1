"""Restoring a backup: it is verified and prepared beside the database, which is replaced last.

The steps, and what a kill leaves after each:

1. The backup is read into a draft beside the database, and verified. A draft, which the next
   restore deletes.
2. The draft is opened, brought up to date and purged (`prepare`). The same.
3. The secret is written under a name beside its own. The former database, with the former secret.
4. The former database gets a further name, and the draft its name. The former database or the
   restored one. The restored one opens with the secret beside: `instance` finds it there.
5. The secret gets its name.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from userkeep.domain.errors import StorageError
from userkeep.domain.values.times import to_datetime
from userkeep.jobs.backup.archive import Manifest, Reader, read_archive
from userkeep.jobs.backup.job import BackupReporter
from userkeep.jobs.stopping import Stoppable
from userkeep.storage.clock import system_time
from userkeep.storage.migrations import load_migrations
from userkeep.storage.private_files import (
    kind_of,
    make_private_folder,
    pending_name,
    publish,
    read_private,
    replace_private,
    sync_folder,
)
from userkeep.storage.sqlite.file_lock import FileLock
from userkeep.storage.sqlite.files import real_path
from userkeep.storage.sqlite.replacement import (
    check_restored,
    new_draft,
    remove_draft,
    set_aside,
    set_aside_name,
)

T = TypeVar("T")

SEALED_MAGIC = b"age-encryption.org/v1\n"

_MOST_SECRET_BYTES = 64 * 1024


class Opener(Protocol):
    """What opens a sealed backup; see `age.Identity`."""

    def reader(self, file: BinaryIO) -> Reader:
        """Return what reads the content."""
        ...


class Target(NamedTuple):
    """What is restored to.

    Attributes:
        database: the path of the database.
        secret_file: where the secret of the instance is read from a file; None if it is not.
        secret: the secret that is set in another way, which is not changed.
        may_replace: whether an existing database, or another secret, is replaced.
    """

    database: str
    secret_file: Path | None
    secret: bytes | None
    may_replace: bool


class RestoreReport(NamedTuple):
    """A backup that was restored.

    Attributes:
        manifest: of the backup.
        set_aside: the former files, under their new names.
        secret_file: where the secret was written; None if it was there already, or is not in the
            backup.
    """

    manifest: Manifest
    set_aside: list[Path]
    secret_file: Path | None


def is_sealed(source: Path) -> bool:
    """Return whether a file is a sealed backup.

    Raises:
        StorageError: it cannot be read.
    """
    with _open(source) as file:
        return file.read(len(SEALED_MAGIC)) == SEALED_MAGIC


class Restore(Stoppable):
    """One restore of a backup into a SQLite file that no process has open.

    Args:
        source: the file of the backup.
        opener: what opens it; None if it is not sealed.
        target: see Target.
        reporter: receives the progress.
    """

    def __init__(
        self, source: Path, opener: Opener | None, target: Target, reporter: BackupReporter
    ) -> None:
        self._source = source
        self._opener = opener
        self._target = target
        self._reporter = reporter

    def run(self, prepare: Callable[[Path, Path | None], T]) -> tuple[RestoreReport, T]:
        """Restore the backup.

        Args:
            prepare: is called with the path of the draft, whose database is verified, and the file
                with the secret of the backup, if it has one. It opens the database, and closes it;
                what it raises ends the restore with nothing changed.

        Returns:
            The report, and what `prepare` returned.

        Raises:
            StorageError: the backup is rejected, the database exists or is in use, or its folder is
                not writable; nothing was changed.
            Stopped: `stop` was called; nothing was changed.
        """
        with ExitStack() as stack:
            real = self._lock_target(stack)
            with _folder_errors(real):
                make_private_folder(Path(real).parent)
            manifest, secret, draft = self._unpack(real)
            stack.callback(remove_draft, draft)
            new_secret = self._new_secret(secret)
            prepared = self._prepare(draft, new_secret, secret or b"", prepare)
            aside = self._replace(real, draft, new_secret)
        return RestoreReport(manifest, aside, new_secret), prepared

    def _lock_target(self, stack: ExitStack) -> str:
        """Lock the database, if there is one; return its path without links."""
        path = self._target.database
        real = real_path(path)
        if not os.path.lexists(real):
            return real
        lock = FileLock(path)
        stack.callback(lock.release)
        if not self._target.may_replace:
            raise StorageError(
                f"{path} exists, and was not overwritten. With --force it is set aside, and the "
                "backup takes its place."
            )
        return real

    def _unpack(self, real: str) -> tuple[Manifest, bytes | None, Path]:
        """Read the backup into a draft, and verify it."""
        with new_draft(real) as draft:
            try:
                with _open(self._source) as file, _folder_errors(real), draft.open("r+b") as out:
                    manifest, secret = self._read(file, out)
                    out.flush()
                    os.fsync(out.fileno())
                self._reporter.start("checking the database", None)
                check_restored(draft)
            except BaseException:
                remove_draft(draft)
                raise
            return manifest, secret, draft

    def _read(self, file: BinaryIO, out: BinaryIO) -> tuple[Manifest, bytes | None]:
        try:
            reader: Reader = file if self._opener is None else self._opener.reader(file)
            return read_archive(reader, self._accept, out, self._advance)
        except StorageError as error:
            raise StorageError(f"{self._source} was rejected. {error.detail}") from error

    def _accept(self, manifest: Manifest) -> None:
        known = load_migrations("sqlite")[-1].number
        if manifest.schema_version > known:
            raise StorageError(
                f"It was made by Userkeep {manifest.userkeep_version}, with the schema version "
                f"{manifest.schema_version}; this program supports up to {known}. Install that "
                "version."
            )
        self._reporter.start("reading the backup", manifest.database_bytes)

    def _advance(self, done_bytes: int) -> None:
        self._check_stop()
        self._reporter.advance(done_bytes)

    def _new_secret(self, secret: bytes | None) -> Path | None:
        """Return where the secret is to be written; None if it is in force already.

        Raises:
            StorageError: another one is set.
        """
        target = self._target
        if secret is None:
            return None
        if target.secret is not None:
            if target.secret.strip() != secret.strip():
                raise StorageError(
                    "USERKEEP_SECRET is another secret than that of the backup. Set it to the one "
                    "of the backup, or unset it: then the secret is written to a file."
                )
            return None
        file = target.secret_file
        if file is None or (os.path.lexists(file) and _read(file) == secret.strip()):
            return None
        if os.path.lexists(file) and not target.may_replace:
            raise StorageError(
                f"{file} has another secret than the backup, and was not overwritten. With --force "
                "it is set aside."
            )
        return file

    def _prepare(
        self,
        draft: Path,
        new_secret: Path | None,
        secret: bytes,
        prepare: Callable[[Path, Path | None], T],
    ) -> T:
        if new_secret is None:
            return self._prepared(prepare(draft, None))
        pending = pending_name(new_secret)
        with _folder_errors(str(pending)):
            make_private_folder(pending.parent)
            replace_private(pending, secret + b"\n")
        try:
            return self._prepared(prepare(draft, pending))
        except BaseException:
            pending.unlink(missing_ok=True)
            raise

    def _prepared(self, prepared: T) -> T:
        self._check_stop()
        return prepared

    def _replace(self, real: str, draft: Path, new_secret: Path | None) -> list[Path]:
        moment = to_datetime(system_time()).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = []
        with _folder_errors(real):
            if new_secret is not None and os.path.lexists(new_secret):
                aside.append(set_aside_name(new_secret, moment))
                aside[-1].hardlink_to(new_secret)
            if os.path.lexists(real):
                aside.append(set_aside(real, moment))
                draft.replace(real)
                sync_folder(draft.parent)
            else:
                publish(draft, Path(real))
            if new_secret is not None:
                with suppress(FileNotFoundError):  # a server that has just started was first
                    pending_name(new_secret).replace(new_secret)
                sync_folder(new_secret.parent)
        return aside


def _read(path: Path) -> bytes:
    try:
        return read_private(path, _MOST_SECRET_BYTES).strip()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def _open(source: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"{source} cannot be read: {error.strerror}.") from error
    kind = kind_of(os.fstat(descriptor))
    if kind is not None:
        os.close(descriptor)
        raise StorageError(f"{source} is a {kind}, not a backup.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


@contextmanager
def _folder_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
