"""Projects: create, list, rename, limit and delete them."""

from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.steps import (
    GONE,
    NOT_FOUND,
    PROJECT,
    PROJECTS,
    UUID7,
    ErrorSummary,
    add_project,
    concurrently,
    delete_project,
    error_of,
    invalid,
    moment,
    pages,
)
from tests.ways import Way

UNKNOWN = "6f1c1f4e-6d1f-4b7e-9a59-0d9f2f0c7a11"
USED: ErrorSummary = (409, "already_exists", ["name"])


@pytest.fixture
def name() -> str:
    """The name of a project that no other test uses."""
    return f"p-{uuid4().hex[:12]}"


def get_project(way: Way, key: str) -> Any:
    """Return the current project."""
    found = way.request("GET", PROJECT, key)
    assert found.status == 200, found
    return found.json


def test_a_new_project_is_found_by_its_name_and_by_its_uuid(way: Way, name: str) -> None:
    added = add_project(way, name)
    assert UUID7.fullmatch(added["uuid"])
    assert moment(added["created_at"]) == moment(added["updated_at"])
    assert added == {
        "name": name,
        "uuid": added["uuid"],
        "state": "active",
        "max_messages_per_user": None,
        "max_bytes_per_user": None,
        "max_documents_per_user": None,
        "do_not_embed": False,
        "created_at": added["created_at"],
        "updated_at": added["updated_at"],
        "deletion": None,
    }
    for key in (name, added["uuid"], added["uuid"].upper()):
        assert get_project(way, key) == added


def test_every_instance_has_the_project_default(way: Way) -> None:
    found = get_project(way, "default")
    assert (found["name"], found["state"], found["deletion"]) == ("default", "active", None)
    assert get_project(way, found["uuid"]) == found


@pytest.mark.parametrize("key", ["no-such-project", "No Project", "\u00e9", UNKNOWN])
def test_an_unknown_project_is_not_found(way: Way, key: str) -> None:
    assert error_of(way.request("GET", PROJECT, key)) == NOT_FOUND
    assert error_of(way.request("PATCH", PROJECT, key, json={})) == NOT_FOUND
    assert error_of(way.request("DELETE", PROJECT, key)) == NOT_FOUND


@pytest.mark.parametrize("bad", ["", "Shop", "-shop", "_shop", "a b", "a" * 64, "sh\u00f6p", "a/b"])
def test_an_invalid_name_is_rejected_with_its_value(way: Way, name: str, bad: str) -> None:
    rejected = way.request("POST", PROJECTS, json={"name": bad})
    assert error_of(rejected) == invalid("name")
    assert repr(bad) in rejected.json["detail"]
    add_project(way, name)
    assert error_of(way.request("PATCH", PROJECT, name, json={"name": bad})) == invalid("name")


def test_a_uuid_is_not_a_name(way: Way) -> None:
    uuid = UNKNOWN
    rejected = way.request("POST", PROJECTS, json={"name": uuid})
    assert error_of(rejected) == invalid("name")
    assert uuid in rejected.json["detail"]


@pytest.mark.parametrize("good", ["0", "a", "a_b-c", "a" * 50])
def test_names_have_letters_digits_hyphens_and_underscores(way: Way, good: str) -> None:
    name = f"{good}{uuid4().hex[:12]}"
    assert add_project(way, name)["name"] == name


def test_a_used_name_is_rejected(way: Way, name: str) -> None:
    added = add_project(way, name)
    other = add_project(way, f"{name}-2")
    assert error_of(way.request("POST", PROJECTS, json={"name": name})) == USED
    assert error_of(way.request("PATCH", PROJECT, other["uuid"], json={"name": name})) == USED
    assert get_project(way, name) == added
    assert get_project(way, other["uuid"]) == other


def test_a_project_can_be_renamed(way: Way, name: str) -> None:
    added = add_project(way, name)
    renamed = way.request("PATCH", PROJECT, name, json={"name": f"{name}-2"}).json
    assert moment(renamed["updated_at"]) > moment(added["updated_at"])
    assert renamed == {**added, "name": f"{name}-2", "updated_at": renamed["updated_at"]}
    assert error_of(way.request("GET", PROJECT, name)) == NOT_FOUND
    assert add_project(way, name)["uuid"] != added["uuid"]


