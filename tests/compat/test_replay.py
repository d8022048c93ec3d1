"""The recorded exchanges of Zep 0.27.2, sent again in order: every difference is explained."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.compat.comparing import Names, SeenId, differing_paths, value_at
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
from tests.http.doors import Answer, Doors, OverSocket, in_process
from tests.serving import serving

EXCHANGES = [each for each in load_exchanges() if each.section not in NOT_SENT]

Facts = Mapping[str, Any]


class Replay:
    """All exchanges, sent once to a fresh server.

    Attributes:
        told: by exchange, what came back, in the terms of the recording.
        ids: the creation numbers and places that were seen.
    """

    def __init__(self, doors: Doors) -> None:
        self.names = Names()
        self.told: dict[int, Facts] = {}
        self.ids: list[tuple[Exchange, SeenId]] = []
        for exchange in EXCHANGES:
            self.told[exchange.number] = self._send(doors, exchange)

    def _send(self, doors: Doors, exchange: Exchange) -> Facts:
        body = exchange.request_body
        if body is not None:
            body = self.names.in_our_terms(body.decode()).encode()
        target = self.names.in_our_terms(exchange.target)
        answer = doors.send(exchange.method, target, body, headers=exchange.headers)
        ids: list[SeenId] = []
        told = self.names.in_their_terms(exchange.body, _body(answer), ids)
        self.ids += [(exchange, seen) for seen in ids]
        return {
            "status": answer.status,
            "type": answer.content_type or None,
            "version": "x-zep-version" in answer.headers,
            "body": told,
        }


@pytest.fixture(
    scope="module", params=[*ENGINES, "socket"], ids=lambda name: name.replace(" ", "_")
)
def replay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replay]:
    """The exchanges, sent in process on each engine, and once to a server over a socket."""
    folder = tmp_path_factory.mktemp("replay")
    with ExitStack() as stack:
        if request.param == "socket":
            server = stack.enter_context(serving(folder))
            yield Replay(OverSocket(server.port))
        else:
            settings = fresh_settings(request.param, folder)
            yield Replay(stack.enter_context(in_process(settings)))


def test_every_difference_is_explained(replay: Replay) -> None:
    problems = []
    for exchange in EXCHANGES:
        told = replay.told[exchange.number]
        unexplained = _unexplained(exchange, told)
        problems += [
            f"{exchange}: {path} is {value_at(told, path)!r}, "
            f"in the recording {value_at(_facts(exchange), path)!r}"
            for path in unexplained
        ]
    assert not problems, "\n".join(problems)


def test_every_explanation_is_of_a_difference_and_gives_our_value(replay: Replay) -> None:
    problems = []
    for difference in DIFFERENCES:
        for number, changes in difference.exchanges.items():
            told, exchange = replay.told[number], EXCHANGES[number - 1]
            differing = _differing(exchange, told)
            for path, value in changes.items():
                if not any(_is_within(each, path) for each in differing):
                    problems.append(f"{exchange}: {path} does not differ any more")
                elif not _matches(value, value_at(told, path)):
                    problems.append(
                        f"{exchange}: {path} is {value_at(told, path)!r}, not {value!r}"
                    )
    assert not problems, "\n".join(problems)


def test_every_explanation_of_what_is_always_different_is_needed(replay: Replay) -> None:
    met = Counter(
        rule
        for exchange in EXCHANGES
        for path in _differing(exchange, replay.told[exchange.number])
        if (rule := _rule(exchange, replay.told[exchange.number], path))
    )
    assert set(met) == set(EVERYWHERE)


def test_each_difference_is_explained_once() -> None:
    paths = Counter(
        (number, path)
        for difference in DIFFERENCES
        for number, changes in difference.exchanges.items()
        for path in changes
    )
    assert [each for each, count in paths.items() if count > 1] == []


def test_what_was_created_earlier_has_the_smaller_number(replay: Replay) -> None:
    for noun in ("/api/v1/user", "/api/v1/sessions"):
        numbers = sorted(
            {
                (seen.theirs, seen.ours)
                for exchange, seen in replay.ids
                if seen.place is None and exchange.target.startswith(noun)
            }
        )
        ours = [number for _, number in numbers]
        assert ours == sorted(set(ours))
        assert numbers != [(number, number) for number in ours], f"not so any more: {NUMBERS}"


def test_the_id_in_a_list_is_the_place_in_it(replay: Replay) -> None:
    in_lists = [(exchange, seen) for exchange, seen in replay.ids if seen.place is not None]
    assert in_lists
    for exchange, seen in in_lists:
        query = parse_qs(exchange.target.partition("?")[2])
        first = int(query.get("cursor", ["0"])[0]) + 1
        assert seen.ours == first + (seen.place or 0), exchange


def test_what_happened_earlier_has_the_earlier_time(replay: Replay) -> None:
    times = replay.names.times()
    assert len(times) > 25
    assert sorted(times) == sorted(times, key=lambda pair: pair[1])


def test_sections_that_are_not_sent_are_in_the_recording() -> None:
    assert set(NOT_SENT) <= {exchange.section for exchange in load_exchanges()}


def _body(answer: Answer) -> Any:
    if "json" in answer.content_type:
        return answer.json
    if answer.status < 400 or not answer.body:
        return answer.text
    assert answer.text.strip(), "an error is told in words"
    assert answer.text.endswith("\n")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return SOME_TEXT


def _facts(exchange: Exchange) -> Facts:
    return {
        "status": exchange.status,
        "type": exchange.content_type,
        "version": True,
        "body": exchange.body,
    }


def _differing(exchange: Exchange, told: Facts) -> list[str]:
    facts = _facts(exchange)
    return [path for name in facts for path in differing_paths(facts[name], told[name], name)]


def _unexplained(exchange: Exchange, told: Facts) -> list[str]:
    explained = [
        path for difference in DIFFERENCES for path in difference.exchanges.get(exchange.number, ())
    ]
    return [
        path
        for path in _differing(exchange, told)
        if not any(_is_within(path, each) for each in explained) and not _rule(exchange, told, path)
    ]


def _rule(exchange: Exchange, told: Facts, path: str) -> Everywhere | None:
    for rule in EVERYWHERE:
        values = value_at(_facts(exchange), path), value_at(told, path)
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
