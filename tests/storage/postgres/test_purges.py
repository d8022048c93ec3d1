"""Purges on PostgreSQL: what is left in files, missing privileges, what blocks a purge."""

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import OwnPostgresServer
from tests.storage.postgres.proxy import Proxy
from tests.storage.postgres.schema_dump import dump_schema
from userkeep import NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.domain.errors import Unavailable
from userkeep.instance import open_instance
from userkeep.jobs.purge import Purge
from userkeep.storage.postgres import compactor

SECRET = "a secret of the tests"
SETTINGS = {"wal_level": "replica", "max_wal_senders": "2", "autovacuum_naptime": "1s"}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    """A server with the WAL settings of a production server."""
    with OwnPostgresServer(settings=SETTINGS) as own:
        yield own


@pytest.fixture
def url(server: OwnPostgresServer) -> str:
    """A fresh database."""
    return server.new_database()


@pytest.fixture
def mark() -> str:
    """A text that is in all of Jane's data, and nowhere else on the server."""
    return f"zqx{secrets.token_hex(6)}"


def add_users(client: Userkeep, mark: str) -> None:
    """Add Jane, with the mark in all her data, and John."""
    for who in (mark, "john"):
        messages = [
            NewMessage(role="user", content=f"{who} said {word} {who} " * 20) for word in range(20)
        ]
        client.user.add(user_id=who, email=f"{who}@example.org", metadata={"of": who})
        client.message.add(f"of {who}", messages, user_id=who)


def residue(url: str, mark: str) -> dict[str, int]:
    """Return how often the mark is in the files of the server, by file."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [(folder,)] = connection.execute("SHOW data_directory")
    found = {}
    for file in Path(folder).rglob("*"):
        try:
            count = file.read_bytes().count(mark.encode())
        except (IsADirectoryError, FileNotFoundError, OSError):
            continue
        if count:
            found[str(file.relative_to(folder))] = count
    return found


def test_a_purge_leaves_nothing_in_tables_indexes_statistics_and_wal(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        client.user.delete(mark)
        places = {name.partition("/")[0] for name in residue(url, mark)}
        assert places == {"base", "pg_wal"}, "there is something to find before the purge"
        [erasure] = client.erasure.list()
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}
        assert client.memory.get("of john").messages[0].content.startswith("john said")


def test_no_statistics_contain_personal_data(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
            sampled = connection.execute(
                "SELECT tablename, attname FROM pg_stats"
                " WHERE schemaname = 'public' AND concat(most_common_vals, histogram_bounds,"
                " most_common_elems) LIKE %s",
                [f"%{mark}%"],
            ).fetchall()
    assert sampled == []


def test_statistics_that_an_operator_has_enabled_are_purged_too(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE users ALTER COLUMN email SET STATISTICS 100")
            connection.execute("ANALYZE users")
        assert client.user.delete(mark, purge="now").state == "purged"
        assert residue(url, mark) == {}


def test_older_statistics_are_purged_without_changing_the_schema(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        schema = dump_schema(url)
        collect_old_statistics(url)
        assert client.user.delete(mark, purge="now").state == "purged"
        assert residue(url, mark) == {}
        assert dump_schema(url) == schema
        assert client.memory.get("of john").messages[0].content.startswith("john said")


def test_statistics_that_a_view_blocks_are_reported(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        collect_old_statistics(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE VIEW mailing AS SELECT email FROM users")
        erasure = client.user.delete(mark, purge="now")
        assert erasure.state == "deleted"
        [left] = erasure.purge.skipped_steps
        assert left.step == "column statistics"
        assert "view mailing" in left.reason
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP VIEW mailing")
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}


def collect_old_statistics(url: str) -> None:
    """Collect statistics of every column, as before the schema turned that off."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid"
            " WHERE attstattarget = 0 AND relkind = 'r'"
        ).fetchall()
        set_statistics_targets(connection, columns, 100)
        connection.execute("ANALYZE")
        set_statistics_targets(connection, columns, 0)


def set_statistics_targets(connection: Connection[Any], columns: list[Any], target: int) -> None:
    """Set the statistics target of columns."""
    statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STATISTICS {}")
    for table, column in columns:
        names = sql.Identifier(table), sql.Identifier(column)
        connection.execute(statement.format(*names, target))


def test_steps_that_the_role_lacks_privileges_for_are_reported_as_not_done(
    server: OwnPostgresServer, url: str, mark: str
) -> None:
    name = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO guest").format(sql.Identifier(name)))
    with Userkeep.open(url.replace("postgres@", "guest@"), secret=SECRET) as client:
        add_users(client, mark)
        erasure = client.user.delete(mark, purge="now")
        assert (erasure.state, erasure.purged_at) == ("deleted", None)
        left = client.erasure.get(erasure.id).purge.skipped_steps
        assert [each.step for each in left] == ["WAL", "orphaned files"]
        assert all("lacks the privilege" in each.reason for each in left)
        places = {name.partition("/")[0] for name in residue(url, mark)}
        assert places == {"pg_wal"}, "the tables are clean"


