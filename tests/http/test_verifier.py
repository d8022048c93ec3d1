"""Verifications on a server: they end when the client disconnects, and log no search terms."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from tests.conftest import ENGINES, fresh_settings
from tests.http.clients import InProcessClient, SocketClient, serve_in_process
from tests.postgres import OwnPostgresServer
from tests.serving import Server, serving
from userkeep import InvalidField, NewMessage, Userkeep
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.values.times import Instant
from userkeep.domain.verification import Verification
from userkeep.services import erasures, verifications
from userkeep.worker.timers import Timers

CANARY = "Jane Qx81vty Doe"
LARGE = 4 * 1024**3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, settings={"USERKEEP_LOG_LEVEL": "debug"}) as running:
        yield running


def delete_user(url: str) -> str:
    """Delete a user and return the erasure's id."""
    with Userkeep(url) as client:
        client.user.add(user_id="jane-qx81vty", first_name=CANARY)
        client.message.add(
            "s1", NewMessage(role="user", content=f"I am {CANARY}"), user_id="jane-qx81vty"
        )
        return client.user.delete("jane-qx81vty").id


def threads_of(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def cpu_s(server: Server) -> float:
    """Return the CPU time of a server."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def start_verification(server: Server, erasure_id: str) -> socket.socket:
    """Request a verification without waiting for the response."""
    body = json.dumps({"search_terms": [CANARY]}).encode()
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST /v1/erasures/{erasure_id}/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def wait_until_busy(server: Server) -> None:
    began = cpu_s(server)
    ends = monotonic() + 60
    while cpu_s(server) < began + 0.3:
        assert monotonic() < ends
        sleep(0.05)


def wait_until_idle(server: Server) -> None:
    ends = monotonic() + 60
    while True:
        before = cpu_s(server)
        sleep(0.5)
        if cpu_s(server) < before + 0.1:
            return
        assert monotonic() < ends, "the verification continues"


@pytest.fixture
def large(tmp_path: Path) -> None:
    """A sparse file beside the database that takes a minute to scan."""
    with (tmp_path / "userkeep.db.large").open("wb") as file:
        file.truncate(LARGE)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.usefixtures("large")
def test_a_verification_ends_when_the_client_disconnects(server: Server) -> None:
    connection = start_verification(server, delete_user(server.url))
    wait_until_busy(server)
    connection.close()
    wait_until_idle(server)


@pytest.mark.usefixtures("large")
def test_requests_and_shutdown_do_not_wait_for_a_verification(server: Server) -> None:
    erasure_id = delete_user(server.url)
    with start_verification(server, erasure_id), Userkeep(server.url) as client:
        wait_until_busy(server)
        assert client.erasure.get(erasure_id).id == erasure_id
        client.user.add(user_id="tom")
    with start_verification(server, erasure_id):
        sleep(0.3)
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() < began + 10


def test_search_terms_are_not_logged(server: Server) -> None:
    erasure_id = delete_user(server.url)
    http = SocketClient(server.port)
    path = f"/v1/erasures/{erasure_id}/verify"
    bodies: list[Any] = [
        {"search_terms": [CANARY], "subject_id": "jane-qx81vty"},
        {"search_terms": [CANARY], "subject_id": CANARY},
        {"search_terms": [CANARY, "Qx81v"]},
        {"search_terms": [f"{CANARY} " * 100]},
        {"search_terms": CANARY},
        {CANARY: 1},
        f'{{"search_terms": ["{CANARY}'.encode(),
        f'{{"search_terms": ["{CANARY} \\ud800"]}}'.encode(),
        f'{{"search_terms": ["{CANARY}"]}} {CANARY}'.encode(),
        CANARY.encode("utf-16"),
    ]
    responses = [http.send("POST", path, body) for body in bodies]
    assert responses[0].status == 200
    assert all(400 <= response.status < 500 for response in responses[1:])
    for body, response in zip(bodies, responses, strict=True):
        if not isinstance(body, dict) or CANARY not in body:
            assert "qx81v" not in response.text.lower(), body
    server.stop()
    assert "qx81v" not in server.log.read_text().lower()


def test_search_terms_are_not_in_the_log_of_the_postgres_server(tmp_path: Path) -> None:
    everything = {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "log_parameter_max_length": "-1",
        "logging_collector": "on",
        "log_directory": "logs",
    }
    with OwnPostgresServer(settings=everything) as postgres:
        url = postgres.new_database()
        with Userkeep.open(url, secret_file=str(tmp_path / "secret")) as client:
            client.user.add(user_id="jane")
            erasure = client.user.delete("jane")
            found = client.erasure.verify(erasure.id, search_terms=[CANARY, "Lindqvist"])
            with pytest.raises(InvalidField):
                client.erasure.verify(erasure.id, subject_id="jane qx81vty")
        with psycopg.connect(url) as connection:
            [(folder,)] = connection.execute("SELECT current_setting('data_directory')")
        log = "".join(each.read_text() for each in (Path(folder) / "logs").iterdir())
    assert "look_into" not in log
    assert "FROM messages WHERE project_id" in log, "it does log what it is asked"
    assert "qx81v" not in log.lower()
    assert "lindqvist" not in log.lower()
    assert any(each.name == "files in logs" for each in found.scanned)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda name: name.replace(" ", "_"))
def test_a_verification_that_takes_long_is_a_job_that_a_client_polls(
    engine: str, tmp_path: Path
) -> None:
    with serve_in_process(fresh_settings(engine, tmp_path), Timers(respond_after_s=0.0)) as api:
        erasure_id = erasure_of_jane(api)
        started = api.send("POST", f"/v1/erasures/{erasure_id}/verify", {"subject_id": "jane"})
        assert (started.status, started.json["state"]) == (202, "running")
        assert (started.json["found"], started.json["hits"]) == (None, [])
        location = started.headers["location"]
        assert location == f"/v1/verifications/{started.json['id']}"
        ended = polled(api, location, "state", "running")
        assert (ended["state"], ended["found"], ended["problem"]) == ("finished", False, None)
        assert ended["erasure"]["id"] == erasure_id
        assert {each["name"] for each in ended["scanned"]} >= {"table users", "table messages"}


@pytest.mark.parametrize("engine", ENGINES, ids=lambda name: name.replace(" ", "_"))
def test_a_verification_whose_server_ended_has_failed(engine: str, tmp_path: Path) -> None:
    with serve_in_process(fresh_settings(engine, tmp_path)) as api:
        opened = api.instance
        erasure_id = erasure_of_jane(api)

        def interrupt(tx: Transaction) -> Verification:
            verification = verifications.add(tx, erasures.get(tx, erasure_id))
            tx.defer("renew_verification", uuid=verification.uuid, expires_at=Instant(0))
            return verification

        interrupted = opened.engine.write(scoped(opened.scope, interrupt))
        found = api.send("GET", f"/v1/verifications/{interrupted.uuid}")
        assert (found.status, found.json["state"], found.json["found"]) == (200, "failed", None)
        assert "interrupted" in found.json["problem"]
        missing = api.send("GET", "/v1/verifications/0192f0c1-2b3a-7c4d-8e5f-60718293a4b5")
        assert (missing.status, missing.json["code"]) == (404, "not_found")


def erasure_of_jane(api: InProcessClient) -> str:
    api.send("POST", "/v1/users", {"user_id": "jane"})
    erasure = api.send("DELETE", "/v1/users/jane").json
    polled(api, f"/v1/erasures/{erasure['id']}", "state", "deleting")
    erasure_id: str = erasure["id"]
    return erasure_id


def polled(api: InProcessClient, address: str, field: str, value: str) -> Any:
    """A resource once a field of it no longer has a value."""
    ends = monotonic() + 60
    while (found := api.send("GET", address).json)[field] == value:
        assert monotonic() < ends
        sleep(0.02)
    return found
