"""`--metrics-port` serves `/metrics` without a key, and nothing else."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from devtools.ports import free_port
from tests.cli.running import is_sentence, userkeep
from tests.http.scrapes import Scraped
from tests.serving import Server, serving

KEY = "the-key-of-an-operator"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Server]:
    """A server with a key and a port for metrics."""
    settings = {"USERKEEP_METRICS_PORT": str(port), "USERKEEP_API_KEY": KEY}
    with serving(tmp_path_factory.mktemp("server"), settings=settings) as server:
        yield server


def test_the_port_serves_metrics_without_a_key_and_nothing_else(server: Server, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with httpx2.Client() as client:
        assert client.get(f"{server.url}/metrics").status_code == 401
        response = client.get(f"{url}/metrics")
        assert response.status_code == 200
        assert "userkeep_http_requests_total" in response.text
        assert client.head(f"{url}/metrics").status_code == 200
        for method, path in (
            *(("GET", "/"), ("GET", "/v1/users"), ("GET", "/readyz"), ("POST", "/metrics")),
        ):
            response = client.request(method, f"{url}{path}")
            assert response.status_code == 404
            assert "nothing else" in response.json()["detail"]
        rebound = client.get(f"{url}/metrics", headers={"Host": "evil.example"})
        assert rebound.status_code == 403
    assert f"  metrics   {url}/metrics\n" in server.log.read_text()


def test_what_is_rejected_before_it_has_a_route_is_counted(server: Server, port: int) -> None:
    def scrape() -> Scraped:
        return Scraped(httpx2.get(f"http://127.0.0.1:{port}/metrics").text)

    before = scrape()
    with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
        connection.sendall(b"GARBAGE\r\n\r\n")
        connection.recv(1000)
        after = scrape()
    name = "userkeep_http_rejected_requests_total"
    assert after.value(name, status="400") == before.value(name, status="400") + 1
    assert after.value("userkeep_http_connections") >= 1


def test_a_port_that_is_in_use_ends_the_start_with_advice(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = str(other.getsockname()[1])
        result = userkeep("serve", "--port", "0", "--metrics-port", taken, folder=tmp_path)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert f"Port {taken} on 127.0.0.1 is already in use. Use --metrics-port" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"METRICS_PORT": "9100", "METRICS": "false"}, "USERKEEP_METRICS is false"),
        ({"METRICS_PORT": "65536"}, "USERKEEP_METRICS_PORT must be at most 65535"),
        ({"METRICS_PORT": "http"}, "must be a whole number"),
        ({"METRICS_PORT": "9100", "METRICS_HOST": "no such host"}, "has no address"),
    ],
)
def test_settings_that_cannot_be_are_rejected_with_a_sentence(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    environment = {f"USERKEEP_{name}": value for name, value in settings.items()}
    result = userkeep("serve", "--port", "0", folder=tmp_path, environment=environment)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []
