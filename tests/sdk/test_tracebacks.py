"""An error of the SDK has a traceback that ends at the line of the app that called it."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import userkeep
from devtools.ports import free_port
from tests.serving import serving
from userkeep import (
    AsyncUserkeep,
    ConnectionFailed,
    InvalidField,
    NewMessage,
    NotFound,
    NotSent,
    SettingError,
    Userkeep,
    UserkeepError,
)

OPENED = ["server", "embedded"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server.url


def check_ends_here(error: BaseException) -> None:
    """Check that the last line of a traceback is in this file, also of what caused the error."""
    shown = "".join(traceback.format_exception(error))
    assert {frame.filename for frame in traceback.extract_tb(error.__traceback__)} == {__file__}
    assert "userkeep/sdk/" not in shown, shown
    assert "site-packages" not in shown, shown


FAILING: list[Callable[[Any], Any]] = [
    lambda client: client.user.get("unknown"),
    lambda client: client.user.add(user_id=""),
    lambda client: list(client.message.list("no session")),
    lambda client: client.memory.get("no session"),
    lambda client: client.search("shoes", user_id="unknown"),
    lambda client: client.session.update(session_id="no session", title="Shoes"),
    lambda client: client.erasure.get("no erasure"),
    lambda client: client.project.get("no project"),
    lambda client: client.user.list(limit=0),
    lambda client: client.message.add("s", "hi"),
]


@pytest.mark.parametrize("opened", OPENED)
def test_the_last_line_of_a_traceback_is_that_of_the_caller(opened: str, url: str) -> None:
    with Userkeep(url) if opened == "server" else Userkeep.open(":memory:") as client:
        for failing in FAILING:
            with pytest.raises(UserkeepError) as caught:
                failing(client)
            check_ends_here(caught.value)
            assert caught.value.status in {404, 422}


@pytest.mark.parametrize("opened", OPENED)
def test_so_is_that_of_an_awaited_call(opened: str, url: str) -> None:
    async def fail() -> None:
        async with (
            AsyncUserkeep(url) if opened == "server" else AsyncUserkeep.open(":memory:") as client
        ):
            with pytest.raises(NotFound) as caught:
                await client.user.get("unknown")
            check_ends_here(caught.value)
            with pytest.raises(InvalidField) as invalid:
                await client.user.list(limit=0)
            check_ends_here(invalid.value)

    asyncio.run(fail())


def test_so_is_that_of_a_client_that_cannot_connect() -> None:
    with Userkeep(f"http://127.0.0.1:{free_port()}", attempts=1) as client:
        with pytest.raises(NotSent) as caught:
            client.user.get("jane")
        check_ends_here(caught.value)
        assert isinstance(caught.value, ConnectionFailed)
        assert caught.value.status is None
        assert caught.value.__cause__ is not None


def test_so_is_that_of_an_iteration_that_reads_a_page(url: str) -> None:
    with Userkeep(url) as client:
        client.user.add(user_id="iterated")
        for number in range(101):
            client.session.add(session_id=f"session {number}", user_id="iterated")
        sessions = iter(client.user.get_sessions("iterated"))
        for _ in range(100):
            next(sessions)
        client.user.delete("iterated")
        with pytest.raises(NotFound) as caught:
            next(sessions)
        check_ends_here(caught.value)


def test_so_is_that_of_a_client_that_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(InvalidField) as caught:
        Userkeep("ftp://127.0.0.1")
    check_ends_here(caught.value)
    with pytest.raises(SettingError) as invalid:
        Userkeep.open(tmp_path / "memory.db", memory_window=-1)
    check_ends_here(invalid.value)


MISTAKES: list[Callable[[Any], Any]] = [
    lambda client: client.user.add("jane"),
    lambda client: client.user.add(userkeep.CreateUserRequest(user_id="jane"), email="x"),
    lambda client: client.user.add(user_id="jane", name="Jane"),
    lambda _: NewMessage("hi"),  # type: ignore[arg-type,call-arg]
    lambda _: NewMessage(rol="user"),  # type: ignore[call-arg]
]


def test_so_is_that_of_a_wrong_call() -> None:
    with Userkeep.open(":memory:") as client:
        for mistaken in MISTAKES:
            with pytest.raises(TypeError) as caught:
                mistaken(client)
            check_ends_here(caught.value)


@pytest.mark.parametrize("opened", OPENED)
def test_so_is_that_of_a_call_of_a_closed_client(opened: str, url: str) -> None:
    client = Userkeep(url) if opened == "server" else Userkeep.open(":memory:")
    client.close()
    with pytest.raises(RuntimeError, match="closed") as caught:
        client.user.get("jane")
    check_ends_here(caught.value)


def test_an_unexpected_error_keeps_its_whole_traceback() -> None:
    class Broken:
        def __fspath__(self) -> str:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        Userkeep.open(Broken())
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert any("userkeep" in frame.filename and frame.filename != __file__ for frame in frames)


def test_every_error_has_a_status_or_none_and_is_exported() -> None:
    def kinds_of(kind: type[UserkeepError]) -> Iterator[type[UserkeepError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from kinds_of(each)

    raised = {
        kind for kind in kinds_of(UserkeepError) if kind.__module__.startswith("userkeep.sdk")
    }
    assert {kind.__name__ for kind in raised} <= set(userkeep.__all__)
    assert all(kind.status is None for kind in raised)
    for name in userkeep.__all__:
        kind = getattr(userkeep, name)
        if isinstance(kind, type) and issubclass(kind, UserkeepError) and kind not in raised:
            assert kind is UserkeepError or 400 <= int(str(kind.status)) <= 503
