"""PgBouncer before the database: by session all works, by transaction it is rejected."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from devtools.ports import free_port
from tests.cli.running import userkeep
from tests.deploy.programs import find
from tests.postgres import postgres_server
from tests.storage.postgres.proxy import Proxy
from userkeep import NewMessage, Userkeep

START_S = 60
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 30
"""


@contextmanager
def pooled(mode: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer before a fresh database; yield its URL."""
    direct_url = postgres_server().new_database()
    given = conninfo_to_dict(direct_url)
    with Proxy(direct_url) as proxy:  # to a socket that only the owner of the database may use
        server_port = conninfo_to_dict(proxy.url)["port"]
        port = free_port()
        file = folder / "pgbouncer.ini"
        names = {"server_port": server_port, "user": given["user"], "port": port, "mode": mode}
        file.write_text(CONFIGURATION.format(**names))
        # It does not run as root. It reads its file before it becomes another user.
        user = ("-u", "daemon") if os.geteuid() == 0 else ()
        with subprocess.Popen([find("pgbouncer"), "-q", *user, str(file)]) as process:
            url = f"postgresql://{given['user']}@127.0.0.1:{port}/{given['dbname']}"
            try:
                wait_until_connected(url, process)
                yield url
            finally:
                process.kill()


def wait_until_connected(url: str, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.02)
        else:
            return


def test_a_pooler_by_session_changes_nothing(tmp_path: Path) -> None:
    with pooled("session", tmp_path) as url, Userkeep.open(url) as client:
        message = NewMessage(role="user", content="red shoes")
        for user_id in ("jane", "john"):
            client.message.add(user_id, message, user_id=user_id)
            assert len(client.search("shoes", user_id=user_id)) == 1
            assert client.user.delete(user_id, purge="now").state == "purged"


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_pooler_by_transaction_is_rejected(tmp_path: Path, command: str) -> None:
    with pooled("transaction", tmp_path) as url:
        result = userkeep(command, "--database", url, folder=tmp_path)
        assert result.returncode == 1
        assert "shares connections between transactions" in result.stderr
        assert "pool_mode = session" in result.stderr
        with psycopg.connect(url) as connection:
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert connection.execute(tables).fetchall() == [(0,)], "something was changed"


def test_doctor_finds_a_pooler_by_transaction(tmp_path: Path) -> None:
    with pooled("transaction", tmp_path) as url:
        result = userkeep("doctor", "--database", url, folder=tmp_path)
        assert "WRONG  connections  a pooler shares them between transactions" in result.stdout
