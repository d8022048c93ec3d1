"""`userkeep doctor` on the deletion ledger, and on files and folders that cannot be written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import files_in
from tests.restoring import Place, fill, fresh_place


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database from which a user was deleted, so that it has a ledger."""
    place = fresh_place(request.param.removesuffix(" file"), tmp_path)
    place.ledger.parent.mkdir()
    with place.open() as client:
        fill(client)
        client.user.add(user_id="first")
        client.user.delete("first")
    return place


def finding(place: Place, subject: str) -> dict[str, Any] | None:
    """Return what doctor finds of a subject; it writes nothing."""
    before = files_in(place.folder), files_in(place.ledger.parent)
    result = place.run("doctor", "--json")
    assert (files_in(place.folder), files_in(place.ledger.parent)) == before
    found = {each["subject"]: each for each in json.loads(result.stdout)}
    of_subject: dict[str, Any] | None = found.get(subject)
    assert of_subject is None or of_subject["is_well"] or result.returncode == 3
    return of_subject


def wrong(place: Place, subject: str = "ledger") -> str:
    found = finding(place, subject)
    assert found is not None
    assert not found["is_well"]
    return f"{found['finding']} {found['advice']}"


def test_a_ledger_is_counted(place: Place) -> None:
    found = finding(place, "ledger")
    assert found is not None
    assert found["is_well"]
    assert found["finding"] == f"{place.ledger}, entries: 1"


def test_a_database_without_deletions_has_no_finding(tmp_path: Path) -> None:
    place = fresh_place("sqlite", tmp_path)
    place.ledger.parent.mkdir()
    place.open().close()
    assert finding(place, "ledger") is None


def test_a_database_that_is_older_than_its_ledger_is_wrong(place: Place) -> None:
    older = place.back_up()
    with place.open() as client:
        client.user.add(user_id="second")
        client.user.delete("second")
    assert "`userkeep replay-erasures`" in wrong(older)


def test_a_ledger_that_is_gone_is_wrong(place: Place) -> None:
    place.open().close()  # the database remembers its ledger
    place.ledger.unlink()
    assert f"{place.ledger} is gone; entries lost: 1" in wrong(place)


def test_a_ledger_that_is_shorter_is_wrong(place: Place) -> None:
    with place.open() as client:
        client.user.add(user_id="second")
        client.user.delete("second")
    place.open().close()
    content = place.ledger.read_bytes()
    place.ledger.write_bytes(content[: len(content) // 3 * 2])
    assert "is shorter than the database knows; entries lost: 1" in wrong(place)


def test_a_changed_ledger_is_wrong(place: Place) -> None:
    content = bytearray(place.ledger.read_bytes())
    content[-20] ^= 1
    place.ledger.write_bytes(content)
    assert "was changed" in wrong(place)


def test_a_mistyped_path_is_wrong(tmp_path: Path) -> None:
    place = Place(tmp_path, "sqlite", f"sqlite:///{tmp_path}/mistyped/data/m.db")
    place.ledger.parent.mkdir()
    assert f"The folder {tmp_path}/mistyped does not exist" in wrong(place, "folder")
