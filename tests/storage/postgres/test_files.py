"""The files of a PostgreSQL server that runs on this machine, as bytes."""

import shutil
from contextlib import closing
from pathlib import Path

import psycopg

from tests.postgres import OwnPostgresServer
from userkeep.storage.engine import Files
from userkeep.storage.postgres.files import _IDENTITY, _is_of_server, files_of


def names(files: Files) -> list[str]:
    return [file.name for file in files.raw]


def data_of(url: str) -> tuple[Path, str]:
    """Return the data directory of a server, and the OID of a database."""
    with psycopg.connect(url) as connection:
        [(folder, number)] = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database"
            " WHERE datname = current_database()"
        )
        return Path(folder), str(number)


def test_the_files_of_a_server_are_found_without_those_of_other_databases(
    own_server: OwnPostgresServer,
) -> None:
    mine, other = own_server.new_database(), own_server.new_database()
    files = files_of(mine)
    _, my_number = data_of(mine)
    folder, other_number = data_of(other)
    folders = {Path(name).parent.as_posix() for name in names(files)}
    assert {f"base/{my_number}", "global", "pg_wal"} <= folders
    assert f"base/{other_number}" not in folders
    assert [each.name for each in files.skipped] == ["other databases of the server"]
    in_folders = [name for name in names(files) if "/" in name]
    assert in_folders[0].startswith("pg_wal/")
    [version] = [file for file in files.raw if file.name == "PG_VERSION"]
    with version.open() as reading:
        assert reading.read(0, 1000) == (folder / "PG_VERSION").read_bytes()


def test_a_role_without_the_privilege_to_locate_the_files_is_a_reason(
    own_server: OwnPostgresServer,
) -> None:
    url = own_server.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE simple LOGIN")
    as_simple = url.replace("postgres@", "simple@", 1)
    raw, [skipped] = files_of(as_simple)
    assert raw == ()
    assert "pg_read_all_settings" in skipped.reason


def test_a_copy_of_the_servers_folder_is_not_taken_for_it(
    own_server: OwnPostgresServer, tmp_path: Path
) -> None:
    url = own_server.new_database()
    folder, _ = data_of(url)
    copy = tmp_path / "data"
    (copy / "global").mkdir(parents=True)
    shutil.copy(folder / "global" / "pg_control", copy / "global")
    lines = (folder / "postmaster.pid").read_text().splitlines(keepends=True)
    lines[2] = f"{int(lines[2]) - 3600}\n"
    (copy / "postmaster.pid").write_text("".join(lines))
    with closing(psycopg.connect(url)) as connection:
        [(identifier, started_at_s, _)] = connection.execute(_IDENTITY)
    assert _is_of_server(folder, int(identifier), float(started_at_s))
    assert not _is_of_server(copy, int(identifier), float(started_at_s))
    assert not _is_of_server(folder, int(identifier) + 1, float(started_at_s))


def test_a_server_that_is_down_is_a_reason() -> None:
    raw, [skipped] = files_of("postgresql://nobody@127.0.0.1:9/none")
    assert raw == ()
    assert "cannot be used" in skipped.reason
