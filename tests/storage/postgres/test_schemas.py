"""The schema of the tables: another role cannot put its own tables in their place."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.postgres import as_role
from tests.storage.postgres.notes import (
    QUERIES,
    database_name,
    execute,
    new_role,
    owned_database,
    rows,
    setting,
)
from userkeep.domain.errors import StorageError
from userkeep.domain.transaction import Transaction
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.migrations import read_applied

# As a role that may create schemas can make them.
_COPIES = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE %s.%I (LIKE public.%I)', current_schema(), name, name);
    END LOOP;
END $$
"""


@pytest.fixture
def keeper() -> Iterator[str]:
    """A role for Userkeep."""
    with new_role() as role:
        yield role


@pytest.fixture
def other() -> Iterator[str]:
    """Another role."""
    with new_role() as role:
        yield role


@pytest.fixture
def url(keeper: str, other: str) -> Iterator[str]:
    """A database of the keeper's, in which the other role may create schemas, as a superuser."""
    with owned_database(keeper) as url:
        execute(url, "GRANT CREATE ON DATABASE {} TO {}", database_name(url), other)
        yield url


def create_shadows(url: str, other: str, keeper: str) -> None:
    """Create a schema of the other role with the keeper's name, and the same tables in it."""
    execute(url, "GRANT USAGE ON SCHEMA public TO {}", other)
    execute(url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", other)
    execute(as_role(url, other), "CREATE SCHEMA {}", keeper)
    with psycopg.connect(as_role(url, other), autocommit=True) as connection:
        connection.execute(f"SET search_path = {keeper}".encode())
        connection.execute(_COPIES)
    execute(as_role(url, other), "GRANT USAGE ON SCHEMA {} TO PUBLIC", keeper)
    execute(as_role(url, other), "GRANT ALL ON ALL TABLES IN SCHEMA {} TO PUBLIC", keeper)


def project_ids(tx: Transaction) -> list[int]:
    return tx.fetch_all("project_ids", int)


def test_a_schema_with_the_name_of_the_role_does_not_shadow_tables_of_a_running_server(
    url: str, keeper: str, other: str
) -> None:
    with closing(PostgresEngine(as_role(url, keeper), QUERIES)) as engine:
        create_shadows(url, other, keeper)
        # On connections that are opened now.
        assert engine.read(project_ids) == [1]
        assert asyncio.run(engine.read_async(project_ids)) == [1]
        assert asyncio.run(engine.read_async(project_ids, is_bounded=False)) == [1]
        assert engine.write(setting("search_path")) == "public, pg_temp"
        with engine.compactor({"users": []}):
            pass
    assert rows(url, "SELECT 1 FROM pg_tables WHERE tablename = 'projects'") == [(1,), (1,)]


def test_a_schema_with_the_name_of_the_role_does_not_shadow_tables_at_a_start(
    url: str, keeper: str, other: str
) -> None:
    PostgresEngine(as_role(url, keeper), QUERIES).close()
    applied = read_applied(as_role(url, keeper))
    create_shadows(url, other, keeper)
    assert read_applied(as_role(url, keeper)) == applied
    with closing(PostgresEngine(as_role(url, keeper), QUERIES)) as engine:
        assert engine.read(project_ids) == [1]
        assert engine.write(setting("search_path")) == "public, pg_temp"


def test_a_schema_of_another_role_is_not_used_for_a_new_instance(
    url: str, keeper: str, other: str
) -> None:
    execute(as_role(url, other), "CREATE SCHEMA {}", keeper)
    execute(as_role(url, other), "GRANT ALL ON SCHEMA {} TO PUBLIC", keeper)
    PostgresEngine(as_role(url, keeper), QUERIES).close()
    schemas = rows(url, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'users'")
    assert schemas == [("public",)]


def test_tables_in_the_roles_schema_that_belongs_to_another_role_are_used_only_if_named(
    url: str, keeper: str, other: str
) -> None:
    execute(as_role(url, other), "CREATE SCHEMA {}", keeper)
    execute(as_role(url, other), "GRANT ALL ON SCHEMA {} TO PUBLIC", keeper)
    named = f"{as_role(url, keeper)}&options=-csearch_path%3D{keeper}"
    PostgresEngine(named, QUERIES).close()
    with pytest.raises(StorageError, match="belongs to another role") as error:
        PostgresEngine(as_role(url, keeper), QUERIES)
    assert f"options=-csearch_path%3D{keeper}" in error.value.detail
    with closing(PostgresEngine(named, QUERIES)) as engine:
        assert engine.read(project_ids) == [1]


def test_a_schema_of_the_role_itself_is_used(url: str, keeper: str) -> None:
    execute(as_role(url, keeper), "CREATE SCHEMA {}", keeper)
    for _ in range(2):
        with closing(PostgresEngine(as_role(url, keeper), QUERIES)) as engine:
            assert engine.write(setting("search_path")) == f"{keeper}, pg_temp"
    assert rows(url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


def test_an_instance_in_public_is_found_after_the_role_got_a_schema_of_its_own(
    url: str, keeper: str
) -> None:
    PostgresEngine(as_role(url, keeper), QUERIES).close()
    execute(as_role(url, keeper), "CREATE SCHEMA {}", keeper)
    with closing(PostgresEngine(as_role(url, keeper), QUERIES)) as engine:
        assert engine.write(setting("search_path")) == "public, pg_temp"


def test_a_temporary_table_does_not_shadow_a_table(url: str, keeper: str) -> None:
    with closing(PostgresEngine(as_role(url, keeper), QUERIES, pool_size=1)) as engine:
        engine.write(lambda tx: tx.execute("make_temporary_projects"))
        assert engine.write(project_ids) == [1]
