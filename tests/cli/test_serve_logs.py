"""What `userkeep serve` logs, as text and as JSON."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.serving import Server, serving
from userkeep.version import __version__

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
JSON = {"USERKEEP_LOG_FORMAT": "json"}
FIXED = ["time", "level", "logger", "message"]


def delete_jane(server: Server) -> None:
    """Create a user with a message, delete both, and purge the files."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        body = {"user_id": "jane", "messages": [{"role": "user", "content": "shoes"}] * 3}
        assert client.post("/v1/sessions/jane/messages", json=body).status_code == 201
        assert client.get("/v1/users/jane?x=oslo").status_code == 422
        deleted = client.delete("/v1/users/jane", params={"purge": "now"})
        assert deleted.status_code in {200, 202}, deleted.text


def json_lines(server: Server) -> list[Any]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_a_log_in_json_has_one_object_a_line_from_start_to_stop(tmp_path: Path) -> None:
    with serving(tmp_path, settings=JSON) as server:
        delete_jane(server)
    lines = json_lines(server)
    assert all(list(line)[:4] == FIXED for line in lines)
    assert all(re.fullmatch(TIME, line["time"]) for line in lines)
    assert {line["level"] for line in lines} == {"info"}
    assert lines[0]["message"] == f"Userkeep {__version__} listens on {server.url}"
    assert lines[0]["docs"] == f"{server.url}/docs"
    asked = [(line["route"], line["status"]) for line in lines if line["message"] == "request"]
    assert ("/v1/sessions/{session_id}/messages", 201) in asked
    assert ("/v1/users/{user_id}", 422) in asked


def test_lines_of_requests_are_in_order_with_other_lines(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(30)]
    with (
        serving(tmp_path, settings=JSON) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        for number in numbers:
            headers = {"X-Request-Id": number}
            assert client.get("/v1/users", headers=headers).status_code == 200
    lines = json_lines(server)
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    asked = [line["request_id"] for line in lines if line.get("route") == "/v1/users"]
    assert asked == numbers


def test_deletions_and_purges_are_logged_as_counts(tmp_path: Path) -> None:
    with serving(tmp_path, settings=JSON) as server:
        delete_jane(server)
    lines = {line["message"]: line for line in json_lines(server)}
    assert lines["deleted"]["subject"] == "user"
    assert (lines["deleted"]["sessions"], lines["deleted"]["messages"]) == (1, 3)
    assert lines["purged deleted data"]["skipped_steps"] == 0
    assert lines["purged deleted data"]["duration_ms"] >= 0


def test_a_log_in_text_has_one_line_a_request(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        delete_jane(server)
    line = rf"{TIME} INFO userkeep\.requests: request method=GET route=/v1/users/\{{user_id\}} "
    rest = r"status=422 duration_ms=\d+\.\d\d bytes=\d+ request_id=[0-9a-f]{16} key_id=-"
    found = [
        each for each in server.log.read_text().splitlines() if re.fullmatch(line + rest, each)
    ]
    assert len(found) == 1


@pytest.mark.parametrize("level", ["warning", "error"])
def test_requests_are_not_logged_above_info(tmp_path: Path, level: str) -> None:
    with serving(tmp_path, settings=JSON | {"USERKEEP_LOG_LEVEL": level}) as server:
        delete_jane(server)
    assert server.log.read_text() == ""
