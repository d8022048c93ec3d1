"""Row-level security: PostgreSQL keeps projects apart where a query forgets its project."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, LiteralString

import msgspec
import psycopg
import pytest
from psycopg import sql

from tests.cli.running import userkeep
from tests.postgres import (
    as_role,
    migrated_database,
    postgres_server,
    row_secured_database,
    superuser_url,
)
from tests.storage.postgres.notes import database_name, execute, new_role, owned_database, rows
from tests.typed_ways import over_instance
from tests.ways import Way
from userkeep.config import Settings
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction, scoped
from userkeep.instance import Instance, make_rules, open_instance, open_instance_read_only
from userkeep.jobs.deletion import interrupted_deletions
from userkeep.jobs.expiry import delete_expired
from userkeep.jobs.index import compare_index, rebuild_index
from userkeep.jobs.purge import Purge, purge_now
from userkeep.jobs.steps import Runner
from userkeep.services.instance import ReadinessProblem, readiness_problems
from userkeep.storage.ledger import NoLedger
from userkeep.storage.migrations import load_migrations
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.row_security import (
    POLICY,
    protected_tables,
    set_row_security,
)
from userkeep.storage.queries import Query, load_queries

SECRET = "a secret of the tests"
OTHER = 2
RULES = make_rules(Settings(), SECRET.encode())
ADD_PROJECT: LiteralString = """
INSERT INTO projects
SELECT (jsonb_populate_record(projects, jsonb_build_object(
    'project_id', 2, 'name', 'other', 'uuid', gen_random_uuid()
))).* FROM projects
"""

# Queries that forget their project.
FORGETFUL = {
    "all_users": "SELECT project_id, user_id FROM users ORDER BY project_id, user_id",
    "all_users_locked": "SELECT project_id, user_id FROM users ORDER BY project_id FOR UPDATE",
    "all_users_shared": "SELECT project_id, user_id FROM users ORDER BY project_id FOR SHARE",
    "change_all_users": "UPDATE users SET email = 'changed@example.com'",
    "delete_all_words": "DELETE FROM user_words",
    "move_all_words": "UPDATE user_words SET project_id = 2",
    "add_word": """
        INSERT INTO user_words (project_id, user_id, user_number, beginning, word)
        VALUES (2, 'x', 1, 'x', 'x')
    """,
    "upsert_tombstone": """
        INSERT INTO tombstones (project_id, subject, id_hash, expires_at)
        VALUES (2, 'user', 'x', now())
        ON CONFLICT (project_id, subject, id_hash) DO UPDATE SET expires_at = now()
    """,
} | {f"rows_of_{name}": f"SELECT project_id FROM {name}" for name in protected_tables()}

QUERIES = load_queries("postgres") | {name: Query(text) for name, text in FORGETFUL.items()}

Pair = tuple[Any, ...]


def pair(*values: Any) -> Pair:
    return values


def settings_of(url: str, folder: Path, *, is_on: bool = True) -> Settings:
    return Settings(
        database_url=url,
        secret=SECRET,
        secret_file=str(folder / "secret"),
        postgres_row_security=is_on,
    )


@pytest.fixture
def url() -> str:
    """A database with row-level security and two projects."""
    url = row_secured_database()
    execute(superuser_url(url), ADD_PROJECT)
    return url


@pytest.fixture
def instance(url: str, tmp_path: Path) -> Iterator[Instance]:
    with closing(open_instance(settings_of(url, tmp_path))) as opened:
        yield opened


@pytest.fixture
def other(instance: Instance) -> Instance:
    """The same instance, for calls of the other project."""
    return msgspec.structs.replace(instance, scope=Scope(OTHER, instance.scope.rules))


@pytest.fixture
def engine(url: str, instance: Instance, other: Instance) -> Iterator[PostgresEngine]:
    """An engine with queries that forget their project; each project has a user of its own."""
    fill(over_instance(instance), "jane")
    fill(over_instance(other), "bob")
    with closing(PostgresEngine(url, QUERIES, row_security=True)) as opened:
        yield opened


def fill(way: Way, user_id: str) -> None:
    """Give a project rows in every table that calls fill."""
    assert way.request("GET", "/v1/users", params={"q": "x"}).status == 200  # keeps words
    for each in (user_id, f"deleted {user_id}"):
        body = {"user_id": each, "email": f"{user_id}@example.com"}
        assert way.request("POST", "/v1/users", json=body).status == 201
        message = {"role": "user", "content": "red shoes", "id": "m"}
        messages = {"messages": [message], "user_id": each}
        headers = {"Idempotency-Key": each}
        path = "/v1/sessions/{}/messages"
        added = way.request("POST", path, f"of {each}", json=messages, headers=headers)
        assert added.status == 201
    edit = {"content": "blue shoes"}
    path = "/v1/sessions/{}/messages/{}"
    assert way.request("PATCH", path, f"of {user_id}", "m", json=edit).status == 200
    assert way.request("DELETE", "/v1/users/{}", f"deleted {user_id}").status == 200


def forgetful(query: str, **values: Any) -> Callable[[Transaction], Any]:
    return lambda tx: tx.fetch_all(query, pair, **values)


def change(query: str, **values: Any) -> Callable[[Transaction], int]:
    return lambda tx: tx.execute(query, **values)


def in_project(number: int, operation: Callable[[Transaction], Any]) -> Operation[Any]:
    """Bind an operation to a project, without adding the project to its query."""

    def run(tx: Transaction) -> Any:
        return operation(tx.in_scope(Scope(number, RULES)))

    return run


def superusers_rows(url: str, statement: LiteralString) -> list[Any]:
    """Return rows as a superuser sees them: all of them."""
    return rows(superuser_url(url), statement)


@pytest.mark.parametrize("query", ["all_users", "all_users_locked", "all_users_shared"])
def test_a_query_without_its_project_finds_nothing_of_another_one(
    engine: PostgresEngine, query: str
) -> None:
    assert engine.write(in_project(1, forgetful(query))) == [(1, "jane")]
    assert engine.write(in_project(2, forgetful(query))) == [(2, "bob")]
    if query == "all_users":
        assert engine.read(in_project(2, forgetful(query))) == [(2, "bob")]


def test_no_table_with_a_project_shows_rows_of_another_one(
    engine: PostgresEngine, url: str
) -> None:
    key: LiteralString = (
        "INSERT INTO api_keys (project_id, id, name, scope, hash, created_at)"
        " SELECT n, 'key ' || n, '', 'read', 'hash', now() FROM generate_series(1, 2) AS n"
    )
    execute(superuser_url(url), key)
    execute(
        superuser_url(url),
        "INSERT INTO verifications SELECT n, gen_random_uuid(), gen_random_uuid(), 'failed', now(),"
        " now() FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO user_usage SELECT n, 'user', 1, 1, now(), 0 FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO deleted_sessions"
        " SELECT n, gen_random_uuid(), n FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO embeddings SELECT n, 's', 1, 1, 1, '' FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO collections SELECT n, n, 'c', gen_random_uuid(), NULL, NULL, 8, 'caller',"
        " NULL, 1, 0, 0, 0, 0, now(), now() FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO collection_deletions"
        " SELECT n, n, gen_random_uuid(), now() FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO document_deletions SELECT n, n, n, gen_random_uuid(), NULL, now()"
        " FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO documents SELECT n, n, 1, gen_random_uuid(), NULL, NULL, NULL, 'embedded', 1,"
        " now(), now(), NULL, '', NULL FROM generate_series(1, 2) AS n",
    )
    execute(
        superuser_url(url),
        "INSERT INTO document_vectors SELECT n, n, 1, '' FROM generate_series(1, 2) AS n",
    )
    for table in protected_tables():
        for number in (1, OTHER):
            found = engine.read(in_project(number, forgetful(f"rows_of_{table}")))
            assert {project_id for (project_id,) in found} == {number}, table
        undeclared: Operation[Any] = forgetful(f"rows_of_{table}")
        assert engine.read(undeclared) == [], table


def test_reads_of_several_projects_that_are_sent_together_see_their_own(
    engine: PostgresEngine,
) -> None:
    async def read_many() -> list[Any]:
        one, two = (in_project(number, forgetful("all_users")) for number in (1, OTHER))
        none: Operation[Any] = forgetful("all_users")
        await engine.read_async(one)  # opens the shared connection
        await asyncio.sleep(0.2)
        asked = [engine.read_async(each) for each in (one, two, none, two, one, none) * 20]
        long = [engine.read_async(each, is_bounded=False) for each in (one, two, none)]
        return [*await asyncio.gather(*asked), *await asyncio.gather(*long)]

    jane, bob, nothing = [(1, "jane")], [(OTHER, "bob")], list[Any]()
    together = [jane, bob, nothing, bob, jane, nothing] * 20
    assert asyncio.run(read_many()) == [*together, jane, bob, nothing]


def test_a_query_without_its_project_cannot_change_or_delete_rows_of_another_one(
    engine: PostgresEngine, url: str
) -> None:
    assert engine.write(in_project(1, change("change_all_users"))) == 1
    assert engine.write(in_project(1, change("delete_all_words"))) > 0
    emails = superusers_rows(url, "SELECT user_id, email FROM users ORDER BY user_id")
    assert emails == [("bob", "bob@example.com"), ("jane", "changed@example.com")]
    assert superusers_rows(url, "SELECT DISTINCT project_id FROM user_words") == [(OTHER,)]


@pytest.mark.parametrize("query", ["add_word", "move_all_words", "upsert_tombstone"])
def test_a_query_cannot_add_rows_to_another_project(
    engine: PostgresEngine, url: str, query: str
) -> None:
    tables: LiteralString = """
        SELECT (SELECT count(*) FROM user_words WHERE project_id = 2),
            (SELECT count(*) FROM tombstones WHERE project_id = 2)
    """
    before = superusers_rows(url, tables)
    with pytest.raises(Unavailable, match="row-level security"):
        engine.write(in_project(1, change(query)))
    with suppress(Unavailable):  # there is no row to move
        engine.write(change(query))
    assert superusers_rows(url, tables) == before


def test_a_transaction_on_many_projects_sees_each_of_them_in_its_scope(
    engine: PostgresEngine,
) -> None:
    def read(tx: Transaction) -> list[Any]:
        read_all = forgetful("all_users")
        tx.see_all_projects()
        found = [read_all(tx)]
        scopes = [Scope(number, RULES) for number in (OTHER, 1)]
        found += [read_all(tx.in_scope(scope)) for scope in scopes]
        return [*found, read_all(tx)]

    both = [(1, "jane"), (OTHER, "bob")]
    for run in (engine.write, engine.read):
        assert run(read) == [both, [(OTHER, "bob")], [(1, "jane")], both]
        # What one transaction has seen is not what the next one on the connection sees.
        assert run(forgetful("all_users")) == []


def test_a_transaction_of_one_project_cannot_be_declared_to_be_of_all(instance: Instance) -> None:
    with pytest.raises(LookupError, match="bound to a project"):
        instance.engine.read(scoped(instance.scope, lambda tx: tx.see_all_projects()))


def test_an_operation_that_fails_leaves_nothing_bound(engine: PostgresEngine) -> None:
    def fail(tx: Transaction) -> None:
        tx.defer("change_all_users")
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        engine.write(in_project(1, fail))
    assert engine.read(in_project(1, forgetful("all_users"))) == [(1, "jane")]
    assert engine.read(forgetful("all_users")) == []


def test_jobs_work_on_all_projects(url: str, instance: Instance, other: Instance) -> None:
    engine, rules = instance.engine, instance.scope.rules
    ways = [over_instance(each) for each in (instance, other)]
    for way, user_id in zip(ways, ("jane", "bob"), strict=True):
        fill(way, user_id)
    rebuild_index(engine, rules)
    assert compare_index(engine, rules).messages == 2
    assert [len(search(way, "shoes")) for way in ways] == [1, 1]
    execute(superuser_url(url), "UPDATE tombstones SET expires_at = now() - interval '1 day'")
    runner = Runner(engine, lambda: purge_now(engine), NoLedger())
    assert runner.run(interrupted_deletions(rules)) == []
    runner.run(delete_expired(rules))
    assert superusers_rows(url, "SELECT count(*) FROM tombstones") == [(0,)]
    Purge(engine).run()
    assert superusers_rows(url, "SELECT count(*) FROM pending_purges") == [(0,)]
    purged = "SELECT project_id, purged_at IS NOT NULL FROM erasures ORDER BY project_id"
    assert superusers_rows(url, purged) == [(1, True), (OTHER, True)]


def search(way: Way, query: str) -> list[Any]:
    reply = way.request("POST", "/v1/search", json={"query": query})
    assert reply.status == 200
    return list(reply.json["items"])


def test_a_purge_deletes_old_statistics_too(url: str, instance: Instance) -> None:
    fill(over_instance(instance), "jane")
    samples = "SELECT count(*) FROM pg_stats WHERE tablename = 'users' AND attname = 'email'"
    execute(superuser_url(url), "ALTER TABLE users ALTER COLUMN email SET STATISTICS 100")
    execute(superuser_url(url), "ANALYZE users")
    execute(superuser_url(url), "ALTER TABLE users ALTER COLUMN email SET STATISTICS 0")
    assert superusers_rows(url, samples) == [(1,)]
    Purge(instance.engine).run()
    assert superusers_rows(url, samples) == [(0,)]
    assert is_on(url)
    assert len(search(over_instance(instance), "shoes")) == 1


def is_on(url: str) -> bool:
    """Return whether all tables of projects are protected; fail if only some are."""
    state = superusers_rows(
        url,
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class"
        " WHERE relkind = 'r' AND relrowsecurity ORDER BY relname",
    )
    assert state in ([], [(name, True) for name in sorted(protected_tables())])
    policies = superusers_rows(url, "SELECT tablename FROM pg_policies ORDER BY tablename")
    assert policies == [(name,) for name, _ in state]
    return bool(state)


def test_all_tables_with_a_project_are_protected_but_the_list_of_projects(url: str) -> None:
    assert is_on(url)
    columns = superusers_rows(
        url,
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND column_name = 'project_id' AND table_name <> 'projects' ORDER BY table_name",
    )
    assert columns == [(name,) for name in sorted(protected_tables())]


def test_it_can_be_turned_off_and_on_again(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for wanted in (True, False, False, True):
        with closing(open_instance(settings_of(url, tmp_path, is_on=wanted))) as instance:
            assert is_on(url) is wanted
            way = over_instance(instance)
            append(way)
            assert len(search(way, "shoes")) == 1
    assert [each for each in caplog.messages if "is now off" in each] == [
        "Row-level security was on, and is now off, because USERKEEP_POSTGRES_ROW_SECURITY is "
        "false."
    ]


def problems(tx: Transaction) -> list[ReadinessProblem]:
    return readiness_problems(tx, newest_migration=1000)


def append(way: Way) -> None:
    body = {"messages": [{"role": "user", "content": "red shoes"}], "user_id": "jane"}
    headers = {"Idempotency-Key": "once"}
    path = "/v1/sessions/{}/messages"
    assert way.request("POST", path, "of jane", json=body, headers=headers).status in {200, 201}


def test_a_server_that_was_started_without_it_sees_nothing_and_is_not_ready(
    url: str, tmp_path: Path
) -> None:
    with closing(open_instance(settings_of(url, tmp_path, is_on=False))) as instance:
        append(over_instance(instance))
        set_row_security(url, is_wanted=True)
        assert search(over_instance(instance), "shoes") == []
        [problem] = instance.engine.read(problems)
        assert "Restart it with USERKEEP_POSTGRES_ROW_SECURITY" in problem.detail
    with closing(open_instance(settings_of(url, tmp_path))) as instance:
        assert instance.engine.read(problems) == []


def test_what_the_database_sets_for_all_connections_shows_nothing(
    url: str, instance: Instance
) -> None:
    append(over_instance(instance))
    set_all = "ALTER DATABASE {} SET userkeep.project_id = 'all'"
    execute(superuser_url(url), set_all, database_name(url))
    with closing(PostgresEngine(url, QUERIES, row_security=True)) as engine:
        assert engine.read(forgetful("all_users")) == []


def test_a_server_with_an_older_policy_replaces_it(url: str, tmp_path: Path) -> None:
    execute(url, "ALTER POLICY {} ON users RENAME TO userkeep_project_0", POLICY)
    open_instance(settings_of(url, tmp_path)).close()
    names = "SELECT policyname FROM pg_policies WHERE tablename = 'users'"
    assert superusers_rows(url, names) == [(POLICY,)]


@pytest.mark.parametrize("options", ["SUPERUSER", "BYPASSRLS"])
def test_a_role_that_bypasses_policies_is_rejected(options: LiteralString, tmp_path: Path) -> None:
    with new_role(options) as role, owned_database(role) as url:
        open_instance(settings_of(as_role(url, role), tmp_path, is_on=False)).close()
        with pytest.raises(StorageError, match="Connect as a role that is neither") as caught:
            open_instance(settings_of(as_role(url, role), tmp_path))
        assert role in caught.value.detail
        assert rows(url, "SELECT count(*) FROM pg_policies") == [(0,)]


def test_a_role_that_does_not_own_the_tables_is_rejected(tmp_path: Path) -> None:
    url = migrated_database()
    role = postgres_server().new_role()
    execute(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", role)
    with pytest.raises(StorageError, match="as the role that owns the tables"):
        open_instance(settings_of(as_role(url, role), tmp_path))


def test_a_role_that_does_not_own_the_tables_can_use_what_the_owner_turned_on(
    url: str, tmp_path: Path
) -> None:
    role = postgres_server().new_role()
    execute(superuser_url(url), "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", role)
    execute(superuser_url(url), "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {}", role)
    theirs = as_role(superuser_url(url), role)
    with closing(open_instance(settings_of(theirs, tmp_path))) as instance:
        append(over_instance(instance))
        assert len(search(over_instance(instance), "shoes")) == 1


def test_another_policy_that_shows_further_rows_is_rejected(url: str, tmp_path: Path) -> None:
    execute(url, "CREATE POLICY everything ON users USING (true)")
    with pytest.raises(StorageError, match="The table users has the policy everything"):
        open_instance(settings_of(url, tmp_path))
    execute(url, "DROP POLICY everything ON users")
    execute(url, "CREATE POLICY narrower ON users AS RESTRICTIVE USING (true)")
    open_instance(settings_of(url, tmp_path)).close()


def test_a_reader_uses_what_the_database_has(url: str, tmp_path: Path) -> None:
    with closing(open_instance(settings_of(url, tmp_path))) as writer:
        append(over_instance(writer))
    for is_wanted in (True, False):
        reader = open_instance_read_only(settings_of(url, tmp_path, is_on=is_wanted))
        with closing(reader):
            assert len(search(over_instance(reader), "shoes")) == 1
    set_row_security(url, is_wanted=False)
    with pytest.raises(StorageError, match="Row-level security is not on"):
        open_instance_read_only(settings_of(url, tmp_path))


def test_a_copy_has_the_rows_of_all_projects(
    url: str, instance: Instance, other: Instance, tmp_path: Path
) -> None:
    for each, user_id in ((instance, "jane"), (other, "bob")):
        fill(over_instance(each), user_id)
    instance.close()
    file = f"sqlite:///{tmp_path}/copy.db"
    target = row_secured_database()
    for source_url, target_url in ((url, file), (file, target)):
        copied = userkeep("copy", source_url, target_url, folder=tmp_path)
        assert copied.returncode == 0, copied.stderr
    assert not is_on(target)
    with closing(open_instance(settings_of(target, tmp_path))) as opened:
        assert is_on(target)
        for number in (1, OTHER):
            scope = Scope(number, opened.scope.rules)
            way = over_instance(msgspec.structs.replace(opened, scope=scope))
            assert len(search(way, "shoes")) == 1


def finding(url: str, *, is_wanted: bool) -> tuple[bool, str]:
    """Return what `userkeep doctor` finds about projects."""
    environment = {"USERKEEP_POSTGRES_ROW_SECURITY": str(is_wanted).lower()}
    command = ("doctor", "--json", "--database", url)
    result = userkeep(*command, folder=Path("/"), environment=environment)
    [found] = [each for each in json.loads(result.stdout) if each["subject"] == "projects"]
    return found["is_well"], f"{found['finding']}. {found['advice']}"


def test_doctor_reports_whether_it_is_on(url: str) -> None:
    assert finding(url, is_wanted=True) == (True, "row-level security is on. ")
    is_well, text = finding(url, is_wanted=False)
    assert not is_well
    assert "a start without it turns row-level security off" in text
    is_well, text = finding(superuser_url(url), is_wanted=True)
    assert not is_well
    assert "superuser" in text
    set_row_security(url, is_wanted=False)
    assert finding(url, is_wanted=False) == (True, "row-level security is off. ")
    is_well, text = finding(url, is_wanted=True)
    assert is_well
    assert "off until a server" in text


def test_sqlite_has_no_row_security(tmp_path: Path) -> None:
    environment = {"USERKEEP_POSTGRES_ROW_SECURITY": "true"}
    rejected = userkeep("serve", "--port", "0", folder=tmp_path, environment=environment)
    assert rejected.returncode != 0
    assert "USERKEEP_POSTGRES_ROW_SECURITY is true, but SQLite" in rejected.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_migration_changes_the_rows_of_all_projects() -> None:
    role = postgres_server().new_role()
    url = postgres_server().new_database()
    execute(url, "ALTER SCHEMA public OWNER TO {}", role)
    former = [each for each in load_migrations("postgres") if each.number < 3]
    with psycopg.connect(as_role(url, role), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE schema_migrations (number integer NOT NULL PRIMARY KEY,"
            " name text NOT NULL, applied_at timestamptz NOT NULL)"
        )
        for each in former:
            connection.execute(each.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations VALUES (%s, %s, now())", [each.number, each.name]
            )
        connection.execute("INSERT INTO projects (project_id, name) VALUES (2, 'other')")
        connection.execute(
            "INSERT INTO sessions SELECT n, n, 's', gen_random_uuid(), NULL, NULL, NULL, NULL,"
            " 'active', NULL, 1, 0, 0, 0, NULL, now(), now() FROM generate_series(1, 2) AS n"
        )
        for name in ("users", "sessions", "messages"):
            protect = sql.SQL(
                "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                "CREATE POLICY userkeep_project_0 ON {0}"
                " USING (current_setting('userkeep.project_id', true) = 'all')"
            )
            connection.execute(protect.format(sql.Identifier(name)))
    PostgresEngine(as_role(url, role), QUERIES, row_security=True).close()
    active = "SELECT count(*) FROM sessions WHERE active_at = created_at"
    assert rows(url, active) == [(2,)]
    assert is_on(as_role(url, role))
