"""What the benchmark must know of an engine: how to make databases on it, and how to watch it."""

from bench.databases.postgres import PostgresDatabases
from bench.databases.sqlite import SqliteDatabases

Databases = SqliteDatabases | PostgresDatabases
