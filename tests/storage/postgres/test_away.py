"""A database server that stops, hangs or cannot be reached, and comes back: what clients see."""

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

from tests.postgres import OwnPostgresServer
from tests.serving import Server, serving
from tests.storage.postgres.notes import QUERIES, count, make, note, noted_in
from tests.storage.postgres.proxy import Proxy
from userkeep.domain.errors import Unavailable
from userkeep.storage.postgres import PostgresEngine

ANSWER_S = 2.0
"""Whatever has happened to the database, a client knows after this."""
RECOVERY_S = 2.0
"""A server that is back is used again after this: a pause of at most a second, and starting up."""
CLIENTS = 16

REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/users/jane", None),
    ("POST", "/v1/users", {}),
    ("GET", "/v1/users?metadata.a=1", None),
    ("POST", "/v1/sessions/talk/messages", {"messages": [{"content": "Hello"}]}),
    ("GET", "/v1/sessions/talk/memory", None),
    ("GET", "/api/v1/user/jane", None),
    ("POST", "/api/v1/user", {}),
    ("POST", "/api/v1/sessions/talk/memory", {"messages": [{"role": "a", "content": "Hello"}]}),
    ("GET", "/v1/sessions/talk/messages?limit=1000", None),
]


class Answer(NamedTuple):
    status: int
    retry_after: str | None
    text: str
    took_s: float


class Clients:
    """Clients of a server, each with a connection of its own."""

    def __init__(self, server: Server) -> None:
        self._client = httpx2.Client(
            base_url=server.url,
            timeout=60,
            limits=httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS),
        )
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._made = 0

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        if body == {}:
            self._made += 1
            body = {"user_id": f"user {self._made}"}
        began = monotonic()
        answer = self._client.request(method, path, json=body)
        took_s = monotonic() - began
        return Answer(answer.status_code, answer.headers.get("retry-after"), answer.text, took_s)

    def ask_everything(self, times: int = 3) -> list[Answer]:
        """Every kind of request, many at the same time."""
        asked = [self._pool.submit(self.ask, *request) for request in REQUESTS * times]
        return [each.result(90) for each in asked]

    def wait_until_well(self) -> float:
        """Ask for everything until all of it works again; how long that took."""
        began = monotonic()
        while not {answer.status for answer in self.ask_everything(1)} <= {200, 201}:
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
        assert clients.ask("POST", "/v1/users", {"user_id": "jane"}).status == 201
        assert clients.ask("POST", "/v1/sessions", {"session_id": "talk"}).status == 201
        assert {answer.status for answer in clients.ask_everything()} <= {200, 201}
        yield clients


def check_refused(answers: list[Answer]) -> None:
    for answer in answers:
        assert answer.status == 503, answer
        assert answer.retry_after is not None, answer
        assert int(answer.retry_after) >= 1
        assert answer.took_s < ANSWER_S, answer


def check_well(clients: Clients) -> None:
    assert clients.wait_until_well() < RECOVERY_S
    # Lanes that have lost their connection find out one by one, and nobody notices.
    for _ in range(3):
        assert {answer.status for answer in clients.ask_everything()} <= {200, 201}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_while_the_database_is_stopped_everybody_is_told_to_come_again_and_then_it_works(
    own_server: OwnPostgresServer, tmp_path: Path, mode: str
) -> None:
    with clients_of(tmp_path, own_server.new_database()) as clients:
        own_server.stop(mode)
        try:
            for _ in range(3):
                check_refused(clients.ask_everything())
                sleep(0.2)
        finally:
            own_server.start()
        check_well(clients)


def processes_of(server: OwnPostgresServer) -> list[int]:
    """The postmaster and all that it has started."""
    with psycopg.connect(server.url) as connection:
        [(path,)] = connection.execute("SELECT current_setting('data_directory')")
    postmaster = int((Path(path) / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    return [postmaster, *map(int, children.split())]


@contextmanager
def frozen(server: OwnPostgresServer) -> Iterator[None]:
    """The server's processes stand still: its sockets are open, and nothing comes from them."""
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
        return  # it has ended by itself


@contextmanager
def deaf(proxy: Proxy) -> Iterator[None]:
    """What is sent arrives nowhere."""
    proxy.go_deaf()
    try:
        yield
    finally:
        proxy.hear_again()


Silence = Callable[[], Any]


@pytest.fixture(params=["frozen", "deaf"])
def silent(
    request: pytest.FixtureRequest, own_server: OwnPostgresServer, proxy: Proxy
) -> tuple[str, Silence]:
    """The URL of a database, and what makes it silent for a while."""
    if request.param == "frozen":
        return own_server.new_database(), lambda: frozen(own_server)
    return proxy.url, lambda: deaf(proxy)


def test_while_the_database_is_silent_everybody_is_told_to_come_again_and_then_it_works(
    silent: tuple[str, Silence], tmp_path: Path
) -> None:
    url, silence = silent
    with clients_of(tmp_path, url) as clients:
        with silence():
            for _ in range(3):
                check_refused(clients.ask_everything())
                sleep(0.2)
            alive = clients.ask("GET", "/healthz")
            assert (alive.status, alive.took_s < 1) == (200, True)
        check_well(clients)


def test_a_silence_that_is_short_is_waited_for(silent: tuple[str, Silence], tmp_path: Path) -> None:
    url, silence = silent
    with clients_of(tmp_path, url) as clients:
        with ThreadPoolExecutor(1) as pool, silence():
            asked = pool.submit(clients.ask, "GET", "/v1/users/jane")
            sleep(0.3)
        assert asked.result(10).status == 200


def test_what_was_under_way_when_the_database_fell_silent_is_not_done_in_part(
    silent: tuple[str, Silence],
) -> None:
    url, silence = silent
    with closing(PostgresEngine(url, QUERIES, pool_size=2)) as engine:
        engine.write(make)
        engine.write(note("before"))
        with silence():
            began = monotonic()
            with pytest.raises(Unavailable):
                engine.write(note("refused"))
            with pytest.raises(Unavailable):
                engine.read(count)
            assert monotonic() - began < 2 * ANSWER_S
        ends = monotonic() + RECOVERY_S
        while True:
            try:
                engine.write(note("after"))
                break
            except Unavailable:
                assert monotonic() < ends, "it does not recover"
                sleep(0.02)
        assert engine.read(count) == 2
    assert noted_in(url) == ["before", "after"]


def test_an_engine_can_be_closed_while_the_database_is_silent(
    silent: tuple[str, Silence],
) -> None:
    url, silence = silent
    engine = PostgresEngine(url, QUERIES, pool_size=2)
    engine.write(make)
    with silence():
        began = monotonic()
        engine.close()
        assert monotonic() - began < 5


def test_a_server_stops_while_the_database_is_silent(
    silent: tuple[str, Silence], tmp_path: Path
) -> None:
    url, silence = silent
    with serving(tmp_path, database_url=url) as server, silence():
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() - began < 15


def test_a_server_does_not_start_without_its_database_and_says_why(
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
