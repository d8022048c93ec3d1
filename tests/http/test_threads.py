"""Which thread computes: nothing that grows with its input runs on the event loop or in the writer.

The profiler of Python records how much each thread gives to these functions. Nothing is replaced.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import userkeep
from tests.conftest import engine_id, fresh_settings
from tests.http.clients import InProcessClient, serve_in_process

_PACKAGE = str(Path(userkeep.__file__).parent)
COMPUTES = {
    "api/parsing.py:read_body": "body",
    "http/compat/lenient.py:read_object": "body",
    "http/compat/message_filter.py:read_message_filter": "value",
    "domain/values/filters.py:parse_filter": "value",
    "domain/values/metadata.py:check_metadata": "value",
    "domain/values/json_text.py:find_too_deep": "text",
    "domain/search/analyzer.py:tokenize": "text",
    "domain/search/analyzer.py:find_terms": "text",
    "domain/search/analyzer.py:readings": "text",
    "domain/search/snippets.py:make_snippet": "content",
}
"""Functions whose time grows with an argument, and its name."""
ENCODES = "http/responses.py:json_response"
"""A function whose time grows with what it returns."""
SHORT_BYTES = 64 * 1024
"""So much is computed anywhere: metadata has no more, and takes about 20 ms at most."""

WORDS = " ".join(f"word{number}" for number in range(10_000))


class Recorder:
    """Records, while `is_recording`, how many bytes each thread gives to each function."""

    def __init__(self) -> None:
        self.bytes_of: Counter[tuple[str, str]] = Counter()
        self.is_recording = False

    def threads_of(self, function: str, least_bytes: int = SHORT_BYTES) -> set[str]:
        """Return the names of the threads that gave much to a function."""
        return {
            thread
            for (thread, name), size_bytes in self.bytes_of.items()
            if name == function and size_bytes > least_bytes
        }

    def record(self, frame: FrameType, event: str, result: Any) -> None:
        """Be the profiler of a thread."""
        path = frame.f_code.co_filename
        if not self.is_recording or not path.startswith(_PACKAGE):
            return
        name = f"{path[len(_PACKAGE) + 1 :]}:{frame.f_code.co_name}"
        if event == "call" and name in COMPUTES:
            self._add(name, frame.f_locals[COMPUTES[name]])
        elif event == "return" and name == ENCODES and result is not None:
            self._add(name, result.body)

    def _add(self, name: str, value: Any) -> None:
        raw = value if isinstance(value, str | bytes) else json.dumps(value)
        self.bytes_of[threading.current_thread().name, name] += len(raw)


@pytest.fixture(scope="module", params=["sqlite file", "postgres"], ids=engine_id)
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[InProcessClient, Recorder]]:
    """A client of a server on each engine, all of whose threads are recorded."""
    recorder = Recorder()
    before, before_of_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(recorder.record)
    sys.setprofile(recorder.record)
    try:
        settings = fresh_settings(request.param, tmp_path_factory.mktemp("threads"))
        with serve_in_process(settings) as client:
            messages = [
                {"role": "user", "content": f"needle {number} {WORDS}"} for number in range(5)
            ]
            body = {"user_id": "jane", "messages": messages}
            assert client.send("POST", "/v1/sessions/s/messages", body).status == 201
            yield client, recorder
    finally:
        sys.setprofile(before)
        threading.setprofile(before_of_threads)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    recorder.bytes_of.clear()
    recorder.is_recording = True
    try:
        yield
    finally:
        recorder.is_recording = False


LARGE = [{"role": "user", "content": f"{WORDS} {number}"} for number in range(5)]
REQUESTS = {
    "an append": ("POST", "/v1/sessions/s/messages", {"messages": LARGE}),
    "an append by Zep": ("POST", "/api/v1/sessions/s/memory", {"messages": LARGE}),
    "a user with large metadata": (
        "PUT",
        "/v1/users/large",
        {"metadata": {"a": list(range(10_000))}},
    ),
    "a user with large metadata by Zep": (
        "POST",
        "/api/v1/user",
        {"user_id": "large zep", "metadata": {"a": list(range(10_000))}},
    ),
    "a body that is rejected": ("POST", "/v1/users", {"user_id": ["x"] * 20_000}),
    "a filter that is rejected": ("POST", "/v1/search", {"filter": {"and": [{}] * 20_000}}),
    "a filter that is rejected by Zep": (
        "POST",
        "/api/v1/sessions/s/search",
        {"metadata": {"where": {"and": [{}] * 20_000}}},
    ),
    "a search": ("POST", "/v1/search", {"user_id": "jane", "query": "needle", "limit": 100}),
    "a search for phrases and beginnings": (
        "POST",
        "/v1/search",
        {"user_id": "jane", "query": '"needle 1" word* -needle2', "syntax": "web"},
    ),
    "a search by Zep": ("POST", "/api/v1/sessions/s/search?limit=100", {"text": "needle"}),
    "a new text of a message": ("PATCH", "/v1/sessions/s/messages/{id}", {"content": WORDS}),
    "new data of a message": ("PATCH", "/v1/sessions/s/messages/{id}", {"data": [WORDS]}),
    "a page": ("GET", "/v1/sessions/s/messages?limit=100", None),
    "a memory": ("GET", "/v1/sessions/s/memory?last=100", None),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_large_request_is_computed_beside_the_event_loop_and_the_writer(
    recorded: tuple[InProcessClient, Recorder], name: str
) -> None:
    client, recorder = recorded
    newest = client.send("GET", "/v1/sessions/s/memory?last=1").json["messages"][0]["id"]
    method, path, body = REQUESTS[name]
    with recording(recorder):
        response = client.send(method, path.format(id=newest), body)
    assert response.status < 500
    assert_beside(recorder)


def assert_beside(recorder: Recorder) -> None:
    busy = {"userkeep-writer", threading.main_thread().name}
    wrong = {name: recorder.threads_of(name) & busy for name in (*COMPUTES, ENCODES)}
    wrong = {name: threads for name, threads in wrong.items() if threads}
    assert not wrong


def test_what_is_short_is_computed_on_the_event_loop(
    recorded: tuple[InProcessClient, Recorder],
) -> None:
    client, recorder = recorded
    with recording(recorder):
        assert client.send("POST", "/v1/users", {"user_id": "short"}).status == 201
    loop = threading.main_thread().name
    assert recorder.threads_of("api/parsing.py:read_body", least_bytes=0) == {loop}
    assert recorder.threads_of(ENCODES, least_bytes=0) == {loop}
