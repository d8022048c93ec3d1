"""PostgreSQL: lanes of connections, several servers on one database."""

from recollect.storage.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
