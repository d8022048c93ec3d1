"""A disk that fails, or is slow, on demand: a VFS between SQLite and the operating system."""

from time import sleep

import apsw


class FaultyDisk(apsw.VFS):
    """Works until `error` is set.

    Attributes:
        error: what to fail with; None: nothing fails.
        fails_on: which calls fail: `read`, `write`, `sync`.
        mark: only a write that contains these bytes fails; empty: any.
        file: only files whose name ends so fail, such as `.db` or `-wal`; empty: any.
        sync_s: how long a sync takes, in seconds.
    """

    def __init__(self) -> None:
        self.error: type[apsw.Error] | None = None
        self.fails_on = {"write"}
        self.mark = b""
        self.file = ""
        self.sync_s = 0.0
        self.real = apsw.vfs_names()[0]
        super().__init__("faulty", self.real, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _FaultyFile(self, name, flags)

    def check(self, call: str, file: str, data: bytes = b"") -> None:
        """Fail, if the call matches the settings."""
        if self.error and call in self.fails_on and self.mark in data and file.endswith(self.file):
            raise self.error(f"the disk fails on {call}")


class _FaultyFile(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(disk.real, name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.check("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.check("write", self._name, data)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.check("sync", self._name)
        sleep(self._disk.sync_s)
        super().xSync(flags)
