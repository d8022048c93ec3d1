"""The schedule of purges with the real times of a server; other tests use shorter ones."""

import time
from contextlib import closing
from pathlib import Path

import apsw

from tests.serving import serving
from userkeep import NewMessage, Userkeep

PURGE_LATER = {"USERKEEP_PURGE_WITHIN_MINUTES": "60"}
RESPOND_S = 5.0
IDLE_S = 10.0
CHECK_S = 5.0
SLACK_S = 20.0
"""How much longer it may take on a busy machine."""


def add_user(client: Userkeep, user_id: str) -> None:
    client.user.add(user_id=user_id)
    client.message.add(
        f"of-{user_id}", NewMessage(role="user", content="I live in Oslo"), user_id=user_id
    )


def test_a_server_purges_on_request_and_when_idle_with_real_times(tmp_path: Path) -> None:
    with serving(tmp_path, settings=PURGE_LATER) as server, Userkeep(server.url) as client:
        add_user(client, "jane")
        with closing(apsw.Connection(str(tmp_path / "userkeep.db"))) as reader:
            reader.set_busy_timeout(60_000)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM users").fetchall()
            began = time.monotonic()
            erasure = client.user.delete("jane", purge="now")
            assert RESPOND_S - 1 < time.monotonic() - began < RESPOND_S + 4
            assert erasure.state == "deleted"
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 9
    with serving(tmp_path, settings=PURGE_LATER) as server, Userkeep(server.url) as client:
        assert purged_within(client, erasure.id, CHECK_S + SLACK_S)
        add_user(client, "john")
        erasure = client.user.delete("john")
        time.sleep(IDLE_S + CHECK_S + 1)
        assert purged_within(client, erasure.id, SLACK_S)


def purged_within(client: Userkeep, uuid: str, seconds: float) -> bool:
    """Return whether an erasure is purged in time. Requests are rare, so the server is idle."""
    ends = time.monotonic() + seconds
    while client.erasure.get(uuid).state != "purged":
        if time.monotonic() > ends:
            return False
        time.sleep(1)
    return True
