"""A server is killed while it deletes a project: the deletion resumes, and its counts are right."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import fresh_settings
from tests.long.client import CONNECTION_LOST, Client
from tests.long.counts import IS_FULL, count, seeded_random
from tests.long.inspection import damage, orphans, rows
from tests.serving import Server
from userkeep import Userkeep
from userkeep.config import Settings, is_postgres, sqlite_path

KILLS = count(30)
USERS, SESSIONS, MESSAGES = 30, 3, 100
LEFT = """
    SELECT 'user', user_id FROM users WHERE project_id = 2
    UNION ALL SELECT 'session', session_id FROM sessions WHERE project_id = 2
    UNION ALL SELECT 'message', session_id FROM messages WHERE project_id = 2
    UNION ALL SELECT 'word', word FROM user_words WHERE project_id = 2
"""


# On PostgreSQL a server waits for the lease of a killed one, up to fifteen seconds each time.
@pytest.fixture(params=["sqlite file", *(["postgres"] if IS_FULL else [])])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of a database with a large project."""
    settings = fresh_settings(request.param, tmp_path)
    with closing(opened(settings, "default")) as client:
        client.project.add(name="shop")
        populate(client, users=2)
    with closing(opened(settings, "shop")) as client:
        populate(client, users=USERS)
    return settings


def opened(settings: Settings, project: str) -> Userkeep:
    return Userkeep.open(settings.database_url, project=project, secret_file=settings.secret_file)


def populate(client: Userkeep, users: int) -> None:
    """Add users with sessions, and as many sessions without a user."""
    new = [{"role": "user", "content": f"number {number}"} for number in range(MESSAGES)]
    for user in range(users):
        client.user.add(user_id=f"user {user}")
        for session in range(SESSIONS):
            client.message.add(f"{user}-{session}", new, user_id=f"user {user}")
        client.session.add(session_id=f"unowned {user}")
        client.message.add(f"unowned {user}", new)


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Starts servers of the database, one after the other."""
    started: list[Server] = []

    def start_() -> Server:
        secret = {"USERKEEP_SECRET_FILE": settings.secret_file}
        server = Server(tmp_path, database_url=settings.database_url, settings=secret)
        started.append(server)
        return server.wait_until_ready()

    yield start_
    for server in started:
        server.kill()


def request(server: Server, method: str, path: str) -> Any:
    with closing(Client(server.port)) as client:
        return client.request(method, path)


def test_the_deletion_of_a_project_survives_kills(
    settings: Settings, start: Callable[[], Server], report: Callable[[str], None]
) -> None:
    random = seeded_random("kills during the deletion of a project")
    database = settings.database_url
    file = None if is_postgres(database) else Path(sqlite_path(database))
    server = start()
    uuid = request(server, "GET", "/v1/projects/shop").json["uuid"]
    others = request(server, "GET", "/v1/users").json
    interrupted = 0
    for _ in range(KILLS):

        def delete(server: Server = server) -> None:
            with suppress(*CONNECTION_LOST):
                request(server, "DELETE", f"/v1/projects/{uuid}")

        deleting = threading.Thread(target=delete)
        deleting.start()
        time.sleep(random.uniform(0, 0.2))
        server.kill()
        deleting.join()
        interrupted += rows(file or database, LEFT) != []
        server = start()
    assert request(server, "DELETE", f"/v1/projects/{uuid}").status in {200, 202}
    ends = time.monotonic() + 60
    while (found := request(server, "GET", f"/v1/projects/{uuid}").json)["state"] != "deleted":
        assert time.monotonic() < ends, found
        time.sleep(0.05)
    assert found["deletion"]["counts"] == {
        "users": USERS,
        "sessions": USERS * (SESSIONS + 1),
        "messages": USERS * (SESSIONS + 1) * MESSAGES,
        "documents": 0,
    }
    assert request(server, "GET", "/v1/users").json == others
    assert server.stop() == 0
    assert rows(file or database, LEFT) == []
    assert orphans(file or database) == {}
    assert file is None or damage(file) == []
    report(f"{KILLS} kills during the deletion of a project: {interrupted} interrupted it")
