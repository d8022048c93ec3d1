"""Purges on PostgreSQL: what is in the files, what a role may not do, what stands in the way."""

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
from tests.storage.postgres.printing import printed_schema
from tests.storage.postgres.proxy import Proxy
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
    """A server that logs as one in production does."""
    with OwnPostgresServer(settings=SETTINGS) as own:
        yield own


@pytest.fixture
def url(server: OwnPostgresServer) -> str:
    """A fresh database."""
    return server.new_database()


@pytest.fixture
def mark() -> str:
    """Stands in all that is Jane's, and nowhere else on the server."""
    return f"zqx{secrets.token_hex(6)}"


def live(client: Userkeep, mark: str) -> None:
    """Jane, with the mark in all that is hers, and John."""
    for who in (mark, "john"):
        said = [NewMessage(content=f"{who} said {word} {who} " * 20) for word in range(20)]
        client.user.add(user_id=who, email=f"{who}@example.org", metadata={"of": who})
        client.message.add(f"of {who}", said, user_id=who)


def residue(url: str, mark: str) -> dict[str, int]:
    """In which files of the server the mark is, and how often."""
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


def test_a_purge_leaves_nothing_in_tables_indexes_samples_and_log(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        client.user.delete(mark)
        places = {name.partition("/")[0] for name in residue(url, mark)}
        assert places == {"base", "pg_wal"}, "without the purge there is something to find"
        [erasure] = client.erasure.list()
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}
        assert client.memory.get("of john").messages[0].content.startswith("john said")


def test_no_samples_are_kept_of_what_people_said(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
            sampled = connection.execute(
                "SELECT tablename, attname FROM pg_stats"
                " WHERE schemaname = 'public' AND concat(most_common_vals, histogram_bounds,"
                " most_common_elems) LIKE %s",
                [f"%{mark}%"],
            ).fetchall()
    assert sampled == []


def test_samples_that_somebody_has_taken_all_the_same_go_too(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE users ALTER COLUMN email SET STATISTICS 100")
            connection.execute("ANALYZE users")
        assert client.user.delete(mark, purge="now").state == "purged"
        assert residue(url, mark) == {}


def test_samples_from_before_none_were_taken_go_and_leave_the_schema_as_it_is(
    url: str, mark: str
) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        schema = printed_schema(url)
        take_samples_of_before(url)
        assert client.user.delete(mark, purge="now").state == "purged"
        assert residue(url, mark) == {}
        assert printed_schema(url) == schema
        assert client.memory.get("of john").messages[0].content.startswith("john said")


def test_samples_that_a_view_keeps_are_told(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        take_samples_of_before(url)
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


def take_samples_of_before(url: str) -> None:
    """Of every column, as when the schema had not said yet to take none."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid"
            " WHERE attstattarget = 0 AND relkind = 'r'"
        ).fetchall()
        set_targets(connection, columns, 100)
        connection.execute("ANALYZE")
        set_targets(connection, columns, 0)


def set_targets(connection: Connection[Any], columns: list[Any], target: int) -> None:
    """How many samples are to be taken of some columns."""
    statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STATISTICS {}")
    for table, column in columns:
        names = sql.Identifier(table), sql.Identifier(column)
        connection.execute(statement.format(*names, target))


def test_what_the_role_may_not_do_is_told_and_nothing_is_said_to_be_purged(
    server: OwnPostgresServer, url: str, mark: str
) -> None:
    name = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO guest").format(sql.Identifier(name)))
    with Userkeep.open(url.replace("postgres@", "guest@"), secret=SECRET) as client:
        live(client, mark)
        erasure = client.user.delete(mark, purge="now")
        assert (erasure.state, erasure.purged_at) == ("deleted", None)
        left = client.erasure.get(erasure.id).purge.skipped_steps
        assert [each.step for each in left] == ["WAL", "orphaned files"]
        assert all("lacks the privilege" in each.reason for each in left)
        places = {name.partition("/")[0] for name in residue(url, mark)}
        assert places == {"pg_wal"}, "the tables are clean"


def test_a_role_with_the_rights_that_the_documentation_names_can_do_all(
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
        live(client, mark)
        assert client.user.delete(mark, purge="now").state == "purged"
    assert residue(url, mark) == {}


def test_files_that_a_crash_of_the_database_has_left_are_told(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
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


def test_an_open_transaction_is_named_and_waited_for(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "READER_WAIT_S", 0.5)
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        with psycopg.connect(url) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM users")
            erasure = client.user.delete(mark, purge="now")
            assert erasure.state == "deleted"
            problem = erasure.purge.problem or ""
            assert f"process {reader.info.backend_pid}" in problem
        assert client.erasure.purge(erasure.id).state == "purged"
        assert residue(url, mark) == {}


def test_an_autovacuum_that_takes_long_is_not_waited_for(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "READER_WAIT_S", 5)
    slowly = (
        "ALTER TABLE messages SET (autovacuum_vacuum_cost_delay = 100,"
        " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1,"
        " autovacuum_vacuum_scale_factor = 0)"
    )
    at_it = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'messages'::regclass"
    with (
        Userkeep.open(url, secret=SECRET) as client,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute(slowly)
        live(client, mark)
        client.message.add(f"of {mark}", [NewMessage(content="word " * 100)] * 1_000)
        erasure = client.user.delete(mark)
        ends = monotonic() + 30
        while connection.execute(at_it).fetchone() == (0,):
            assert monotonic() < ends, "the autovacuum has not begun"
            sleep(0.01)
        assert client.erasure.purge(erasure.id).state == "purged"
    assert residue(url, mark) == {}


def test_a_table_that_is_in_use_for_long_is_named(
    url: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "LOCK_WAIT_S", 0.5)
    monkeypatch.setattr(compactor, "READER_WAIT_S", 0.5)
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        erasure = client.user.delete(mark)
        with psycopg.connect(url) as user:
            user.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            user.execute("COMMIT")
            user.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            problem = client.erasure.purge(erasure.id).purge.problem or ""
        assert "messages" in problem or "transaction" in problem
        assert client.erasure.purge(erasure.id).state == "purged"


def test_two_purges_of_one_database_do_not_run_at_once(url: str, mark: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
        client.user.delete(mark)
    with closing(open_instance(Settings(database_url=url, secret=SECRET))) as userkeep:
        with userkeep.engine.compactor({}), pytest.raises(Unavailable, match="Another purge"):
            Purge(userkeep.engine).run()
        Purge(userkeep.engine).run()
    assert residue(url, mark) == {}


def test_a_purge_that_is_told_to_stop_before_it_has_begun_changes_nothing(
    url: str, mark: str
) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        live(client, mark)
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


def test_a_purge_that_loses_the_database_while_it_begins_says_so(proxy: Proxy) -> None:
    settings = Settings(database_url=proxy.url, secret=SECRET)
    with closing(open_instance(settings)) as userkeep:
        for answered in range(4):  # then it has begun
            proxy.swallow_next_answer(after=answered)
            with (
                pytest.raises(Unavailable, match="cannot be used"),
                userkeep.engine.compactor({}),
            ):
                pass
