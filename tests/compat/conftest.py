"""Clients of a server in this process: an empty one on every engine, and a shared one."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.conftest import ENGINES, engine_id, fresh_settings
from tests.http.clients import InProcessClient, serve_in_process, serve_instance
from userkeep.config import Settings
from userkeep.instance import Instance, open_instance

_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
_KEPT = ["schema_migrations", "instance", "projects"]


class SharedInstance:
    """An open instance on PostgreSQL, which takes much longer to make than to empty."""

    def __init__(self, instance: Instance, settings: Settings, runner: asyncio.Runner) -> None:
        self._instance = instance
        self._settings = settings
        self._runner = runner

    def serve_empty(self) -> AbstractContextManager[InProcessClient]:
        """Delete all rows, begin to count from 1 again, and start a server."""
        with psycopg.connect(self._settings.database_url, autocommit=True) as connection:
            # What the server before was doing at its end is rolled back while the loop runs.
            while connection.execute(_IN_TRANSACTION).fetchone() != (0,):
                self._runner.run(asyncio.sleep(0.005))
            names = connection.execute(
                "SELECT tablename FROM pg_tables"
                " WHERE schemaname = 'public' AND tablename <> ALL(%s)",
                [_KEPT],
            ).fetchall()
            tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
        return serve_instance(self._instance, self._settings, self._runner)


@pytest.fixture(scope="package")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedInstance]:
    """An instance on PostgreSQL for all tests that need an empty one."""
    # A ledger would have the deletions of a database that was emptied, as of one from a backup.
    folder = tmp_path_factory.mktemp("shared")
    settings = replace(fresh_settings("postgres", folder), ledger_file="off")
    with asyncio.Runner() as runner, closing(open_instance(settings)) as instance:
        yield SharedInstance(instance, settings, runner)


@pytest.fixture(params=ENGINES, ids=engine_id)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessClient]:
    """A client of an empty server."""
    if request.param == "postgres":
        serving = request.getfixturevalue("on_postgres").serve_empty()
    else:
        serving = serve_in_process(fresh_settings(request.param, tmp_path))
    with serving as client:
        yield client


@pytest.fixture(scope="package")
def shared() -> Iterator[InProcessClient]:
    """A client of one server for requests that are rejected before they reach an engine."""
    with serve_in_process(Settings(database_url="sqlite:///:memory:")) as client:
        yield client
