"""`/healthz` reports that the process runs, `/readyz` whether it can perform requests."""

import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, Response, serve_in_process
from userkeep.config import Settings, is_postgres, sqlite_path
from userkeep.domain.errors import Unavailable
from userkeep.version import __version__

CHECKS = ["database", "schema", "rights", "queue", "disk", "ledger"]
JSON = {"Accept": "application/json"}


@pytest.fixture
def file_settings(tmp_path: Path) -> Settings:
    return fresh_settings("sqlite file", tmp_path)


def ready(client: InProcessClient) -> Response:
    return client.send("GET", "/readyz")


def failed(response: Response) -> dict[str, str]:
    """Return the checks that failed, with their details; the response must fit them."""
    assert list(response.json) == ["status", "version", "checks"]
    assert response.json["version"] == __version__
    assert list(response.json["checks"]) == CHECKS
    assert "/" not in response.text
    found = {
        name: check["detail"]
        for name, check in response.json["checks"].items()
        if check["status"] == "failed"
    }
    assert (response.status, response.json["status"]) == ((503, "failed") if found else (200, "ok"))
    assert ("retry-after" in response.headers) == bool(found)
    return found


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_healthz_is_one_point_as_zep_clients_expect_it(
    client: InProcessClient, method: str
) -> None:
    response = client.send(method, "/healthz")
    assert (response.status, response.content_type) == (200, "text/plain")
    assert response.headers["content-length"] == "1"
    assert response.body == (b"." if method == "GET" else b"")


def test_healthz_is_json_with_the_version_for_a_client_that_accepts_json(
    client: InProcessClient,
) -> None:
    response = client.send("GET", "/healthz", headers=JSON)
    assert response.content_type == "application/json"
    assert response.json == {"status": "ok", "version": __version__}


def test_readyz_has_a_check_for_each_part(settings: Settings) -> None:
    with serve_in_process(settings) as client:
        response = ready(client)
        assert client.send("HEAD", "/readyz").status == 200
    assert failed(response) == {}
    assert response.content_type == "application/json"
    checks = response.json["checks"]
    assert [checks[name] for name in CHECKS[:4]] == [{"status": "ok"}] * 4
    assert checks["ledger"]["status"] == ("ok" if is_postgres(settings.database_url) else "skipped")
    assert checks["disk"]["status"] == "skipped"
    assert "does not know the disk" in checks["disk"]["detail"]


def test_the_disk_of_a_file_is_checked(file_settings: Settings) -> None:
    with serve_in_process(file_settings) as client:
        assert ready(client).json["checks"]["disk"] == {"status": "ok"}
    with serve_in_process(replace(file_settings, min_free_mib=2**31)) as client:
        found = failed(ready(client))
        assert found == {
            "disk": "Less than 2,147,483,648 MiB are free on the disk of the database."
        }
        assert client.send("GET", "/healthz").status == 200


def test_no_disk_is_too_full_without_a_limit(file_settings: Settings) -> None:
    with serve_in_process(replace(file_settings, min_free_mib=0)) as client:
        assert failed(ready(client)) == {}


def test_a_file_that_cannot_be_written_makes_the_server_not_ready(
    file_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_process(file_settings) as client:
        monkeypatch.setattr("os.access", lambda *_: False)  # as on a file system mounted read-only
        found = failed(ready(client))
    assert found == {"rights": "The file of the database, or its folder, cannot be written."}


def test_a_schema_of_a_newer_version_makes_the_server_not_ready(
    settings: Settings, tmp_path: Path
) -> None:
    if not is_postgres(settings.database_url):
        settings = fresh_settings("sqlite file", tmp_path)
    with serve_in_process(settings) as client:
        add_migration(settings.database_url)
        found = failed(ready(client))
    assert list(found) == ["schema"]
    assert "newer Userkeep" in found["schema"]


def add_migration(database_url: str) -> None:
    if is_postgres(database_url):
        with psycopg.connect(database_url) as connection:
            connection.execute("INSERT INTO schema_migrations VALUES (999, 'newer', now())")
        return
    with closing(apsw.Connection(sqlite_path(database_url))) as connection:
        connection.set_busy_timeout(60_000)
        connection.execute("INSERT INTO schema_migrations VALUES (999, 'newer', 0)")


def test_a_full_queue_makes_the_server_not_ready(file_settings: Settings) -> None:
    with serve_in_process(replace(file_settings, queue_limit=2)) as client:
        engine, may_end, runs = client.instance.engine, threading.Event(), threading.Event()

        def block(_: Any) -> None:
            runs.set()
            may_end.wait(30)

        def write_first() -> None:
            while not runs.is_set():
                with suppress(Unavailable):  # writes of background jobs were first
                    engine.write(block)

        def write() -> None:
            with suppress(Unavailable):
                engine.write(bool)

        writes = [threading.Thread(target=write_first)]
        writes[0].start()
        assert runs.wait(10)
        for _ in range(2):
            writes.append(threading.Thread(target=write))
            writes[-1].start()
        while engine.figures().queued < 2:
            time.sleep(0.001)
        found = failed(ready(client))
        may_end.set()
        for each in writes:
            each.join()
        assert found == {"queue": "The queue of the database is full: requests are rejected."}


def test_a_database_that_has_moved_is_one_failed_check(file_settings: Settings) -> None:
    with serve_in_process(file_settings) as client:
        Path(sqlite_path(file_settings.database_url)).rename(
            Path(file_settings.secret_file).with_name("moved.db")
        )
        response = ready(client)
        while response.status == 200:  # reads notice it a moment later
            response = ready(client)
        found = failed(response)
    assert "moved, deleted or replaced" in found["database"]
    assert response.json["checks"]["schema"]["status"] == "skipped"
