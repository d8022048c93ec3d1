"""The worker of a server repeats its tasks, even after errors."""

import asyncio
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.domain.transaction import scoped
from userkeep.services import erasures
from userkeep.worker.timers import Timers


def begin_deletion(client: InProcessClient) -> None:
    """Leave a deletion that no process works on, as a server that was killed does."""
    client.send("POST", "/v1/users", {"user_id": "jane"})
    begin = scoped(client.instance.scope, erasures.begin_user, "jane")
    client.instance.engine.write(begin)


def wait_until_deleted(client: InProcessClient) -> None:
    ends = monotonic() + 20
    while client.send("GET", "/v1/users/jane").status != 404:
        assert monotonic() < ends, "nothing resumes the deletion"
        client.run(asyncio.sleep(0.05))


def test_an_error_does_not_end_the_search_for_interrupted_deletions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = fresh_settings("postgres", tmp_path)
    with serve_in_process(settings, Timers(find_abandoned_s=0.05)) as client:
        with psycopg.connect(settings.database_url, autocommit=True) as database:
            database.execute("ALTER TABLE erasures RENAME TO elsewhere")
            client.run(asyncio.sleep(0.3))
            database.execute("ALTER TABLE elsewhere RENAME TO erasures")
        assert "interrupted deletions: retry" in caplog.text
        begin_deletion(client)
        wait_until_deleted(client)