def test_quotas_can_be_set_changed_and_removed(way: Way, name: str) -> None:
    added = add_project(way, name, max_messages_per_user=10)
    assert (added["max_messages_per_user"], added["max_bytes_per_user"]) == (10, None)
    largest = {"max_bytes_per_user": 2**63 - 1}
    changed = way.request("PATCH", PROJECT, name, json=largest).json
    assert (changed["max_messages_per_user"], changed["max_bytes_per_user"]) == (10, 2**63 - 1)
    removed = {"max_messages_per_user": None, "max_bytes_per_user": 1}
    changed = way.request("PATCH", PROJECT, name, json=removed).json
    assert (changed["max_messages_per_user"], changed["max_bytes_per_user"]) == (None, 1)
    assert get_project(way, name) == changed
    for same in ({}, {"name": name}, removed):
        assert way.request("PATCH", PROJECT, name, json=same).json == changed


@pytest.mark.parametrize(
    "field", ["max_messages_per_user", "max_bytes_per_user", "max_documents_per_user"]
)
@pytest.mark.parametrize("bad", [0, -1, 2**63, "10", 1.5, True])
def test_an_invalid_quota_is_rejected(way: Way, name: str, field: str, bad: Any) -> None:
    rejected = way.request("POST", PROJECTS, json={"name": name, field: bad})
    assert error_of(rejected) == invalid(field)
    assert error_of(way.request("GET", PROJECT, name)) == NOT_FOUND
    add_project(way, name)
    assert error_of(way.request("PATCH", PROJECT, name, json={field: bad})) == invalid(field)


def test_the_project_default_can_be_neither_renamed_nor_deleted(way: Way) -> None:
    before = get_project(way, "default")
    for key in ("default", before["uuid"]):
        renamed = way.request("PATCH", PROJECT, key, json={"name": "other"})
        assert error_of(renamed) == (409, "conflict", ["name"])
        assert error_of(way.request("DELETE", PROJECT, key)) == (409, "conflict", [])
    assert get_project(way, "default") == before
    assert way.request("PATCH", PROJECT, "default", json={"name": "default"}).status == 200


def test_projects_are_listed_in_pages_without_deleted_ones(way: Way, name: str) -> None:
    names = [f"{name}-{number}" for number in range(5)]
    for each in names:
        add_project(way, each)
    deleted = names.pop(2)
    delete_project(way, deleted)
    listed = [each["name"] for page in pages(way, PROJECTS, limit=2) for each in page]
    assert listed[0] == "default"
    assert [each for each in listed if each.startswith(name)] == names
    backwards = pages(way, PROJECTS, limit=2, order="-created")
    assert [each["name"] for page in backwards for each in page] == listed[::-1]


def test_the_receipt_of_a_deleted_project_is_found_by_its_uuid(way: Way, name: str) -> None:
    added = add_project(way, name, max_messages_per_user=10)
    deleted = delete_project(way, name)
    receipt = deleted["deletion"]
    assert receipt["counts"] == {"users": 0, "sessions": 0, "messages": 0, "documents": 0}
    assert moment(receipt["started_at"]) <= moment(receipt["deleted_at"])
    assert deleted == {
        **added,
        "name": None,
        "state": "deleted",
        "updated_at": receipt["deleted_at"],
        "deletion": receipt,
    }
    assert get_project(way, added["uuid"]) == deleted
    assert error_of(way.request("GET", PROJECT, name)) == NOT_FOUND
    # Again, as a client does that has lost the response.
    assert delete_project(way, added["uuid"]) == deleted
    change = way.request("PATCH", PROJECT, added["uuid"], json={"name": name})
    assert error_of(change) == NOT_FOUND


def test_the_name_of_a_deleted_project_can_be_used_again(way: Way, name: str) -> None:
    first = delete_project(way, add_project(way, name)["name"])
    second = add_project(way, name)
    assert second["uuid"] != first["uuid"]
    assert get_project(way, name) == second


def test_a_repeated_request_with_a_key_creates_one_project(way: Way, name: str) -> None:
    headers = {"Idempotency-Key": f"key of {name}"}
    first = way.request("POST", PROJECTS, json={"name": name}, headers=headers)
    again = way.request("POST", PROJECTS, json={"name": name}, headers=headers)
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    delete_project(way, name)
    after = way.request("POST", PROJECTS, json={"name": name}, headers=headers)
    assert error_of(after) == GONE


def test_of_concurrent_projects_with_one_name_one_is_created(way: Way, name: str) -> None:
    def add() -> int:
        return way.request("POST", PROJECTS, json={"name": name}).status

    assert sorted(concurrently(*[add] * 8)) == [201] + [409] * 7


def test_concurrent_projects_are_all_created(way: Way, name: str) -> None:
    def add(number: int) -> str:
        uuid: str = add_project(way, f"{name}-{number}")["uuid"]
        return uuid

    added = concurrently(*(lambda number=number: add(number) for number in range(8)))
    assert len(set(added)) == 8
