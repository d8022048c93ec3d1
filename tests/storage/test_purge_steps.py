"""A purge that is interrupted at any step or write: the next one runs it again."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import apsw
import pytest

from tests.storage.faulty_disk import FaultyDisk
from userkeep import NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.domain.errors import Unavailable
from userkeep.instance import Instance, open_instance
from userkeep.jobs.purge import Purge
from userkeep.services import purges
from userkeep.storage.sqlite import search_index

MARK = "zqxcanary"
USERS = 12


@contextmanager
def opened(path: Path) -> Iterator[Instance]:
    """Open an instance on a file."""
    settings = Settings(database_url=f"sqlite:///{path}", secret="a secret of the tests")
    with closing(open_instance(settings)) as instance:
        yield instance


def fill(path: Path) -> None:
    """Add users with messages, and delete every second one."""
    with Userkeep.open(path, secret="a secret of the tests") as client:
        for number in range(USERS):
            who = f"{MARK}{number}" if number % 2 else f"stays{number}"
            messages = [
                NewMessage(role="user", content=f"{who} said {word} {who}") for word in range(20)
            ]
            client.user.add(user_id=who, email=f"{who}@example.org", metadata={"of": who})
            client.message.add(f"of {who}", messages, user_id=who)
        for number in range(1, USERS, 2):
            client.user.delete(f"{MARK}{number}")


def residue(path: Path) -> int:
    """Return how often deleted data is in the files."""
    files = [file for file in path.parent.glob(f"{path.name}*") if file.is_file()]
    return sum(file.read_bytes().count(MARK.encode()) for file in files)


def copy(path: Path, folder: Path) -> Path:
    """Copy the files as a crash would leave them now."""
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if file.suffix != ".lock" and not file.name.endswith("-shm"):
            shutil.copyfile(file, folder / file.name)
    return folder / path.name


def states(path: Path) -> set[str]:
    """Return the states of the erasures."""
    with Userkeep.open(path, secret="a secret of the tests") as client:
        assert sum(user.user_id.startswith("stays") for user in client.user.list()) == USERS / 2
        return {erasure.state for erasure in client.erasure.list()}


def test_a_purge_leaves_nothing_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    fill(path)
    assert residue(path) > 0, "there is something to find before the purge"
    with opened(path) as userkeep:
        Purge(userkeep.engine).run()
        assert residue(path) == 0
    assert states(path) == {"purged"}


def test_a_purge_drops_deleted_words_from_an_index_of_any_shape(tmp_path: Path) -> None:
    # FTS5 keeps its segments on levels, and each merge adds a level. A large segment moves all
    # others to its own level: then a merge adds none, and keeps the words of removed messages.
    path = tmp_path / "userkeep.db"
    with Userkeep.open(path, secret="a secret of the tests") as client:
        add_message(client, "john", 3_000)
        for number, words in enumerate((1, 6_000, 1, 6_000, 6_000, 1)):
            add_message(client, f"{MARK}{number}", words)
            assert client.user.delete(f"{MARK}{number}", purge="now").state == "purged"
            assert residue(path) == 0
        assert len(client.search("john2999", user_id="john")) == 1


def add_message(client: Userkeep, who: str, words: int) -> None:
    """Add a message whose words are in no other."""
    content = " ".join(f"{who}{word}" for word in range(words))
    client.message.add(f"of {who}", [NewMessage(role="user", content=content)], user_id=who)


def test_the_next_purge_completes_one_that_was_interrupted_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "PURGED_PAGES", 1)
    path = tmp_path / "userkeep.db"
    fill(path)
    stopped: list[Path] = []

    def stop(_doing: str = "") -> None:
        stopped.append(copy(path, tmp_path / f"{len(stopped)}"))

    with opened(path) as userkeep:
        engine = userkeep.engine
        with engine.compactor({}) as compactor:
            stop()
            step = engine.write(purges.begin)
            stop()
            engine.write(lambda tx: tx.search_index.start_purge())
            stop()
            while engine.write(lambda tx: tx.search_index.continue_purge()):
                stop()
            compactor.run(stop)
            stop()
            engine.write(partial(purges.end, purge_uuid=step.purge_uuid, skipped=[]))
        stop()
    assert len(stopped) > 6
    for crashed in stopped[:-1]:
        assert states(crashed) == {"deleted"}
        with opened(crashed) as userkeep:
            Purge(userkeep.engine).run()
        assert residue(crashed) == 0
        assert states(crashed) == {"purged"}
    assert states(stopped[-1]) == {"purged"}


def test_a_purge_fails_harmlessly_on_a_full_disk_and_succeeds_when_there_is_space(
    tmp_path: Path,
) -> None:
    path = tmp_path / "userkeep.db"
    fill(path)
    disk = FaultyDisk()
    with opened(path) as userkeep:
        disk.error, disk.file = apsw.FullError, "-wal"
        disk.mark = b"stays"  # in the rows that are rewritten, not in those that the purge adds
        with pytest.raises(Unavailable, match="full"):
            Purge(userkeep.engine).run()
        assert userkeep.engine.read(purges.pending) is not None
        disk.error = None
        Purge(userkeep.engine).run()
        assert residue(path) == 0
    assert states(path) == {"purged"}


def test_a_purge_can_be_stopped_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    fill(path)
    with opened(path) as userkeep, closing(apsw.Connection(str(path))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        purge = Purge(userkeep.engine)
        errors: list[Unavailable] = []

        def run() -> None:
            try:
                purge.run()
            except Unavailable as error:
                errors.append(error)

        thread = Thread(target=run)
        thread.start()
        while userkeep.engine.read(purges.status) is None:
            pass
        purge.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()
        assert "stopped" in errors[0].detail
        reader.execute("COMMIT")
    assert states(path) == {"deleted"}


def test_two_purges_of_one_database_do_not_run_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    fill(path)
    with opened(path) as userkeep:
        with userkeep.engine.compactor({}), pytest.raises(Unavailable, match="Another purge"):
            Purge(userkeep.engine).run()
        Purge(userkeep.engine).run()
        assert residue(path) == 0
