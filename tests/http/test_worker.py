"""The worker of a server repeats its tasks, whatever ends them."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import apsw
import psycopg
import pytest

from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.config import Settings, sqlite_path
from userkeep.domain.transaction import scoped
from userkeep.services import erasures, user_words
from userkeep.worker.timers import Timers

ENGINES = pytest.mark.parametrize("engine", ["sqlite file", "postgres"], ids=["sqlite", "postgres"])
OFTEN = Timers(find_abandoned_s=0.05, check_purge_s=0.05)


def begin_deletion(client: InProcessClient, user_id: str = "jane") -> None:
    """Leave a deletion that no process works on, as a server that was killed does."""
    client.send("POST", "/v1/users", {"user_id": user_id})
    begin = scoped(client.instance.scope, erasures.begin_user, user_id)
    client.instance.engine.write(begin)


def wait_until(client: InProcessClient, is_so: Callable[[], bool], problem: str) -> None:
    ends = monotonic() + 60
    while not is_so():
        assert monotonic() < ends, problem
        client.run(asyncio.sleep(0.05))


def wait_until_deleted(client: InProcessClient, user_id: str = "jane") -> None:
    def is_deleted() -> bool:
        return client.send("GET", f"/v1/users/{user_id}").status == 404

    wait_until(client, is_deleted, "nothing resumes the deletion")


@contextmanager
def missing_table(client: InProcessClient, settings: Settings, table: str) -> Iterator[None]:
    """Rename a table for a moment, past the server."""
    rename(client, settings, table, "elsewhere")
    yield
    rename(client, settings, "elsewhere", table)


def rename(client: InProcessClient, settings: Settings, table: str, name: str) -> None:
    """Rename a table while the server runs: it may have to wait for one of its transactions."""
    statement = f"ALTER TABLE {table} RENAME TO {name}"
    client.run(asyncio.to_thread(execute, settings.database_url, statement))


def execute(url: str, statement: str) -> None:
    if url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(statement.encode())
        return
    with closing(apsw.Connection(sqlite_path(url))) as file:
        file.set_busy_timeout(5000)
        file.execute(statement)


@ENGINES
def test_an_error_does_not_end_the_search_for_interrupted_deletions(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = fresh_settings(engine, tmp_path)
    with serve_in_process(settings, OFTEN) as client:
        with missing_table(client, settings, "erasures"):
            client.run(asyncio.sleep(0.3))
        assert "interrupted deletions: retry" in caplog.text
        begin_deletion(client)
        wait_until_deleted(client)


@ENGINES
@pytest.mark.parametrize("table", ["tombstones", "idempotency"])
def test_a_deletion_that_has_begun_outlives_every_error(
    engine: str, table: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = fresh_settings(engine, tmp_path)
    with serve_in_process(settings, OFTEN._replace(respond_after_s=0.3)) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        with missing_table(client, settings, table):
            response = client.send("DELETE", "/v1/users/jane")
            assert (response.status, response.json["state"]) == (202, "deleting")
            assert "retry" in caplog.text
            assert client.send("GET", "/v1/users/jane").status == 410
            again = client.send("DELETE", "/v1/users/jane")
            assert (again.status, again.json["id"]) == (202, response.json["id"])
        wait_until_deleted(client)


@ENGINES
def test_a_deletion_is_not_confirmed_before_the_ledger_has_it(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = fresh_settings(engine, tmp_path)
    ledger = Path(settings.ledger_file)
    timers = OFTEN._replace(respond_after_s=0.0, record_s=0.2)
    with serve_in_process(settings, timers) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        ledger.mkdir()
        response = client.send("DELETE", "/v1/users/jane")
        assert response.status == 503
        assert "deletion ledger" in response.json["detail"]
        assert "is a folder, not a file" in caplog.text
        zep = client.send("DELETE", "/api/v1/user/jane")
        assert zep.status == 503
        # All is hidden, and the deletion continues as soon as it can be recorded.
        assert client.send("GET", "/v1/users/jane").status == 410
        ledger.rmdir()
        wait_until_deleted(client)
    assert len(ledger.read_bytes().splitlines()) >= 2


@ENGINES
def test_a_task_that_is_cancelled_by_accident_starts_again(engine: str, tmp_path: Path) -> None:
    with serve_in_process(fresh_settings(engine, tmp_path), OFTEN) as client:

        async def cancel_all() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if "Supervised" in str(task.get_coro()):
                    task.cancel()

        for number in range(3):
            client.run(cancel_all())
            begin_deletion(client, f"user {number}")
            wait_until_deleted(client, f"user%20{number}")
        erasure_id = client.send("GET", "/v1/erasures").json["items"][-1]["id"]
        client.send("POST", f"/v1/erasures/{erasure_id}/purge")
        wait_until(
            client,
            lambda: client.send("GET", f"/v1/erasures/{erasure_id}").json["state"] == "purged",
            "nothing purges",
        )


def test_an_error_of_the_log_does_not_end_a_task(tmp_path: Path) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            raise OSError("the disk of the log is full")

    settings = fresh_settings("sqlite file", tmp_path)
    broken = Broken()
    with serve_in_process(settings, OFTEN) as client:
        client.run(asyncio.sleep(0.1))
        logging.getLogger("userkeep").addHandler(broken)
        try:
            with missing_table(client, settings, "erasures"):
                client.run(asyncio.sleep(0.3))
        finally:
            logging.getLogger("userkeep").removeHandler(broken)
        begin_deletion(client)
        wait_until_deleted(client)


def test_requests_for_purges_share_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = fresh_settings("sqlite file", tmp_path)
    with serve_in_process(settings, OFTEN._replace(respond_after_s=0.0)) as client:
        for number in range(20):
            client.send("POST", "/v1/users", {"user_id": f"u{number}"})
            response = client.send("DELETE", f"/v1/users/u{number}?purge=now")
            assert response.status in {200, 202}

        def states() -> set[str]:
            items = client.send("GET", "/v1/erasures").json["items"]
            return {each["state"] for each in items}

        wait_until(client, lambda: states() == {"purged"}, "not all are purged")
    assert caplog.text.count("purged deleted data") < 20


def users_found(client: InProcessClient, query: str) -> list[str]:
    page = client.send("GET", f"/v1/users?q={query}").json
    return [user["user_id"] for user in page["items"]]


def wait_until_words_are_kept(client: InProcessClient) -> None:
    engine = client.instance.engine
    wait_until(client, lambda: engine.read(user_words.is_built), "no words are made")


@ENGINES
def test_the_first_search_for_users_lets_the_worker_make_the_words_of_all(
    engine: str, tmp_path: Path
) -> None:
    with serve_in_process(fresh_settings(engine, tmp_path), OFTEN) as client:
        for user_id in ("ann", "jane"):
            client.send("POST", "/v1/users", {"user_id": user_id, "first_name": "Zoë"})
        client.send("GET", "/v1/users?q=")
        client.run(asyncio.sleep(0.1))
        assert not client.instance.engine.read(user_words.is_begun)
        assert users_found(client, "zo%20jan") == ["jane"]
        wait_until_words_are_kept(client)
        client.send("POST", "/v1/users", {"user_id": "jane 2", "last_name": "Zola"})
        assert users_found(client, "zo%20jan") == ["jane", "jane 2"]


@ENGINES
def test_words_that_an_earlier_process_began_to_make_are_made_without_a_search(
    engine: str, tmp_path: Path
) -> None:
    settings = fresh_settings(engine, tmp_path)
    with serve_in_process(settings, OFTEN) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        client.instance.engine.write(user_words.begin)
    with serve_in_process(settings, OFTEN) as client:
        wait_until_words_are_kept(client)
        assert users_found(client, "jan") == ["jane"]
