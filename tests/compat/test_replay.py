"""Replay the recorded exchanges of Zep 0.27.2 in order: every difference is explained."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.compat.comparison import SeenId, ValueMap, differing_paths, value_at
from tests.compat.differences import (
    ANY,
    DIFFERENCES,
    EVERYWHERE,
    NOT_SENT,
    NUMBERS,
    Everywhere,
)
from tests.compat.exchanges import SOME_TEXT, Exchange, load_exchanges
from tests.conftest import ENGINES, fresh_settings
from tests.http.clients import Client, Response, SocketClient, serve_in_process
from tests.serving import serving

EXCHANGES = [each for each in load_exchanges() if each.section not in NOT_SENT]

Facts = Mapping[str, Any]


class Replay:
    """All exchanges, sent once to a fresh server.

    Attributes:
        received: by exchange, the response with the values of the recording.
        ids: the creation numbers and positions in the responses.
    """

    def __init__(self, client: Client) -> None:
        self.values = ValueMap()
        self.received: dict[int, Facts] = {}
        self.ids: list[tuple[Exchange, SeenId]] = []
        for exchange in EXCHANGES:
            self.received[exchange.number] = self._send(client, exchange)

    def _send(self, client: Client, exchange: Exchange) -> Facts:
        body = exchange.request_body
        if body is not None:
            body = self.values.to_ours(body.decode()).encode()
        target = self.values.to_ours(exchange.target)
        response = client.send(exchange.method, target, body, headers=exchange.headers)
        ids: list[SeenId] = []
        received = self.values.to_theirs(exchange.body, _body(response), ids)
        self.ids += [(exchange, seen) for seen in ids]
        return {
            "status": response.status,
            "type": response.content_type or None,
            "version": "x-zep-version" in response.headers,
            "body": received,
        }


@pytest.fixture(
    scope="module", params=[*ENGINES, "socket"], ids=lambda name: name.replace(" ", "_")
)
def replay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replay]:
    """Send the exchanges in this process on each engine, and once over a socket."""
    folder = tmp_path_factory.mktemp("replay")
    with ExitStack() as stack:
        if request.param == "socket":
            server = stack.enter_context(serving(folder))
            yield Replay(SocketClient(server.port))
        else:
            settings = fresh_settings(request.param, folder)
            yield Replay(stack.enter_context(serve_in_process(settings)))


def test_every_difference_is_explained(replay: Replay) -> None:
    problems = []
    for exchange in EXCHANGES:
        received = replay.received[exchange.number]
        unexplained = _unexplained(exchange, received)
        problems += [
            f"{exchange}: {path} is {value_at(received, path)!r}, "
            f"in the recording {value_at(_facts(exchange), path)!r}"
            for path in unexplained
        ]
    assert not problems, "\n".join(problems)


def test_every_explanation_matches_a_difference_and_its_value(replay: Replay) -> None:
    problems = []
    for difference in DIFFERENCES:
        for number, changes in difference.exchanges.items():
            received, exchange = replay.received[number], EXCHANGES[number - 1]
            differing = _differing(exchange, received)
            for path, value in changes.items():
                if not any(_is_within(each, path) for each in differing):
                    problems.append(f"{exchange}: {path} no longer differs")
                elif not _matches(value, value_at(received, path)):
                    problems.append(
                        f"{exchange}: {path} is {value_at(received, path)!r}, not {value!r}"
                    )
    assert not problems, "\n".join(problems)


def test_every_general_explanation_is_needed(replay: Replay) -> None:
    used = Counter(
        rule
        for exchange in EXCHANGES
        for path in _differing(exchange, replay.received[exchange.number])
        if (rule := _rule(exchange, replay.received[exchange.number], path))
    )
    assert set(used) == set(EVERYWHERE)


def test_each_difference_is_explained_once() -> None:
    paths = Counter(
        (number, path)
        for difference in DIFFERENCES
        for number, changes in difference.exchanges.items()
        for path in changes
    )
    assert [each for each, count in paths.items() if count > 1] == []


def test_numbers_increase_in_the_order_of_creation(replay: Replay) -> None:
    for noun in ("/api/v1/user", "/api/v1/sessions"):
        numbers = sorted(
            {
                (seen.theirs, seen.ours)
                for exchange, seen in replay.ids
                if seen.position is None and exchange.target.startswith(noun)
            }
        )
        ours = [number for _, number in numbers]
        assert ours == sorted(set(ours))
        assert numbers != [(number, number) for number in ours], f"no longer true: {NUMBERS}"


def test_the_id_in_a_list_is_the_position(replay: Replay) -> None:
    in_lists = [(exchange, seen) for exchange, seen in replay.ids if seen.position is not None]
    assert in_lists
    for exchange, seen in in_lists:
        query = parse_qs(exchange.target.partition("?")[2])
        first = int(query.get("cursor", ["0"])[0]) + 1
        assert seen.ours == first + (seen.position or 0), exchange


def test_times_increase_in_the_order_of_the_recording(replay: Replay) -> None:
    times = replay.values.times()
    assert len(times) > 25
    both = [tuple(map(datetime.fromisoformat, pair)) for pair in times]
    assert sorted(both) == sorted(both, key=lambda pair: pair[1])


def test_sections_that_are_not_sent_exist_in_the_recording() -> None:
    assert set(NOT_SENT) <= {exchange.section for exchange in load_exchanges()}


def _body(response: Response) -> Any:
    if "json" in response.content_type:
        return response.json
    if response.status < 400 or not response.body:
        return response.text
    assert response.text.strip(), "an error has a text"
    assert response.text.endswith("\n")
    assert response.headers["x-content-type-options"] == "nosniff"
    return SOME_TEXT


def _facts(exchange: Exchange) -> Facts:
    return {
        "status": exchange.status,
        "type": exchange.content_type,
        "version": True,
        "body": exchange.body,
    }


def _differing(exchange: Exchange, received: Facts) -> list[str]:
    facts = _facts(exchange)
    return [path for name in facts for path in differing_paths(facts[name], received[name], name)]


def _unexplained(exchange: Exchange, received: Facts) -> list[str]:
    explained = [
        path for difference in DIFFERENCES for path in difference.exchanges.get(exchange.number, ())
    ]
    return [
        path
        for path in _differing(exchange, received)
        if not any(_is_within(path, each) for each in explained)
        and not _rule(exchange, received, path)
    ]


def _rule(exchange: Exchange, received: Facts, path: str) -> Everywhere | None:
    for rule in EVERYWHERE:
        values = value_at(_facts(exchange), path), value_at(received, path)
        if path == rule.path and values == (rule.theirs, rule.ours):
            return rule
    return None


def _is_within(path: str, whole: str) -> bool:
    return path == whole or path.startswith((f"{whole}.", f"{whole}["))


def _matches(wanted: Any, value: Any) -> bool:
    if wanted is ANY:
        return True
    if isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.keys() == value.keys() and all(
            _matches(wanted[key], value[key]) for key in wanted
        )
    if isinstance(wanted, list) and isinstance(value, list):
        return len(wanted) == len(value) and all(map(_matches, wanted, value))
    return type(wanted) is type(value) and wanted == value
