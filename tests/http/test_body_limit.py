"""A body has at most 5 MiB, on every door, whether it says its length or not."""

from collections.abc import Iterator

import pytest

from tests.http.doors import Answer, Doors, InProcess, OverSocket

LIMIT = 5 * 1024 * 1024
PIECE = 64 * 1024
DOORS = ["in process", "over a socket"]
TARGETS = [
    ("POST", "/v1/users"),
    ("PUT", "/v1/users/a"),
    ("PATCH", "/v1/users/a"),
    ("POST", "/v1/sessions/a/messages"),
    ("POST", "/api/v1/user"),
    ("PATCH", "/api/v1/user/a"),
    ("POST", "/api/v1/sessions/a/memory"),
    ("PATCH", "/api/v1/sessions/a/messages/0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"),
]


@pytest.fixture(params=DOORS)
def any_doors(request: pytest.FixtureRequest, doors: InProcess, socket_doors: OverSocket) -> Doors:
    """The doors in process, and those of a real server."""
    return doors if request.param == "in process" else socket_doors


def pieces(size: int) -> Iterator[bytes]:
    """A JSON text of so many bytes, without a length."""
    yield b'{"x": "'
    left = size - 9
    while left > 0:
        yield b"x" * min(left, PIECE)
        left -= PIECE
    yield b'"}'


def assert_too_large(answer: Answer, target: str) -> None:
    assert answer.status == 413
    if target.startswith("/api"):
        assert answer.content_type == "text/plain"
        assert answer.headers["x-zep-version"]
    else:
        assert answer.json["code"] == "too_large"


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_body_that_says_it_is_too_large_is_refused(
    any_doors: Doors, method: str, target: str
) -> None:
    body = b"".join(pieces(LIMIT + 1))
    assert len(body) == LIMIT + 1
    assert_too_large(any_doors.send(method, target, body), target)


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_body_that_turns_out_to_be_too_large_is_refused(
    any_doors: Doors, method: str, target: str
) -> None:
    assert_too_large(any_doors.send(method, target, pieces=pieces(LIMIT + 1)), target)


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_body_of_5_mib_is_read(any_doors: Doors, method: str, target: str) -> None:
    for answer in (
        any_doors.send(method, target, b"".join(pieces(LIMIT))),
        any_doors.send(method, target, pieces=pieces(LIMIT)),
    ):
        assert answer.status != 413
        assert answer.status < 500


def test_one_great_piece_without_a_length_is_too_large_all_the_same(doors: InProcess) -> None:
    for method, target in TARGETS:
        whole = [b"".join(pieces(LIMIT + 1))]
        assert_too_large(doors.send(method, target, pieces=whole), target)


def test_a_server_goes_on_after_it(socket_doors: OverSocket) -> None:
    for size in (LIMIT + 1, 4 * LIMIT):
        answer = socket_doors.send("POST", "/v1/users", pieces=pieces(size))
        assert_too_large(answer, "/v1/users")
    assert socket_doors.send("GET", "/healthz").status == 200


def test_a_length_that_is_too_great_is_refused_before_the_body_comes(
    socket_doors: OverSocket,
) -> None:
    head = b"POST /v1/users HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    for length in (LIMIT + 1, 10**15):
        answer = socket_doors.send_bytes([head, b"content-length: %d\r\n\r\n" % length])
        assert_too_large(answer, "/v1/users")


def test_who_only_reads_may_send_what_they_like(doors: InProcess) -> None:
    assert doors.send("GET", "/v1/users", pieces=pieces(LIMIT + 1)).status == 200
    assert doors.send("GET", "/api/v1/user", pieces=pieces(LIMIT + 1)).status == 200
