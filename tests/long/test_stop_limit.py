"""A stop ends within its limit, even if the database does not respond any more."""

import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psycopg

from tests.postgres import migrated_database
from tests.serving import serving

LIMIT_S = 10

_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@contextmanager
def frozen(database_url: str) -> Iterator[None]:
    """Stop the processes that serve one database; others continue."""
    with psycopg.connect(database_url) as connection:
        processes = [pid for (pid,) in connection.execute(_BACKENDS)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_a_stop_does_not_wait_for_a_database_that_does_not_respond(tmp_path: Path) -> None:
    # It takes the ten seconds of the limit.
    statuses: list[int] = []

    def get(url: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                statuses.append(response.status)
        except urllib.error.HTTPError as error:
            statuses.append(error.code)

    url = migrated_database()
    with serving(tmp_path, database_url=url) as server:
        get(f"{server.url}/v1/users?limit=1000")
        with frozen(url):
            paths = ("/v1/users?limit=1000", "/v1/users/jane")
            asking = [threading.Thread(target=get, args=(server.url + path,)) for path in paths]
            for each in asking:
                each.start()
            sleep(0.5)  # until both wait for the database
            began = monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(2 * LIMIT_S)
            assert monotonic() - began < LIMIT_S + 5
            for each in asking:
                each.join()
        # A read on a new connection, which is not frozen, gets its response.
        assert len(statuses) == 3
        assert 503 in statuses
        assert "Traceback" not in server.log.read_text()
