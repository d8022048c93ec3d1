"""The PostgreSQL engine: connection pools, and several servers on one database."""

from userkeep.storage.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
