"""Collections and documents: on a file, on PostgreSQL and on a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import userkeep
from tests.conftest import database_url
from tests.serving import serving

EMBEDDING = [1.0, 0.5, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("engine", ["sqlite file", "postgres", "server"])
def test_collections_and_documents_are_added_listed_searched_and_deleted(
    tmp_path: Path, engine: str
) -> None:
    if engine == "server":
        with serving(tmp_path) as server:
            check_commands(tmp_path, "--url", server.url)
    else:
        check_commands(
            tmp_path, "--database", database_url(engine, tmp_path).removeprefix("sqlite:///")
        )


def check_commands(folder: Path, *place: str) -> None:
    def run(*words: object) -> str:
        result = userkeep(*words, *place, folder=folder)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout

    def printed(*words: object) -> Any:
        return json.loads(run(*words, "--json"))

    add = ("collections", "add", "papers", "--dimensions", 8, "--description", "what I read")
    added = printed(*add, "--metadata", '{"a": 1}')
    assert (added["dimensions"], added["metadata"]) == (8, {"a": 1})
    assert {"papers", "caller"} <= set(run("collections", "list").split())
    assert printed("collections", "list")["items"] == [added]
    assert "what I read" in run("collections", "show", "papers")
    run("users", "add", "jane")
    of_all = ("about shoes", "--document-id", "a", "--embedding", json.dumps(EMBEDDING))
    document = printed("documents", "add", "papers", *of_all, "--metadata", '{"n": 1}')
    assert (document["content"], document["metadata"]) == ("about shoes", {"n": 1})
    of_jane = ("about hats", "--document-id", "b", "--embedding", "[0,0,0,0,0,0,0,1]")
    run("documents", "add", "papers", *of_jane, "--user-id", "jane")
    assert {"a", "jane", "embedded"} <= set(run("documents", "list", "papers").split())
    [hers] = printed("documents", "list", "papers", "--user-id", "jane")["items"]
    assert hers["document_id"] == "b"
    show = ("documents", "show", "papers", "a")
    assert printed(*show, "--embedding")["embedding"] == EMBEDDING
    assert "about shoes" in run(*show)
    query = ("documents", "search", "papers", "--embedding", json.dumps(EMBEDDING))
    assert printed(*query, "--limit", 1)["items"][0]["score"] == pytest.approx(1)
    assert run(*query).split()[:3] == ["score", "document_id", "content"]
    nothing = userkeep(*query, "--user-id", "bob", *place, folder=folder)
    assert (nothing.stdout, nothing.stderr) == ("", "userkeep: No documents found.\n")
    newest = printed("documents", "search", "papers")["items"]
    assert [hit["document"]["document_id"] for hit in newest] == ["b", "a"]
    delete = ("documents", "delete", "papers", "a", "absent", "--yes")
    assert run(*delete) == "Deleted 1 document.\n"
    assert printed("collections", "delete", "papers", "--yes")["state"] == "deleted"
    missing = userkeep("collections", "show", "papers", *place, folder=folder)
    assert (missing.returncode, "no collection" in missing.stderr) == (4, True)
    assert run("collections", "list") == "No collections.\n"
