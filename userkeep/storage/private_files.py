"""Files that only their user may read: how they are created, read and checked.

Conversations, secrets and exports are private whatever the umask is. Where others can write to the
folder, they can put symbolic links, pipes or files of their own at the names that are used here. So
no link is followed for what is created, nothing but a regular file is read, and names that need not
be known before are random.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from userkeep.domain.errors import StorageError

MODE = 0o600
FOLDER_MODE = 0o700

_OTHERS = 0o077
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "disk",
    stat.S_IFLNK: "symbolic link",
}


def check_parents(folder: Path) -> None:
    """Check that a folder is there, or the one that it is in: else the path is probably mistyped.

    Raises:
        StorageError: both are missing.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    if len(missing) > 1:
        raise StorageError(
            f"The folder {missing[-1]} does not exist, so {folder} was not created. Check the "
            "path, or create the folder first."
        )


def make_private_folder(folder: Path) -> None:
    """Create a folder for the current user only, if it is missing; never the one that it is in.

    Raises:
        StorageError: the folder that it is in is missing.
        OSError: it cannot be created.
    """
    check_parents(folder)
    if not os.path.lexists(folder):
        with suppress(FileExistsError):  # another process creates it at the same time
            folder.mkdir(mode=FOLDER_MODE)
            folder.chmod(FOLDER_MODE)  # a umask may have taken our own rights away
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def is_on_read_only_disk(folder: Path) -> bool:
    """Return whether the file system of a folder is mounted read-only."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def create_private(path: str | Path) -> int:
    """Create a file for the current user only; return its descriptor, for reading and writing.

    Raises:
        FileExistsError: there is something with this name, a link included.
        OSError: it cannot be created.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, MODE)
    os.fchmod(descriptor, MODE)  # a umask may have taken our own rights away
    return descriptor


@contextmanager
def private_draft(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Create a file beside another one, under a random name; delete what is left of it at the end.

    The name is random, because one that a process would choose again may be left from a crash.

    Yields:
        Its path, and the file, open for writing.

    Raises:
        OSError: it cannot be created.
    """
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(create_private(draft), "wb") as file:
            yield draft, file
    finally:
        draft.unlink(missing_ok=True)


def publish(draft: Path, path: Path) -> None:
    """Give a complete file its name, which nothing has.

    Raises:
        FileExistsError: something has the name now. OSError: it cannot be done.
    """
    try:
        path.hardlink_to(draft)  # unlike a rename, it overwrites nothing
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        draft.rename(path)  # the file system has no links
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside_database(path: str, end: str) -> list[Path]:
    """Return where a file that belongs to a database can be, the place that counts first.

    Behind a symbolic link it is beside the file itself, so that every path to the database leads to
    it. It may also be beside the link, and counts there if it is nowhere else.

    Args:
        path: of the database.
        end: what follows the name of the database, such as `.secret`.
    """
    given = Path(f"{path}{end}")
    if not Path(path).is_symlink():
        return [given]
    real = Path(f"{os.path.realpath(path)}{end}")
    is_at_link = os.path.lexists(given) and not os.path.lexists(real)
    return [given, real] if is_at_link else [real, given]


def pending_name(path: Path) -> Path:
    """Return where the new secret is that replaces the one in a file in the next moment.

    If the process ends before it does, the next one that opens the database does it: the database
    has the fingerprint of its own secret.
    """
    return path.with_name(f"{path.name}.new")


def replace_private(path: Path, content: bytes) -> None:
    """Write a file whole, for the current user only, in the place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    with private_draft(path) as (draft, file):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)
    sync_folder(path.parent)


def read_private(path: str | Path, most_bytes: int) -> bytes:
    """Return the content of a file. It never waits, as it would for a pipe.

    Raises:
        OSError: it cannot be read, is a pipe or a folder, or is larger than `most_bytes`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        kind = kind_of(os.fstat(descriptor))
        if kind not in {None, "device"}:
            raise OSError(errno.EINVAL, f"it is a {kind}, not a file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes")
    return content


def kind_of(status: os.stat_result) -> str | None:
    """Return what something is, in words; None for a regular file."""
    if stat.S_ISREG(status.st_mode):
        return None
    return _KINDS.get(stat.S_IFMT(status.st_mode), "special file")


def exposure(path: Path) -> str | None:
    """Return who else than the current user can read or write a file, in words; or None.

    A folder is named only if others can replace the files in it.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        is_open = mode & stat.S_IWOTH and not mode & stat.S_ISVTX
        return f"{path} can be changed by every user (mode {mode:04o})" if is_open else None
    if status.st_uid not in {os.geteuid(), 0}:
        return f"{path} belongs to another user (number {status.st_uid})"
    if mode & _OTHERS:
        return f"{path} can be used by other users (mode {mode:04o})"
    return None
