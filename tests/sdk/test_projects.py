"""An embedded client works in one project, which it names when it opens the database."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import database_url
from userkeep import AsyncUserkeep, Forbidden, Gone, NotFound, Userkeep
from userkeep.services import project_deletions


@pytest.fixture(params=["sqlite file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the projects `default` and `shop`."""
    url = database_url(request.param, tmp_path)
    with Userkeep.open(url, secret="a secret of the tests") as client:
        client.project.add(name="shop")
        client.user.add(user_id="jane")
    return url


def opened(database: str, project: str, *, read_only: bool = False) -> Userkeep:
    """Open a project of the database."""
    secret = "a secret of the tests"
    return Userkeep.open(database, project=project, read_only=read_only, secret=secret)


def user_ids(client: Userkeep) -> list[str]:
    """Return the ids of all users."""
    return [user.user_id for user in client.user.list()]


def uuid_of(database: str, project: str) -> str:
    """Return the uuid of a project."""
    with opened(database, "default") as client:
        return client.project.get(project).uuid


def test_a_project_is_opened_by_its_name_or_its_uuid(database: str) -> None:
    with opened(database, "shop") as client:
        client.user.add(user_id="john")
        client.message.add("chat", {"role": "user", "content": "shoes"}, user_id="john")
    with opened(database, uuid_of(database, "shop")) as client:
        assert user_ids(client) == ["john"]
    with opened(database, "shop", read_only=True) as client:
        assert len(client.search("shoes")) == 1
    with opened(database, "default") as client:
        assert user_ids(client) == ["jane"]
        assert client.search("shoes") == []


def test_an_async_client_works_in_its_project(database: str) -> None:
    async def add() -> list[str]:
        secret = "a secret of the tests"
        async with AsyncUserkeep.open(database, project="shop", secret=secret) as client:
            await client.user.add(user_id="john")
            return [user.user_id async for user in await client.user.list()]

    assert asyncio.run(add()) == ["john"]


@pytest.mark.parametrize("read_only", [False, True])
def test_an_unknown_project_is_not_found_and_the_database_is_closed(
    database: str, read_only: bool
) -> None:
    with pytest.raises(NotFound, match="There is no project 'store'"):
        opened(database, "store", read_only=read_only)
    with opened(database, "shop") as client:
        assert user_ids(client) == []


def test_an_erasure_belongs_to_its_project(database: str) -> None:
    with opened(database, "shop") as client:
        client.user.add(user_id="john", email="john@shop.example")
        erasure = client.user.delete("john", purge="now")
        verification = client.erasure.verify(erasure.id, search_terms=["john@shop.example"])
        assert (erasure.state, verification.found) == ("purged", False)
    with opened(database, "default") as client:
        with pytest.raises(NotFound):
            client.erasure.get(erasure.id)
        assert list(client.erasure.list()) == []


def test_only_a_client_of_the_project_default_manages_projects(database: str) -> None:
    with opened(database, "shop") as client:
        for call in (
            client.project.list,
            lambda: client.project.get("shop"),
            lambda: client.project.add(name="store"),
            lambda: client.project.update(project="shop", name="store"),
            lambda: client.project.delete("shop"),
        ):
            with pytest.raises(Forbidden, match="project default"):
                call()


def test_a_client_cannot_use_its_project_after_the_deletion(database: str) -> None:
    uuid = uuid_of(database, "shop")
    with opened(database, "shop") as client:
        engine = client._transport.opened.engine  # type: ignore[attr-defined]
        engine.write(lambda tx: project_deletions.begin(tx, "shop"))
        with pytest.raises(Gone, match="This project is being deleted"):
            client.user.list()
    with opened(database, "default") as client:
        assert client.project.get(uuid).state == "deleted"
    with pytest.raises(NotFound):
        opened(database, "shop")
    with pytest.raises(NotFound, match="This project was deleted"):
        opened(database, uuid)
