"""What tests of backups share: keys, and what is in a database and in a backup."""

import hashlib
import io
import tarfile
from pathlib import Path

from tests.cli.running import userkeep
from userkeep.jobs.backup.age import PrivateKey
from userkeep.jobs.copy.checksums import Checksum, Checksummer
from userkeep.jobs.copy.sqlite import SqliteTables
from userkeep.jobs.copy.tables import TABLES
from userkeep.storage.sqlite.read_only import open_read_only

PASSPHRASE = "correct horse battery staple"


def write_key(folder: Path, name: str = "backup.key") -> Path:
    """Write a new key file."""
    path = folder / name
    path.write_text(f"# for tests\n{PrivateKey.generate().text}\n")
    return path


def content_of(path: Path) -> dict[str, Checksum]:
    """Return the checksum of each table of a database, but of the table about the instance."""
    checksums = {}
    with open_read_only(str(path)) as connection:
        tables = SqliteTables(connection, str(path))
        for table in TABLES:
            checksummer = Checksummer(table)
            rows = list(tables.rows(table))
            if rows:
                checksummer.add(rows)
            checksums[table.name] = checksummer.checksum
    del checksums["instance"]
    return checksums


def members_of(archive: bytes) -> dict[str, bytes]:
    """Return the members of an opened backup, whose checksums are right."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]
    for line in members["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(members[name]).hexdigest() == digest
    return members


def make_instance(folder: Path, *, messages: int = 3) -> Path:
    """Create an instance with a user, in `data`; return the path of its database."""
    database = folder / "data" / "userkeep.db"
    url = f"sqlite:///{database}"
    userkeep("users", "add", "jane", "--database", url, folder=folder)
    for number in range(messages):
        words = ("messages", "add", "s1", f"message {number}", "--user-id", "jane")
        assert userkeep(*words, "--database", url, folder=folder).returncode == 0
    return database
