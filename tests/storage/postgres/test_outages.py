"""A database server that stops, hangs or is unreachable for a while: what clients see."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest

from tests.postgres import OwnPostgresServer, migrated_database
from tests.serving import Server, serving
from tests.storage.postgres.notes import QUERIES, add_note, count, create_table, notes_in_database
from tests.storage.postgres.proxy import Proxy
from userkeep.domain.errors import Unavailable
from userkeep.storage.postgres import PostgresEngine

RESPONSE_S = 5.0
"""An attempt to connect takes 2 s at most; a busy machine adds to it."""
"""A client gets a response within this time, whatever happens to the database."""
RECOVERY_S = 2.0
"""A server that is back is used again within this time: a back-off of up to 1 s, and its start."""
CLIENTS = 16

REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/users/jane", None),
    ("POST", "/v1/users", {}),
    ("GET", "/v1/users?metadata.a=1", None),
    ("POST", "/v1/sessions/talk/messages", {"messages": [{"role": "user", "content": "Hello"}]}),
    ("GET", "/v1/sessions/talk/memory", None),
    ("GET", "/api/v1/user/jane", None),
    ("POST", "/api/v1/user", {}),
    ("POST", "/api/v1/sessions/talk/memory", {"messages": [{"role": "a", "content": "Hello"}]}),
    ("GET", "/v1/sessions/talk/messages?limit=1000", None),
]


class Response(NamedTuple):
    status: int
    retry_after: str | None
    text: str
    took_s: float


class Clients:
    """Clients of a server, each with its own connection."""

    def __init__(self, server: Server) -> None:
        self._client = httpx2.Client(
            base_url=server.url,
            timeout=60,
            limits=httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS),
        )
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._made = 0

    def send(self, method: str, path: str, body: Any = None) -> Response:
        if body == {}:
            self._made += 1
            body = {"user_id": f"user {self._made}"}
        began = monotonic()
        response = self._client.request(method, path, json=body)
        took_s = monotonic() - began
        return Response(
            response.status_code, response.headers.get("retry-after"), response.text, took_s
        )

    def send_everything(self, times: int = 3) -> list[Response]:
        """Send every kind of request, many at the same time."""
        asked = [self._pool.submit(self.send, *request) for request in REQUESTS * times]
        return [each.result(90) for each in asked]

    def wait_until_recovered(self) -> float:
        """Send every kind of request until all succeed; return how long that took."""
        began = monotonic()
        while not {response.status for response in self.send_everything(1)} <= {200, 201}:
            assert monotonic() - began < 30, "the server does not recover"
            sleep(0.02)
        return monotonic() - began

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()


@contextmanager
def clients_of(folder: Path, database_url: str) -> Iterator[Clients]:
    with (
        serving(folder, database_url=database_url) as server,
        closing(Clients(server)) as clients,
    ):
        assert clients.send("POST", "/v1/users", {"user_id": "jane"}).status == 201
        assert clients.send("POST", "/v1/sessions", {"session_id": "talk"}).status == 201
        assert {response.status for response in clients.send_everything()} <= {200, 201}
        yield clients


def check_unavailable(responses: list[Response]) -> None:
    for response in responses:
        assert response.status == 503, response
        assert response.retry_after is not None, response
        assert int(response.retry_after) >= 1
        assert response.took_s < RESPONSE_S, response


def check_recovered(clients: Clients) -> None:
    assert clients.wait_until_recovered() < RECOVERY_S
    # Pooled connections that were lost are replaced one by one, without any failed request.
    for _ in range(3):
        assert {response.status for response in clients.send_everything()} <= {200, 201}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_requests_get_503_while_the_database_is_stopped_and_work_again_afterwards(
    own_server: OwnPostgresServer, tmp_path: Path, mode: str
) -> None:
    with clients_of(tmp_path, migrated_database(own_server)) as clients:
        own_server.stop(mode)
        try:
            for _ in range(3):
                check_unavailable(clients.send_everything())
                sleep(0.2)
        finally:
            own_server.start()
        check_recovered(clients)


def processes_of(server: OwnPostgresServer) -> list[int]:
    """Return the process ids of the postmaster and its children."""
    with psycopg.connect(server.url) as connection:
        [(path,)] = connection.execute("SELECT current_setting('data_directory')")
    postmaster = int((Path(path) / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    return [postmaster, *map(int, children.split())]


@contextmanager
def frozen(server: OwnPostgresServer) -> Iterator[None]:
    """Stop the server's processes: its sockets stay open, and nothing comes from them."""
    processes = processes_of(server)
    for process in processes:
        signal_to(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            signal_to(process, signal.SIGCONT)


def signal_to(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return  # the process has ended


@contextmanager
def not_forwarding(proxy: Proxy) -> Iterator[None]:
    """Stop forwarding bytes."""
    proxy.stop_forwarding()
    try:
        yield
    finally:
        proxy.resume_forwarding()


Outage = Callable[[], Any]


@pytest.fixture(params=["frozen", "not forwarding"])
def unresponsive(
    request: pytest.FixtureRequest, own_server: OwnPostgresServer, proxy: Proxy
) -> tuple[str, Outage]:
    """The URL of a database, and a context in which it is unresponsive."""
    if request.param == "frozen":
        return migrated_database(own_server), lambda: frozen(own_server)
    return proxy.url, lambda: not_forwarding(proxy)


def test_requests_get_503_while_the_database_is_unresponsive_and_work_again_afterwards(
    unresponsive: tuple[str, Outage], tmp_path: Path
) -> None:
    url, outage = unresponsive
    with clients_of(tmp_path, url) as clients:
        with outage():
            for _ in range(3):
                check_unavailable(clients.send_everything())
                sleep(0.2)
            alive = clients.send("GET", "/healthz")
            assert (alive.status, alive.took_s < 1) == (200, True)
        check_recovered(clients)


def test_a_short_pause_of_the_database_is_waited_for(
    unresponsive: tuple[str, Outage], tmp_path: Path
) -> None:
    url, outage = unresponsive
    with clients_of(tmp_path, url) as clients:
        with ThreadPoolExecutor(1) as pool, outage():
            asked = pool.submit(clients.send, "GET", "/v1/users/jane")
            sleep(0.3)
        assert asked.result(10).status == 200


def test_operations_interrupted_by_an_unresponsive_database_leave_no_partial_write(
    unresponsive: tuple[str, Outage],
) -> None:
    url, outage = unresponsive
    with closing(PostgresEngine(url, QUERIES, pool_size=2)) as engine:
        engine.write(create_table)
        engine.write(add_note("before"))
        with outage():
            began = monotonic()
            with pytest.raises(Unavailable):
                engine.write(add_note("refused"))
            with pytest.raises(Unavailable):
                engine.read(count)
            assert monotonic() - began < 2 * RESPONSE_S
        ends = monotonic() + RECOVERY_S
        while True:
            try:
                engine.write(add_note("after"))
                break
            except Unavailable:
                assert monotonic() < ends, "it does not recover"
                sleep(0.02)
        assert engine.read(count) == 2
    assert notes_in_database(url) == ["before", "after"]


def test_an_engine_can_be_closed_while_the_database_is_unresponsive(
    unresponsive: tuple[str, Outage],
) -> None:
    url, outage = unresponsive
    engine = PostgresEngine(url, QUERIES, pool_size=2)
    engine.write(create_table)
    with outage():
        began = monotonic()
        engine.close()
        assert monotonic() - began < 5


def test_a_server_can_be_stopped_while_the_database_is_unresponsive(
    unresponsive: tuple[str, Outage], tmp_path: Path
) -> None:
    url, outage = unresponsive
    with serving(tmp_path, database_url=url) as server, outage():
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() - began < 15


def test_a_server_does_not_start_without_its_database_and_explains_why(
    own_server: OwnPostgresServer, tmp_path: Path
) -> None:
    url = own_server.new_database()
    own_server.stop()
    try:
        server = Server(tmp_path, database_url=url)
        assert server.process.wait(20) != 0
    finally:
        own_server.start()
    log = server.log.read_text()
    assert "cannot be used" in log
    assert "Traceback" not in log
