"""A deleted and purged project is in no file: neither its users nor its sessions without a user."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.long.counts import SEED
from tests.postgres import OwnPostgresServer
from tests.residue.databases import SECRET, Database, PostgresDatabase, SqliteDatabase
from tests.residue.files import find_residue
from tests.residue.runner import ENGINES, SETTINGS
from tests.residue.texts import Canaries, Texts
from tests.residue.users import ExpectedUser, UserSimulation
from userkeep import Userkeep

STEPS = 60


@contextmanager
def opened(database: Database, project: str) -> Iterator[Userkeep]:
    """Open a project of the database."""
    with closing(Userkeep.open(database.url, secret=SECRET, project=project)) as client:
        yield client


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    if request.param == "sqlite":
        yield SqliteDatabase(tmp_path)
        return
    with OwnPostgresServer(settings=SETTINGS) as server:
        yield PostgresDatabase(server, tmp_path)


def kept_uuids(client: Userkeep, user: ExpectedUser) -> Iterator[str]:
    """Yield the uuids of sessions without a user: their erasures keep them."""
    for session_id, session in user.sessions.items():
        if not session.is_owned:
            yield client.session.get(session_id).uuid


def test_a_purged_project_leaves_no_residue(database: Database) -> None:
    random = Random(SEED)
    canaries = [Canaries(random) for _ in range(3)]
    other = ExpectedUser(Texts(random), "other")
    with opened(database, "default") as client:
        client.project.add(name="shop")
        database.prepare()
        kept = UserSimulation(client, random, other)
        kept.begin()
        for _ in range(STEPS // 3):
            kept.step()
    with opened(database, "shop") as client:
        users = [ExpectedUser(each, each.id("userid")) for each in canaries]
        simulations = [UserSimulation(client, random, user) for user in users]
        for simulation in simulations:
            simulation.begin()
        for _ in range(STEPS):
            random.choice(simulations).step()
        # Deleted users and edited messages wait for a purge; other sessions have no user yet.
        client.user.delete(users[0].user_id)
        for user, of_user in zip(users, canaries, strict=True):
            of_user.uuids -= set(kept_uuids(client, user))
        assert find_residue(database.folders, canaries)
    with opened(database, "default") as client:
        deleted = client.project.delete("shop", purge="now").deletion
        assert deleted is not None
        assert deleted.purge.skipped_steps == []
        assert deleted.purged_at is not None
        assert find_residue(database.folders, canaries, database.name_of) == []
        UserSimulation(client, random, other).check()
    database.check()
