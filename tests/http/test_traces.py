"""OpenTelemetry traces: what is sent of requests, transactions and jobs, and what never is."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.running import is_sentence, userkeep_process
from tests.http.clients import InProcessClient, serve_in_process
from tests.http.otlp import Receiver, attributes, receiving
from userkeep.config import Settings, is_postgres
from userkeep.version import __version__

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "night-42"}
SERVER, ERROR = 2, 2


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that servers of this test send their traces to."""
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield receiver


@pytest.fixture
def client(settings: Settings, receiver: Receiver) -> Iterator[InProcessClient]:
    """A client of a server on each engine, which records traces."""
    with serve_in_process(replace(settings, traces=True)) as client:
        yield client


def test_a_request_is_a_span_that_continues_the_trace_of_its_client(
    client: InProcessClient, receiver: Receiver
) -> None:
    client.send("GET", "/v1/users/jane?metadata.city=oslo", headers=TRACEPARENT)
    [span] = receiver.spans("GET /v1/users/{user_id}")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.kind == SERVER
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/users/{user_id}",
        "http.response.status_code": 422,
        "url.scheme": "http",
        "userkeep.request_id": "night-42",
    }
    assert receiver.resource["service.name"] == "userkeep"
    assert receiver.resource["service.version"] == __version__


def test_transactions_and_their_waits_are_spans_of_the_request(
    client: InProcessClient, settings: Settings, receiver: Receiver
) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane"})
    request, write, queue = receiver.spans("POST /v1/users", "database write", "queue")
    assert write.parent_span_id == request.span_id
    assert write.trace_id == queue.trace_id == request.trace_id
    system = "postgresql" if is_postgres(settings.database_url) else "sqlite"
    assert attributes(write) == {"db.system.name": system}
    assert request.start_time_unix_nano <= write.start_time_unix_nano
    assert write.end_time_unix_nano <= request.end_time_unix_nano


def test_a_job_is_a_span_of_the_request_that_started_it(
    client: InProcessClient, receiver: Receiver
) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane"})
    client.send("DELETE", "/v1/users/jane?purge=now")
    request, job, purge = receiver.spans("DELETE /v1/users/{user_id}", "job deletion", "job purge")
    assert (job.trace_id, job.parent_span_id) == (request.trace_id, request.span_id)
    assert purge.trace_id != request.trace_id  # it may be for several requests


def test_spans_have_nothing_personal(client: InProcessClient, receiver: Receiver) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane", "metadata": {"city": "oslo"}})
    client.send("POST", "/v1/users", {"user_id": "jane"})
    client.send("POST", "/v1/search", {"query": "shoes", "user_id": "jane"})
    client.send("PUT", "/jane/shoes")
    client.send("OTHER", "/v1/users")
    receiver.spans("POST /v1/users", "POST /v1/search", "PUT", "HTTP")
    assert not re.search("jane|oslo|shoes", receiver.text(), re.IGNORECASE)


def test_an_unexpected_error_marks_the_span_without_its_text(
    client: InProcessClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("userkeep.http.access.is_loopback", fail)
    response = client.send("GET", "/v1/users", headers={"Host": "never-seen.example"})
    assert response.status == 500
    [span] = receiver.spans("GET /v1/users")
    assert span.status.code == ERROR
    assert attributes(span)["error.type"] == "500"
    assert "unexpected" not in receiver.text()


def test_probes_and_idle_background_work_are_no_spans(
    client: InProcessClient, receiver: Receiver
) -> None:
    for target in ("/healthz", "/readyz", "/metrics", "/v1/users"):
        assert client.send("GET", target).status == 200
    receiver.spans("GET /v1/users")
    assert {*receiver.names()} <= {"GET /v1/users", "database read", "queue"}


def test_a_stop_sends_what_is_left(settings: Settings, receiver: Receiver) -> None:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        with serve_in_process(replace(settings, traces=True)) as client:
            client.send("GET", "/v1/users")
            assert receiver.names() == []
    assert "GET /v1/users" in receiver.names()


def test_without_the_setting_nothing_is_sent(settings: Settings, receiver: Receiver) -> None:
    with serve_in_process(settings) as client:
        client.send("GET", "/v1/users", headers=TRACEPARENT)
    assert receiver.names() == []


def test_without_opentelemetry_the_start_ends_with_a_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "opentelemetry"
    missing.mkdir()
    (missing / "__init__.py").write_text("raise ImportError\n")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    environment = {"PYTHONPATH": path, "USERKEEP_TRACES": "true"}
    result = userkeep_process("serve", "--port", "0", folder=tmp_path, environment=environment)
    assert result.returncode == 2
    assert is_sentence(result.stderr)
    assert "extra `otel`" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["opentelemetry"]
