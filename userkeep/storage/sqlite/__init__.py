"""SQLite: one file, one owner, one writer lane, and readers that never wait for it."""

from userkeep.storage.sqlite.engine import SqliteEngine

__all__ = ["SqliteEngine"]
