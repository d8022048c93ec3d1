"""Two projects in one database: what is said in one is nowhere found from the other."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import psycopg
import pytest

from tests.conformance.steps import (
    NOT_FOUND,
    SEARCH,
    USER,
    add_user,
    delete,
    refusal,
    say,
    search,
)
from tests.conftest import fresh_settings
from tests.typed_ways import over_instance
from tests.ways import Way
from userkeep.config import Settings, sqlite_path
from userkeep.domain.scope import Scope
from userkeep.instance import open_instance

ADD_PROJECT = "INSERT INTO projects (project_id, name) VALUES (2, 'other')"


@pytest.fixture(params=["sqlite file", "postgres"])
def projects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Way, Way]]:
    """A way into each of two projects of a fresh database."""
    chosen = fresh_settings(request.param, tmp_path)
    open_instance(chosen).close()
    add_project(chosen)
    with closing(open_instance(chosen)) as opened:
        other = msgspec.structs.replace(opened, scope=Scope(2, opened.scope.rules))
        yield over_instance(opened), over_instance(other)


def add_project(chosen: Settings) -> None:
    """Make a second project, as nothing but SQL can so far."""
    if chosen.database_url.startswith("sqlite"):
        with closing(apsw.Connection(sqlite_path(chosen.database_url))) as file:
            file.execute(ADD_PROJECT)
    else:
        with psycopg.connect(chosen.database_url) as connection:
            connection.execute(ADD_PROJECT)


def tell(way: Way, user_id: str, session_id: str, role: str, *contents: str) -> None:
    """Say something, in a role."""
    messages = [{"role": role, "content": content} for content in contents]
    body = {"messages": messages, "user_id": user_id}
    assert way.request("POST", "/v1/sessions/{}/messages", session_id, json=body).status == 201


def everywhere(way: Way, query: str | None) -> list[Any]:
    """The hits among a user's messages, in a session, and in all of the project."""
    asked = {"explain": True, "limit": 1000}
    return [
        search(way, query, **where, **asked)
        for where in ({"user_id": "jane"}, {"session_id": "s1"}, {})
    ]


def test_nothing_of_another_project_is_found_and_nothing_counts(projects: tuple[Way, Way]) -> None:
    one, other = projects
    # The same ids in both, the same words, and other people.
    tell(one, "jane", "s1", "Melanie", "I bought red shoes", "Caroline has a hat")
    queries = ("red shoes hat", "caroline shoes", "what has melanie bought", None)
    alone = {query: everywhere(one, query) for query in queries}
    tell(other, "jane", "s1", "Caroline", *["I bought red shoes"] * 10)
    tell(other, "jane", "s2", "Caroline", "shoes", "hat")
    tell(other, "bob", "s3", "Bob", "shoes " * 100)
    assert {query: everywhere(one, query) for query in queries} == alone
    for query in queries:
        for hits in everywhere(other, query):
            assert {hit["message"]["role"] for hit in hits} <= {"Caroline", "Bob"}
    found = search(other, "shoes", limit=1000)
    assert {hit["message"]["session_id"] for hit in found} == {"s1", "s2", "s3"}


def test_who_is_known_in_another_project_is_not_known(projects: tuple[Way, Way]) -> None:
    one, other = projects
    tell(other, "jane", "s1", "Jane", "shoes")
    for where in ({"user_id": "jane"}, {"session_id": "s1"}):
        refused = one.request("POST", SEARCH, json={"query": "shoes", **where})
        assert refusal(refused) == NOT_FOUND


def test_an_erasure_leaves_what_other_projects_find(projects: tuple[Way, Way]) -> None:
    one, other = projects
    for way in projects:
        add_user(way, "jane")
        say(way, "s1", "I bought red shoes", user_id="jane")
    before = everywhere(other, "shoes")
    delete(one, USER, "jane")
    assert search(one, "shoes") == []
    assert everywhere(other, "shoes") == before
