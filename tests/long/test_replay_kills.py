"""The deletion ledger while processes are killed: in the end all is deleted, and deleted again."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Timer
from time import monotonic

import pytest

from tests.cli.running import environment_of
from tests.long.counts import IS_FULL, seeded_random
from tests.restoring import Place, contents, fill_collection, fresh_place, library
from tests.serving import USERKEEP, Server
from userkeep import NewMessage, Userkeep, UserkeepError

_USERS = 60 if IS_FULL else 20
_KEPT = 10
_REPLAYS = 60 if IS_FULL else 3
_KILLS = 100 if IS_FULL else 4
_COMMAND = [str(USERKEEP), "replay-erasures"]


def _fill(client: Userkeep) -> None:
    for number in range(_USERS):
        for session in range(3):
            messages = [NewMessage(role="user", content=f"{number} {n}") for n in range(20)]
            client.message.add(f"{number} {session}", messages, user_id=f"user {number}")
        client.session.add(session_id=f"{number} unowned")
        client.message.add(f"{number} unowned", NewMessage(role="user", content="hello"))
        fill_collection(client, f"notes-{number}", *(f"note {n}" for n in range(3)))


def _assign(client: Userkeep) -> None:
    for number in range(_USERS):
        client.session.update(session_id=f"{number} unowned", user_id=f"user {number}")


def _backed_up(engine: str, folder: Path) -> tuple[Place, Place]:
    """Return a database whose sessions all have users, and its backup, in which some have none."""
    place = fresh_place(engine, folder)
    with place.open() as client:
        _fill(client)
    backup = place.back_up()
    with place.open() as client:
        _assign(client)
    return place, backup


def _delete(client: Userkeep) -> None:
    for number in range(_KEPT, _USERS):
        client.user.delete(f"user {number}")
        client.collection.delete(f"notes-{number}")
    for number in range(_KEPT):
        client.document.delete(f"notes-{number}", "note 1")
        client.session.delete(f"{number} 0")
        client.message.delete_after(f"{number} 1", 7)


def _run(place: Place, seconds: float) -> int | None:
    """Replay; kill the command after some seconds. Return its exit code, or None."""
    environment = environment_of(place.environment)
    with subprocess.Popen(_COMMAND, env=environment, stdout=-3, stderr=-3) as process:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
        process.kill()
    return None


@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_replay_that_is_killed_is_completed_by_the_next(
    engine: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    random = seeded_random(f"replay on {engine}")
    place, backup = _backed_up(engine, tmp_path)
    with place.open() as client:
        _delete(client)
        expected = contents(client), library(client)
    began = monotonic()
    place.run("replay-erasures")
    longest = monotonic() - began + 0.5

    kills = 0
    for _ in range(_REPLAYS):
        code = _run(backup, random.uniform(0.1, longest))
        kills += code is None
        assert code in {None, 0}
    assert _run(backup, 60) == 0
    with backup.open() as client:
        assert (contents(client), library(client)) == expected
    report(f"{kills} kills during a replay of {_USERS} deletions")


@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_what_a_killed_server_began_to_delete_is_deleted_again_in_a_backup(
    engine: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    random = seeded_random(f"deletions on {engine}")
    place, backup = _backed_up(engine, tmp_path)
    numbers = list(range(_USERS))
    kills = 0
    while numbers and kills < _KILLS:
        server = Server(tmp_path, database_url=place.url, settings=place.environment)
        with Userkeep(server.wait_until_ready().url, attempts=1) as client:
            timer = Timer(random.uniform(0.0, 0.08), server.kill)
            timer.start()
            with suppress(UserkeepError):
                while numbers:
                    number = numbers.pop()
                    client.user.delete(f"user {number}")
                    client.document.delete_many(f"notes-{number}", ["note 0", "note 2"])
                    if number % 2:
                        client.collection.delete(f"notes-{number}")
            timer.join()
        kills += 1
    place.open().close()  # completes what was begun
    assert _run(backup, 60) == 0
    with place.open() as client, backup.open() as restored:
        expected = contents(client)
        assert contents(restored).keys() == expected.keys()
        assert library(restored) == library(client)
    report(f"{kills} kills during the deletion of {_USERS - len(expected['users'])} users")
