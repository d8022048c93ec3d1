"""The SQLite engine: one file, locked by one process, with one writer and many readers."""

from userkeep.storage.sqlite.engine import SqliteEngine
from userkeep.storage.sqlite.read_only_engine import ReadOnlySqliteEngine

__all__ = ["ReadOnlySqliteEngine", "SqliteEngine"]