def test_a_role_with_the_documented_privileges_can_purge_completely(
    server: OwnPostgresServer, url: str, mark: str
) -> None:
    name = str(conninfo_to_dict(url)["dbname"])
    page = Path(__file__).parents[3] / "docs" / "data-deletion" / "purging.md"
    grants = re.findall(r"^GRANT .*$", page.read_text(), re.MULTILINE)
    assert len(grants) == 2
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE userkeep LOGIN")
        for grant in grants:
            connection.execute(grant)
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO userkeep").format(sql.Identifier(name))
        )
    with Userkeep.open(url.replace("postgres@", "userkeep@"), secret=SECRET) as client:
        add_users(client, mark)
        assert client.user.delete(mark, purge="now").state == "purged"
    assert residue(url, mark) == {}


def test_files_left_by_a_crash_of_the_database_are_reported(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            [(folder,)] = connection.execute("SHOW data_directory")
            [(table,)] = connection.execute("SELECT pg_relation_filepath('messages')")
            connection.execute("CHECKPOINT")
        left_behind = Path(folder, table).with_name("4000000000")
        shutil.copyfile(Path(folder, table), left_behind)
        erasure = client.user.delete(mark, purge="now")
        assert erasure.state == "deleted"
        [left] = erasure.purge.skipped_steps
        assert left.step == "orphaned files"
        assert "4000000000" in left.reason
        assert list(residue(url, mark)) == [str(left_behind.relative_to(folder))]
        left_behind.unlink()
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}


def test_a_purge_waits_for_an_open_transaction_and_names_it(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "READER_WAIT_S", 0.5)
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        with psycopg.connect(url) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM users")
            erasure = client.user.delete(mark, purge="now")
            assert erasure.state == "deleted"
            problem = erasure.purge.problem or ""
            assert f"process {reader.info.backend_pid}" in problem
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}


def test_a_purge_does_not_wait_for_a_long_autovacuum(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "READER_WAIT_S", 5)
    slow_autovacuum = (
        "ALTER TABLE messages SET (autovacuum_vacuum_cost_delay = 100,"
        " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1,"
        " autovacuum_vacuum_scale_factor = 0)"
    )
    running = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'messages'::regclass"
    with (
        Userkeep.open(url, secret=SECRET) as client,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute(slow_autovacuum)
        add_users(client, mark)
        client.message.add(f"of {mark}", [NewMessage(role="user", content="word " * 100)] * 1_000)
        erasure = client.user.delete(mark)
        ends = monotonic() + 30
        while connection.execute(running).fetchone() == (0,):
            assert monotonic() < ends, "the autovacuum has not begun"
            sleep(0.01)
        assert client.erasure.purge(erasure.id).state == "purged"
    assert residue(url, mark) == {}


def test_a_purge_names_a_table_that_stays_in_use(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "LOCK_WAIT_S", 0.5)
    monkeypatch.setattr(compactor, "READER_WAIT_S", 0.5)
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        erasure = client.user.delete(mark)
        with psycopg.connect(url) as user:
            user.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            user.execute("COMMIT")
            user.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            problem = client.erasure.purge(erasure.id).purge.problem or ""
        assert "messages" in problem or "transaction" in problem
        assert client.erasure.purge(erasure.id).state == "purged"


def test_two_purges_of_one_database_do_not_run_at_the_same_time(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        client.user.delete(mark)
    with closing(open_instance(Settings(database_url=url, secret=SECRET))) as userkeep:
        with userkeep.engine.compactor({}), pytest.raises(Unavailable, match="Another purge"):
            Purge(userkeep.engine).run()
        Purge(userkeep.engine).run()
    assert residue(url, mark) == {}


def test_a_purge_stopped_before_it_begins_changes_nothing(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        add_users(client, mark)
        client.user.delete(mark)
    with closing(open_instance(Settings(database_url=url, secret=SECRET))) as userkeep:
        purge = Purge(userkeep.engine)
        purge.stop()
        with pytest.raises(Unavailable, match="stopped"):
            purge.run()
        purge.stop()
        assert residue(url, mark) != {}
        Purge(userkeep.engine).run()
    assert residue(url, mark) == {}


def test_a_purge_that_loses_its_connection_at_the_start_reports_it(proxy: Proxy) -> None:
    settings = Settings(database_url=proxy.url, secret=SECRET)
    with closing(open_instance(settings)) as userkeep:
        for responses in range(4):  # after that, the purge has begun
            proxy.drop_next_response(after=responses)
            with (
                pytest.raises(Unavailable, match="cannot be used"),
                userkeep.engine.compactor({}),
            ):
                pass
