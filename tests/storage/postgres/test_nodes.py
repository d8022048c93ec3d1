"""A cluster's other nodes: their files are named wherever they were not looked at.

No cluster runs in the tests. The tables in which Citus lists nodes are made here, with its columns.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from tests.cli.running import userkeep
from tests.postgres import migrated_database
from userkeep import Userkeep
from userkeep.storage.postgres.files import files_of

SECRET = "a secret of the tests"

NODES: tuple[LiteralString, ...] = (
    "CREATE TABLE pg_dist_local_group (groupid integer NOT NULL)",
    "INSERT INTO pg_dist_local_group VALUES (0)",
    """
    CREATE TABLE pg_dist_node (
        nodeid integer PRIMARY KEY, groupid integer NOT NULL, nodename text NOT NULL,
        nodeport integer NOT NULL, noderole text NOT NULL, isactive boolean NOT NULL
    )
    """,
)


@pytest.fixture
def cluster() -> Callable[[int], str]:
    """Create a database on a cluster with so many nodes; return its URL."""

    def create(count: int) -> str:
        url = migrated_database()
        with psycopg.connect(url, autocommit=True) as connection:
            for each in NODES:
                connection.execute(each)
            connection.execute(
                "INSERT INTO pg_dist_node SELECT n + 1, n, 'node', 5432, 'primary', true"
                " FROM generate_series(0, CAST(%s AS integer) - 1) AS n",
                [count],
            )
        return url

    return create


def test_a_purge_does_not_complete_while_other_nodes_have_files(
    cluster: Callable[[int], str],
) -> None:
    with Userkeep.open(cluster(3), secret=SECRET) as client:
        client.user.add(user_id="jane")
        erasure = client.user.delete("jane", purge="now")
        assert erasure.state == "deleted"
        [skipped] = [each for each in erasure.purge.skipped_steps if "node" in each.step]
        assert skipped.step == "files of 2 other nodes of the cluster"
        assert "WAL" in skipped.reason
        assert skipped.reason.endswith("They may contain deleted data.")


def test_a_verification_names_the_files_of_other_nodes(cluster: Callable[[int], str]) -> None:
    with Userkeep.open(cluster(2), secret=SECRET) as client:
        client.user.add(user_id="jane")
        erasure = client.user.delete("jane")
        verification = client.erasure.verify(erasure.id, search_terms=["a text of Jane"])
        skipped = {each.name: each.reason for each in verification.skipped}
        assert "may contain" in skipped["files of 1 other node of the cluster"]
        assert verification.result == "inconclusive"


@pytest.mark.parametrize("count", [0, 1])
def test_a_cluster_without_other_nodes_skips_nothing(
    cluster: Callable[[int], str], count: int
) -> None:
    url = cluster(count)
    assert not [each for each in files_of(url).skipped if "node" in each.name]


def test_doctor_reports_that_it_looked_at_one_node_alone(
    cluster: Callable[[int], str], tmp_path: Path
) -> None:
    result = userkeep("doctor", "--json", "--database", cluster(3), folder=tmp_path)
    [finding] = [each for each in json.loads(result.stdout) if each["subject"] == "cluster"]
    assert finding["is_well"]
    assert finding["finding"].startswith("2 other nodes of the cluster: the size, ")
