"""Verifications on a server: they end with whoever asked, and leave no canary in any log."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from tests.http.doors import OverSocket
from tests.postgres import OwnPostgresServer
from tests.serving import Server, serving
from userkeep import InvalidField, NewMessage, Userkeep

CANARY = "Jane Qx81vty Doe"
LARGE = 4 * 1024**3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, settings={"USERKEEP_LOG_LEVEL": "debug"}) as running:
        yield running


def deleted(url: str) -> str:
    """An erasure of somebody."""
    with Userkeep(url) as client:
        client.user.add(user_id="jane-qx81vty", first_name=CANARY)
        client.message.add("s1", NewMessage(content=f"I am {CANARY}"), user_id="jane-qx81vty")
        return client.user.delete("jane-qx81vty").id


def threads_of(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def processor_s(server: Server) -> float:
    """How long a server has been at work."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def begin(server: Server, erasure_id: str) -> socket.socket:
    """Ask for a verification, and do not wait for its answer."""
    body = json.dumps({"search_terms": [CANARY]}).encode()
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST /v1/erasures/{erasure_id}/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def until_at_work(server: Server) -> None:
    began = processor_s(server)
    ends = monotonic() + 30
    while processor_s(server) < began + 0.3:
        assert monotonic() < ends
        sleep(0.05)


def until_at_rest(server: Server) -> None:
    ends = monotonic() + 30
    while True:
        before = processor_s(server)
        sleep(0.5)
        if processor_s(server) < before + 0.1:
            return
        assert monotonic() < ends, "it goes on for nobody"


@pytest.fixture
def large(tmp_path: Path) -> None:
    """A file beside the database that takes a minute to look through, and no room."""
    with (tmp_path / "userkeep.db.large").open("wb") as file:
        file.truncate(LARGE)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.usefixtures("large")
def test_a_verification_ends_when_whoever_asked_has_left(server: Server) -> None:
    connection = begin(server, deleted(server.url))
    until_at_work(server)
    connection.close()
    until_at_rest(server)


@pytest.mark.usefixtures("large")
def test_others_are_served_meanwhile_and_a_stop_does_not_wait(server: Server) -> None:
    erasure_id = deleted(server.url)
    with begin(server, erasure_id), Userkeep(server.url) as client:
        until_at_work(server)
        assert client.erasure.get(erasure_id).id == erasure_id
        client.user.add(user_id="tom")
    with begin(server, erasure_id):
        sleep(0.3)
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() < began + 25


def test_no_canary_is_in_a_log(server: Server) -> None:
    erasure_id = deleted(server.url)
    doors = OverSocket(server.port)
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
    answers = [doors.send("POST", path, body) for body in bodies]
    assert answers[0].status == 200
    assert all(400 <= answer.status < 500 for answer in answers[1:])
    for body, answer in zip(bodies, answers, strict=True):
        if not isinstance(body, dict) or CANARY not in body:
            assert "qx81v" not in answer.text.lower(), body
    server.stop()
    assert "qx81v" not in server.log.read_text().lower()


def test_what_is_looked_for_is_in_no_log_of_the_database_server_either(tmp_path: Path) -> None:
    everything = {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "log_parameter_max_length": "-1",
        "logging_collector": "on",
        "log_directory": "said",
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
        log = "".join(each.read_text() for each in (Path(folder) / "said").iterdir())
    assert "look_into" not in log
    assert "FROM messages WHERE project_id" in log, "it does log what it is asked"
    assert "qx81v" not in log.lower()
    assert "lindqvist" not in log.lower()
    assert any(each.name == "files in said" for each in found.scanned)
