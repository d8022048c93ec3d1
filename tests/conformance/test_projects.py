"""Two projects in one database: data of one is never found from the other."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.steps import (
    NOT_FOUND,
    SEARCH,
    USER,
    add_project,
    add_user,
    append_text,
    delete,
    error_of,
    search,
)
from tests.conftest import ROW_SECURED, fresh_settings
from tests.typed_ways import over_instance
from tests.ways import Way
from userkeep.instance import in_project, open_instance


@pytest.fixture(params=["sqlite file", "postgres", ROW_SECURED])
def projects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Way, Way]]:
    """A way to call each of two projects of a fresh database."""
    with closing(open_instance(fresh_settings(request.param, tmp_path))) as opened:
        one = over_instance(opened)
        add_project(one, "other")
        yield one, over_instance(in_project(opened, "other"))


def add_messages(way: Way, user_id: str, session_id: str, name: str, *contents: str) -> None:
    """Append messages of a participant."""
    messages = [{"role": "norole", "name": name, "content": content} for content in contents]
    body = {"messages": messages, "user_id": user_id}
    assert way.request("POST", "/v1/sessions/{}/messages", session_id, json=body).status == 201


def hits_in_all_scopes(way: Way, query: str | None) -> list[Any]:
    """Return the hits in the messages of a user, of a session and of the project."""
    asked = {"explain": True, "limit": 1000}
    return [
        search(way, query, **where, **asked)
        for where in ({"user_id": "jane"}, {"session_id": "s1"}, {})
    ]


def test_another_project_affects_neither_hits_nor_scores(projects: tuple[Way, Way]) -> None:
    one, other = projects
    # The same ids and words in both, but other participants.
    add_messages(one, "jane", "s1", "Melanie", "I bought red shoes", "Caroline has a hat")
    queries = ("red shoes hat", "caroline shoes", "what has melanie bought", None)
    alone = {query: hits_in_all_scopes(one, query) for query in queries}
    add_messages(other, "jane", "s1", "Caroline", *["I bought red shoes"] * 10)
    add_messages(other, "jane", "s2", "Caroline", "shoes", "hat")
    add_messages(other, "bob", "s3", "Bob", "shoes " * 100)
    assert {query: hits_in_all_scopes(one, query) for query in queries} == alone
    for query in queries:
        for hits in hits_in_all_scopes(other, query):
            assert {hit["message"]["name"] for hit in hits} <= {"Caroline", "Bob"}
    found = search(other, "shoes", limit=1000)
    assert {hit["message"]["session_id"] for hit in found} == {"s1", "s2", "s3"}


def test_ids_of_another_project_are_not_found(projects: tuple[Way, Way]) -> None:
    one, other = projects
    add_messages(other, "jane", "s1", "Jane", "shoes")
    for where in ({"user_id": "jane"}, {"session_id": "s1"}):
        rejected = one.request("POST", SEARCH, json={"query": "shoes", **where})
        assert error_of(rejected) == NOT_FOUND


def test_deleting_a_user_does_not_change_searches_in_other_projects(
    projects: tuple[Way, Way],
) -> None:
    one, other = projects
    for way in projects:
        add_user(way, "jane")
        append_text(way, "s1", "I bought red shoes", user_id="jane")
    before = hits_in_all_scopes(other, "shoes")
    delete(one, USER, "jane")
    assert search(one, "shoes") == []
    assert hits_in_all_scopes(other, "shoes") == before
