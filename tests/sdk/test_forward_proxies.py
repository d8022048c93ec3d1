"""Proxies that HTTP_PROXY names: never for this machine, and named in errors elsewhere."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools.ports import free_port
from tests.cli.running import userkeep
from tests.http.otlp import receiving
from tests.sdk.fake_server import HTML, USER, FakeServer, Response, call, fake_server
from userkeep import (
    ConnectionFailed,
    InvalidField,
    Unavailable,
    UnexpectedAnswer,
    Userkeep,
    UserkeepError,
)
from userkeep.http.traces import OpenTelemetryTraces
from userkeep.zep import APIError, ZepClient

MODES = ("sync", "asyncio", "trio")
PASSWORD = "hunter2"
ELSEWHERE = "http://memory.example.com"
OTHER_VARIABLES = ("all_proxy", "no_proxy", "https_proxy")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A proxy that HTTP_PROXY names, with a password."""
    with fake_server() as server:
        _set(monkeypatch, server.url.replace("//", f"//me:{PASSWORD}@"))
        yield server


def _set(monkeypatch: pytest.MonkeyPatch, url: str, variable: str = "http_proxy") -> None:
    for name in ("http_proxy", *OTHER_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, url)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"],
)
def test_a_request_to_this_machine_goes_through_no_proxy(
    mode: str, host: str, proxy: FakeServer
) -> None:
    with fake_server() as server:
        url = server.url.replace("127.0.0.1", host)
        call(mode, url, lambda client: client.user.get("jane"))
    assert len(server.requests) == 1
    assert not proxy.requests


@pytest.mark.parametrize("mode", MODES)
def test_compression_is_accepted_of_other_machines_alone(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = gzip.compress(json.dumps(USER).encode())
    with fake_server(Response(200, body, {"Content-Encoding": "gzip"})) as proxy:
        _set(monkeypatch, proxy.url)
        call(mode, ELSEWHERE, lambda client: client.user.get("jane"))
        assert proxy.requests[0].headers["Accept-Encoding"] == "gzip"
    with fake_server() as server:
        call(mode, server.url, lambda client: client.user.get("jane"))
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("host", ["127.9.8.7", "[::1]", "LOCALHOST.", "a.localhost"])
@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_server_of_this_machine_that_does_not_run_is_not_looked_for_elsewhere(
    host: str, variable: str, proxy: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, proxy.url, variable)
    url = f"http://{host}:{free_port()}"
    with pytest.raises(ConnectionFailed) as failed, Userkeep(url, attempts=1) as client:
        client.user.get("jane")
    assert "proxy" not in str(failed.value)
    assert not proxy.requests


def test_a_command_sends_no_loopback_request_to_a_proxy(tmp_path: Path, proxy: FakeServer) -> None:
    with fake_server() as server:
        got = userkeep("users", "show", "jane", "--url", server.url, folder=tmp_path)
    assert got.returncode == 0, got.stderr
    assert len(server.requests) == 1
    assert not proxy.requests


def test_traces_for_this_machine_go_through_no_proxy(
    proxy: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        traces = OpenTelemetryTraces()
        with traces.job("purge"):
            pass
        asyncio.run(traces.close())
        receiver.spans("job purge")
    assert not proxy.requests


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_other_servers_are_reached_through_the_proxy(
    mode: str, variable: str, proxy: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, proxy.url.removeprefix("http://"), variable)
    call(mode, ELSEWHERE, lambda client: client.user.get("jane"))
    assert [each.path for each in proxy.requests] == [f"{ELSEWHERE}/v1/users/jane"]


@pytest.mark.parametrize(
    ("url", "exceptions"),
    [
        ("http://memory.invalid", "memory.invalid"),
        ("http://memory.invalid", "other.invalid, .invalid"),
        ("http://memory.invalid", "*"),
        ("http://memory.invalid", "example.com,*"),
        ("http://memory.invalid", "*.invalid"),
        ("http://memory.invalid", "http://memory.invalid"),
        ("http://192.0.2.7:1", "192.0.2.0/24"),
        ("http://192.0.2.7:1", "192.0.2.7"),
        ("http://[2001:db8::7]:1", "2001:db8::7"),
        ("http://[2001:db8::7]:1", "[2001:db8::]/32"),
    ],
)
def test_no_proxy_excepts_names_addresses_and_networks(
    url: str, exceptions: str, proxy: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", exceptions)
    with (
        pytest.raises(UserkeepError) as failed,
        Userkeep(url, attempts=1, timeout_s=0.02) as client,
    ):
        client.user.get("jane")
    assert "proxy" not in str(failed.value)
    assert not proxy.requests


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    _set(monkeypatch, f"http://me:{PASSWORD}@127.0.0.1:{port}", "HTTPS_PROXY")
    with pytest.raises(ConnectionFailed) as failed:
        call(
            mode,
            "https://memory.example.com",
            lambda client: client.user.get("jane"),
            attempts=1,
        )
    assert f"the proxy http://127.0.0.1:{port} (HTTPS_PROXY)" in str(failed.value)
    assert "NO_PROXY" in str(failed.value)
    assert PASSWORD not in str(failed.value)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (Response(407, b""), UnexpectedAnswer),
        (Response(503, b"<html>"), Unavailable),
        (Response(200, b"<html>"), UnexpectedAnswer),
    ],
)
def test_a_response_of_the_proxy_is_named_as_such(
    response: Response, kind: type[UserkeepError], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_server(response) as proxy:
        _set(monkeypatch, proxy.url.replace("//", f"//me:{PASSWORD}@"))
        with pytest.raises(kind) as failed, Userkeep(ELSEWHERE, attempts=1) as client:
            client.user.get("jane")
    assert f"the proxy {proxy.url} (HTTP_PROXY)" in str(failed.value)
    assert PASSWORD not in str(failed.value)


@pytest.mark.parametrize("value", ["ftp://proxy", f"http://me:{PASSWORD}@[::1", "socks5://proxy"])
def test_an_impossible_proxy_is_an_error_without_its_value(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, value)
    with pytest.raises(InvalidField, match="HTTP_PROXY") as failed:
        Userkeep(ELSEWHERE)
    assert PASSWORD not in str(failed.value)


def _health(url: str) -> Any:
    with ZepClient(url):
        pass


def _user_of_zep(url: str) -> Any:
    with ZepClient(url) as client:
        client.user.get("jane")


def test_the_zep_client_sends_no_loopback_request_to_a_proxy(proxy: FakeServer) -> None:
    with fake_server(Response(200, b".", {"X-Zep-Version": "0.27.2-a"})) as server:
        _health(server.url)
    assert len(server.requests) == 1
    assert not proxy.requests


@pytest.mark.parametrize("work", [_health, _user_of_zep])
def test_the_zep_client_names_the_proxy(
    work: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    health = Response(200, b".", {"X-Zep-Version": "0.27.2-a"})
    with fake_server(*([health] if work is _user_of_zep else []), HTML) as proxy:
        _set(monkeypatch, proxy.url.replace("//", f"//me:{PASSWORD}@"))
        with pytest.raises(APIError) as failed:
            work(ELSEWHERE)
    assert f"the proxy {proxy.url} (HTTP_PROXY)" in str(failed.value)
    assert PASSWORD not in str(failed.value)
