"""Which schema of a database has our tables.

PostgreSQL finds a table by its name in the schemas of `search_path`, by default one with the name
of the role and then `public`. Another role that may create schemas could create one with that name,
and tables in it, which would be used instead of ours. So each connection names our schema alone.
"""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from userkeep.domain.errors import StorageError

# Those of `search_path` that exist, in order. An entry "$user" stands for the name of the role. A
# table of migrations is recognized by its columns, because other programs have one of this name.
_SCHEMAS = """
SELECT nspname,
    nspname = current_user AND current_setting('search_path') LIKE '%$user%' AS is_of_role,
    nspowner IN (SELECT oid FROM pg_roles WHERE rolname = current_user OR rolsuper) AS is_trusted,
    3 = (
        SELECT count(*) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = pg_namespace.oid AND relname = 'schema_migrations'
            AND attname IN ('number', 'name', 'applied_at')
    ) AS has_tables
FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, position)
JOIN pg_namespace ON nspname = name
WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
ORDER BY position
LIMIT 2
"""


class _Schema(NamedTuple):
    name: str
    is_of_role: bool
    is_trusted: bool
    has_tables: bool


def find_schema(connection: psycopg.Connection[Any]) -> str | None:
    """Return the schema that has our tables, or may have them; None if `search_path` names none.

    Raises:
        StorageError: it may be another role's; the message explains what to do.
    """
    found = [_Schema(*row) for row in connection.execute(_SCHEMAS)]
    if not found:
        return None
    first, others = found[0], found[1:]
    if not first.is_of_role or (first.is_trusted and first.has_tables):
        return first.name
    # The role's schema may have been created after our tables.
    if others and (others[0].has_tables or not (first.is_trusted or first.has_tables)):
        return others[0].name
    if first.is_trusted:
        return first.name
    raise StorageError(
        f"The schema {first.name} has the name of the database role, but belongs to another role, "
        "which could read and change what is stored. If that is intended, add "
        f"?options=-csearch_path%3D{first.name} to the URL; otherwise, name another schema there."
    )


def search_path(schema: str) -> str:
    """Return the statement that makes a connection find tables in a schema only.

    PostgreSQL's own names come before it by default, and temporary tables after all others.
    """
    return sql.SQL("SET search_path = {}, pg_temp").format(sql.Identifier(schema)).as_string()
