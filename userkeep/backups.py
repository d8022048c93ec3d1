"""Backups of an instance on SQLite, from settings: what seals them, what is in them, and when."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from userkeep.config import SettingError, Settings, is_postgres, sqlite_path, without_password
from userkeep.domain.errors import StorageError
from userkeep.domain.values.text import decode_file
from userkeep.instance import read_secret
from userkeep.jobs.backup.job import Backup, BackupReporter, Seal, SilentReporter
from userkeep.jobs.backup.schedule import BackupSchedule
from userkeep.storage.private_files import read_private

if TYPE_CHECKING:
    from userkeep.jobs.backup import age

MIN_PASSPHRASE = 12

_MOST_BYTES = 64 * 1024


class SealFiles:
    """What seals and opens backups, in a file; neither file: nothing does.

    The library that seals is imported only where something is sealed or opened: it is an extra, and
    its import takes time and memory.
    """

    def __init__(self, passphrase_file: str, key_file: str) -> None:
        if passphrase_file and key_file:
            raise SettingError("A backup has a passphrase or a key; name one file, not two.")
        self._passphrase_file = passphrase_file
        self._key_file = key_file

    def __bool__(self) -> bool:
        return bool(self._passphrase_file or self._key_file)

    def seal(self) -> Seal:
        """Return what seals.

        Raises:
            SettingError: the file cannot be read, or has no passphrase or key.
        """
        if self._passphrase_file:
            return passphrase(_read(self._passphrase_file, "passphrase"))
        return self._key()

    def opener(self) -> "age.Identity":
        """Return what opens.

        Raises:
            SettingError: as for `seal`, or the key only seals.
        """
        from userkeep.jobs.backup import age

        if self._passphrase_file:
            return passphrase_opener(_read(self._passphrase_file, "passphrase"))
        key = self._key()
        if isinstance(key, age.PublicKey):
            raise SettingError(
                f"{self._key_file} has a public key, which only seals. Name the file of the "
                "private key (AGE-SECRET-KEY-1…)."
            )
        return key

    def _key(self) -> "age.PrivateKey | age.PublicKey":
        from userkeep.jobs.backup import age

        key = age.parse_key(_read(self._key_file, "key"))
        if key is None:
            raise SettingError(
                f"{self._key_file} is not an age key file. It must have one private key "
                "(AGE-SECRET-KEY-1…) or one public key (age1…); `userkeep secret backup-key` makes "
                "a file."
            )
        return key


def seal_files(settings: Settings, passphrase_file: str = "", key_file: str = "") -> SealFiles:
    """Return the files that are named, or else those of the settings."""
    if passphrase_file or key_file:
        return SealFiles(passphrase_file, key_file)
    return SealFiles(settings.backup_passphrase_file, settings.backup_key_file)


def passphrase(text: str) -> "age.Passphrase":
    """Return a passphrase that seals and opens.

    Raises:
        SettingError: it is too short to seal with.
    """
    from userkeep.jobs.backup import age

    if len(text) < MIN_PASSPHRASE:
        raise SettingError(
            f"The passphrase of a backup must have at least {MIN_PASSPHRASE} characters."
        )
    return age.Passphrase(text)


def passphrase_opener(text: str) -> "age.Identity":
    """Return what opens with a passphrase."""
    from userkeep.jobs.backup import age

    return age.Passphrase(text)


def make_key() -> "age.PrivateKey":
    """Return a new key for backups."""
    from userkeep.jobs.backup import age

    return age.PrivateKey.generate()


def backup_path(settings: Settings) -> str:
    """Return the path of the database that is backed up or restored.

    Raises:
        StorageError: it is not a SQLite file.
    """
    if is_postgres(settings.database_url):
        raise StorageError(
            f"{without_password(settings.database_url)} is on PostgreSQL, which Userkeep does not "
            "back up. Use pg_dump or snapshots; after a restore, run `userkeep replay-erasures`, "
            "which deletes again who was deleted since."
        )
    path = sqlite_path(settings.database_url)
    if path == ":memory:":
        raise StorageError("An in-memory database cannot be backed up: it ends with its process.")
    return path


def make_backup(
    settings: Settings, destination: Path, seal: Seal | None, reporter: BackupReporter
) -> Backup:
    """Return the job of one backup.

    Args:
        seal: what seals it; None: it is not sealed, and does not have the secret.

    Raises:
        StorageError: there is no secret, or the database is not a SQLite file.
    """
    path = backup_path(settings)
    secret = None if seal is None else read_secret(settings, may_create=False)
    return Backup(path, destination, seal, secret, reporter)


def schedule_of(settings: Settings) -> BackupSchedule | None:
    """Return the schedule of backups of a server; None if there are none.

    Raises:
        SettingError: the folder does not exist or is not writable, or the file that seals has no
            passphrase or key.
        StorageError: there is no secret, or the database is not a SQLite file.
    """
    if not settings.backup_folder:
        return None
    folder = Path(settings.backup_folder)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SettingError(
            f"USERKEEP_BACKUP_FOLDER: {folder} is not a folder that this user may write to. Create "
            "it first."
        )
    seal = seal_files(settings).seal()

    def make() -> Backup:
        return make_backup(settings, folder, seal, SilentReporter())

    make()  # reports now what would be wrong at the first backup
    return BackupSchedule(
        folder=folder,
        every_s=settings.backup_every_hours * 3600,
        keep=settings.backup_keep,
        make=make,
    )


def _read(path: str, what: str) -> str:
    try:
        text = decode_file(read_private(path, _MOST_BYTES)).strip("\r\n")
    except ValueError as error:
        raise SettingError(f"The file {path} of the {what} cannot be read: {error}.") from error
    except OSError as error:
        raise SettingError(
            f"The file {path} of the {what} cannot be read: {error.strerror}."
        ) from error
    if not text:
        raise SettingError(f"The file {path} of the {what} is empty.")
    return text
