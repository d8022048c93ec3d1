"""Row-level security: PostgreSQL itself keeps each project's rows from the others.

Every table whose rows belong to a project gets a policy. It compares the column `project_id` with a
parameter that belongs to the transaction, `userkeep.project_id`: the number of a project, or `all`.
Without it no row is visible, and none can be written. So a query of ours without its condition on
the project finds nothing of another one.

The policy is written for the planner:

- The parameter is read in a subquery, once for each statement.
- `IS NOT NULL` around it is expected to hold for nearly all rows, so estimates stay as they are
  without the policy. Any other form would count the project's share of a table twice.
- A condition with an operator that is not leakproof is evaluated after the policy, and so uses no
  index. Queries that need another text for this are in `storage/sql/row_security.sql`, and in
  `row_security_search.sql` unless a superuser has marked the operator of full text as leakproof.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from userkeep.domain.errors import StorageError
from userkeep.storage.postgres.migrations import LOCK_WAIT_S, lock_schema
from userkeep.storage.postgres.server import connect, describe_url
from userkeep.storage.queries import ROW_SECURITY, ROW_SECURITY_SEARCH
from userkeep.storage.schema import tables_of

logger = logging.getLogger(__name__)

POLICY = "userkeep_project_1"
"""The name ends in the version of the condition: a policy with another name is replaced."""

# 65536 is the number of no project: those are of 16 bits.
_CONDITION = """
CASE (
    SELECT CASE current_setting('userkeep.project_id', true)
        WHEN 'all' THEN 65536
        ELSE CAST(nullif(current_setting('userkeep.project_id', true), '') AS integer)
    END
)
    WHEN project_id THEN true
    WHEN 65536 THEN true
END IS NOT NULL
"""

_BYPASSING_ROLE = """
SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)
"""

_IS_MATCH_LEAKPROOF = "SELECT proleakproof FROM pg_proc WHERE oid = CAST('ts_match_vq' AS regproc)"

_TABLES = """
SELECT relname,
    relrowsecurity AND relforcerowsecurity AS is_forced,
    coalesce(bool_or(polname = %(policy)s), false) AS has_policy,
    coalesce(array_agg(polname) FILTER (WHERE starts_with(polname, 'userkeep_')), '{}') AS ours,
    min(polname) FILTER (WHERE polpermissive AND NOT starts_with(polname, 'userkeep_')) AS other
FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relname = ANY(%(names)s)
GROUP BY relname, relrowsecurity, relforcerowsecurity
ORDER BY relname
"""


class _Table(NamedTuple):
    """A table as it is in the database.

    Attributes:
        name: its name.
        is_forced: whether row-level security is on, for the owner of the table too.
        has_policy: whether it has our policy.
        ours: the names of all policies of this program.
        other: the name of a policy that shows further rows.
    """

    name: str
    is_forced: bool
    has_policy: bool
    ours: Sequence[str]
    other: str | None

    @property
    def is_protected(self) -> bool:
        """Whether it has what `turn_on` gives it, and nothing older."""
        return self.is_forced and self.has_policy and len(self.ours) == 1


def protected_tables() -> list[str]:
    """Return the names of the tables whose rows belong to projects.

    Without the table of the projects themselves: operations on projects are about the whole
    instance, whichever project they run in.
    """
    return [
        table.name
        for table in tables_of("postgres")
        if "project_id" in table.column_names("postgres")
        and table.key != ("project_id",)
        and not table.is_internal
    ]


def set_row_security(url: str, *, is_wanted: bool) -> None:
    """Turn row-level security on or off, where it is not so yet.

    Raises:
        StorageError: it would protect nothing, or the role may not turn it on or off.
        psycopg.Error: the server cannot be reached.
    """
    with connect(url) as connection:
        if is_wanted:
            _check_role(connection, url)
        is_changed = False
        try:
            # Without the lock first, because most starts find nothing to do.
            while _tables_to_change(connection, is_wanted=is_wanted):
                _change_next(connection, is_wanted=is_wanted)
                is_changed = True
        except psycopg.Error as error:
            raise StorageError(_problem(error, url, is_wanted=is_wanted)) from error
    if is_changed and not is_wanted:
        logger.warning(
            "Row-level security was on, and is now off, because USERKEEP_POSTGRES_ROW_SECURITY is "
            "false."
        )


def check_row_security(url: str) -> None:
    """Check that row-level security is on, for a database that is only read.

    Raises:
        StorageError: it is not, or it protects nothing.
        psycopg.Error: the server cannot be reached.
    """
    with connect(url) as connection:
        _check_role(connection, url)
        if _tables_to_change(connection, is_wanted=True):
            raise StorageError(
                f"Row-level security is not on in {describe_url(url)}. Run `userkeep migrate` with "
                "USERKEEP_POSTGRES_ROW_SECURITY=true to turn it on."
            )


def turn_off(connection: psycopg.Connection[Any]) -> None:
    """Remove all policies of this program; those of others stay, without effect."""
    for table in _tables_to_change(connection, is_wanted=False):
        _lift(connection, table)


class RowSecurity(NamedTuple):
    """What a database has.

    Attributes:
        is_on: whether any table has a policy, so that each transaction must name its project.
        problem: why it does not apply, or not to all; None if it would.
        is_search_indexed: whether searches use the full-text index where it is on.
    """

    is_on: bool
    problem: str | None
    is_search_indexed: bool

    @property
    def features(self) -> tuple[str, ...]:
        """What queries must be loaded for."""
        if not self.is_on:
            return ()
        return (ROW_SECURITY,) if self.is_search_indexed else (ROW_SECURITY, ROW_SECURITY_SEARCH)


def row_security_of(connection: psycopg.Connection[Any]) -> RowSecurity:
    """Return what a database has."""
    tables = _tables(connection)
    problems = (_problem_of_role(connection), _problem_of_policies(tables))
    [(is_search_indexed,)] = connection.execute(_IS_MATCH_LEAKPROOF)
    return RowSecurity(
        any(table.ours for table in tables), problems[0] or problems[1], is_search_indexed
    )


def see_all_projects(connection: psycopg.Connection[Any]) -> None:
    """Let a connection see the rows of all projects until it ends."""
    connection.execute("SELECT set_config('userkeep.project_id', 'all', false)")


def _problem_of_role(connection: psycopg.Connection[Any]) -> str | None:
    for (role,) in connection.execute(_BYPASSING_ROLE):
        return (
            f"PostgreSQL does not apply row-level security to the role {role}, which is a "
            "superuser or has BYPASSRLS. Connect as a role that is neither, and that owns the "
            "tables."
        )
    return None


def _check_role(connection: psycopg.Connection[Any], url: str) -> None:
    problem = _problem_of_role(connection)
    if problem is not None:
        raise StorageError(
            f"USERKEEP_POSTGRES_ROW_SECURITY is true, but {problem} The database is "
            f"{describe_url(url)}; nothing was changed."
        )


def _tables(connection: psycopg.Connection[Any]) -> list[_Table]:
    values = {"policy": POLICY, "names": protected_tables()}
    return [_Table(*row) for row in connection.execute(_TABLES, values)]


def _problem_of_policies(tables: Sequence[_Table]) -> str | None:
    for table in tables:
        if table.other is not None:
            return (
                f"The table {table.name} has the policy {table.other}, which shows rows of other "
                "projects. Drop it, or create it again AS RESTRICTIVE."
            )
    return None


def _tables_to_change(connection: psycopg.Connection[Any], *, is_wanted: bool) -> list[_Table]:
    tables = _tables(connection)
    if not is_wanted:
        return [table for table in tables if table.ours]
    problem = _problem_of_policies(tables)
    if problem is not None:
        raise StorageError(problem)
    return [table for table in tables if not table.is_protected]


def _change_next(connection: psycopg.Connection[Any], *, is_wanted: bool) -> None:
    """Change one table, unless another server has just changed the last one.

    A transaction that locked several tables could wait for one that waits for it.
    """
    with connection.transaction():
        lock_schema(connection)
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
        for table in _tables_to_change(connection, is_wanted=is_wanted)[:1]:
            (_protect if is_wanted else _lift)(connection, table)


def _protect(connection: psycopg.Connection[Any], table: _Table) -> None:
    _drop_policies(connection, table)
    _alter(connection, table, "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    create = sql.SQL("CREATE POLICY {} ON {} USING ({})").format(
        sql.Identifier(POLICY), sql.Identifier(table.name), sql.SQL(_CONDITION)
    )
    connection.execute(create)


def _lift(connection: psycopg.Connection[Any], table: _Table) -> None:
    _drop_policies(connection, table)
    _alter(connection, table, "NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")


def _drop_policies(connection: psycopg.Connection[Any], table: _Table) -> None:
    for policy in table.ours:
        drop = sql.SQL("DROP POLICY {} ON {}")
        connection.execute(drop.format(sql.Identifier(policy), sql.Identifier(table.name)))


def _alter(connection: psycopg.Connection[Any], table: _Table, actions: str) -> None:
    alter = sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table.name)).as_string() + actions
    connection.execute(alter.encode())


def _problem(error: psycopg.Error, url: str, *, is_wanted: bool) -> str:
    change = f"Row-level security could not be turned {'on' if is_wanted else 'off'}"
    reason = " ".join(str(error).split())
    advice = ""
    if isinstance(error, InsufficientPrivilege):
        advice = " Run `userkeep migrate` as the role that owns the tables."
    return f"{change} in {describe_url(url)}: {reason}.{advice}"
