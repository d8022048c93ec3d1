"""Users, by every way in."""

from tests.ways import Way


def test_a_user_is_added_and_read_back(way: Way, fresh: str) -> None:
    sent = {
        "user_id": fresh,
        "email": "jane@example.com",
        "first_name": "Jane",
        "last_name": "Smith",
        "metadata": {"plan": {"name": "free"}},
    }
    added = way.request("POST", "/v1/users", json=sent)
    assert added.status == 201
    assert {name: added.json[name] for name in sent} == sent
    assert added.json["revision"] == 1
    assert way.request("GET", "/v1/users/{}", fresh).json == added.json


def test_a_user_id_can_be_used_once(way: Way, fresh: str) -> None:
    way.request("POST", "/v1/users", json={"user_id": fresh})
    again = way.request("POST", "/v1/users", json={"user_id": fresh})
    assert (again.status, again.json["code"], again.json["fields"]) == (
        409,
        "already_exists",
        ["user_id"],
    )
