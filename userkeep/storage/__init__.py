"""Storage: engines that know no table, and SQL that knows no engine.

An engine runs operations (see `domain.transaction`) and returns from a write only after its commit
is durable. Named queries are in `sql/`, schema changes in `migrations/`.
"""
