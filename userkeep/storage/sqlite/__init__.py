"""The SQLite engine: one file, locked by one process, with one writer and many readers."""

from userkeep.storage.sqlite.engine import SqliteEngine

__all__ = ["SqliteEngine"]
