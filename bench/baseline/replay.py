"""Operations that were recorded, to be run again for other requests."""

from collections.abc import Callable, Generator, Iterator
from itertools import count
from time import time_ns
from typing import Any, Literal, NamedTuple, Protocol

from bench.harness.requests import Parts

Values = dict[str, Any]
Result = Any
"""Of a call: its rows, the number of rows that it changed, or None where nobody asks."""


class Call(NamedTuple):
    """What an operation asks of its transaction: a statement, and the values of each run of it.

    Attributes:
        wants: what the operation waits for; nothing, if the call may travel with the next one.
        sort_key: if it is deferred to the commit, its order among those of other operations.
    """

    text: str
    rows: list[Values]
    wants: Literal["rows", "changes", "nothing"]
    sort_key: int | None = None


class Recording(NamedTuple):
    """One request, its response, and what the product asked of its database for it.

    Attributes:
        calls: each with what it returned.
        now: the time of the transaction.
        uuids: those that it made, in their order.
    """

    request: Parts
    status: int
    response: Any
    calls: list[tuple[Call, Result]]
    is_write: bool
    now: int
    uuids: list[str]


class Context(NamedTuple):
    """What the values of a replay come from."""

    request: Parts
    now: int
    uuids: list[str]
    results: list[Result]


Source = Callable[[Context], Any]
"""Where a value comes from."""

Calls = Generator[Call, Result, None]
"""The calls of an operation, one after the other; the result of each is sent back."""


class Step(NamedTuple):
    """One call of an operation: constant values, and the sources of all others, by name."""

    recorded: Call
    rows: list[tuple[Values, list[tuple[str, Source]]]]
    sort_key: Source | None
    result_size: int | None

    def call(self, context: Context) -> Call:
        text, _, wants, sort_key = self.recorded
        rows = []
        for constants, sources in self.rows:
            values = constants.copy()
            for name, source in sources:
                values[name] = source(context)
            rows.append(values)
        return Call(text, rows, wants, self.sort_key(context) if self.sort_key else sort_key)


class Operation(NamedTuple):
    """An operation that can be run for any request of its kind."""

    steps: list[Step]
    is_write: bool
    uuids: int
    status: int
    response: Any

    def calls(self, request: Parts, now: int, new_uuid: Callable[[], str]) -> Calls:
        """Yield the calls for a request.

        Raises:
            RuntimeError: a call has not returned, or changed, as many rows as when it was recorded.
        """
        context = Context(request, now, [new_uuid() for _ in range(self.uuids)], [])
        for step in self.steps:
            result = yield step.call(context)
            context.results.append(result)
            if step.result_size is not None and _size(result) != step.result_size:
                text = step.recorded.text
                raise RuntimeError(f"expected {step.result_size} rows, got {result!r}: {text}")

    @property
    def fingerprint(self) -> str:
        """What is the same for all requests."""
        rows = [[constants for constants, _ in step.rows] for step in self.steps]
        return repr([(step.recorded.text, of) for step, of in zip(self.steps, rows, strict=True)])


class Replay(Protocol):
    """A bare driver, which runs one operation after the other."""

    def run(self, operation: Operation, request: Parts) -> int:
        """Run an operation, a write as a transaction; return how many rows were read."""
        ...


def now() -> int:
    """Return the present time as the product has it: microseconds since 1970."""
    return time_ns() // 1000


def uuids(prefix: str) -> Callable[[], str]:
    """Return what makes uuids that begin with eight digits, one after the other."""
    numbers = count(1)
    return lambda: f"{prefix}-0000-7000-8000-{next(numbers):012x}"


def constant_operation(recorded: Recording) -> Operation:
    """Return an operation that asks the same as was recorded."""
    steps = [
        Step(call, [(row, []) for row in call.rows], None, _size(result))
        for call, result in recorded.calls
    ]
    return Operation(steps, recorded.is_write, 0, recorded.status, recorded.response)


def operation_of(first: Recording, second: Recording) -> Operation:
    """Return the operation of which two requests were recorded.

    Raises:
        RuntimeError: they did not run the same statements, or a value cannot be explained.
    """
    asked = [[(call.text, len(call.rows)) for call, _ in each.calls] for each in (first, second)]
    if asked[0] != asked[1]:
        raise RuntimeError(f"two requests of a kind did not run the same statements: {asked}")
    learning = _Learning(first, second)
    steps = [learning.step(number) for number in range(len(first.calls))]
    return Operation(steps, first.is_write, len(first.uuids), first.status, first.response)


# A keyed hash of an id is the product's own work; to the database, another text is as good.
_STAND_INS: dict[str, Source] = {
    "id_hash": lambda context: f"hash at {context.now}",
}


class _Learning:
    """Explains the values of two recordings by where they come from."""

    def __init__(self, first: Recording, second: Recording) -> None:
        self._first = first
        self._second = second

    def step(self, number: int) -> Step:
        (first, result), (second, _) = self._first.calls[number], self._second.calls[number]
        rows = []
        for one, other in zip(first.rows, second.rows, strict=True):
            names = [name for name, value in one.items() if value != other[name]]
            sources = [
                (name, _STAND_INS.get(name) or self._source(number, one[name], other[name]))
                for name in names
            ]
            rows.append(({name: one[name] for name in one if name not in names}, sources))
        keys = first.sort_key, second.sort_key
        sort_key = self._source(number, *keys) if keys[0] != keys[1] else None
        return Step(first, rows, sort_key, _size(result))

    def _source(self, number: int, one: Any, other: Any) -> Source:
        source = (
            self._in_request(one, other)
            or self._in_uuids(one, other)
            or self._in_clock(one, other)
            or self._in_results(number, one, other)
        )
        if source is None:
            text = self._first.calls[number][0].text
            raise RuntimeError(f"the source of {one!r} and {other!r} is unknown in {text}")
        return source

    def _in_request(self, one: Any, other: Any) -> Source | None:
        first, second = self._first.request, self._second.request
        for number, pair in enumerate(zip(first.segments, second.segments, strict=True)):
            if pair == (one, other):
                return lambda context: context.request.segments[number]
        for path in _leaves(first.body):
            if (_at(first.body, path), _at(second.body, path)) == (one, other):
                return lambda context: _at(context.request.body, path)
        return None

    def _in_uuids(self, one: Any, other: Any) -> Source | None:
        made = list(zip(self._first.uuids, self._second.uuids, strict=True))
        if (one, other) not in made:
            return None
        number = made.index((one, other))
        return lambda context: context.uuids[number]

    def _in_clock(self, one: Any, other: Any) -> Source | None:
        if not isinstance(one, int) or one - self._first.now != other - self._second.now:
            return None
        offset = one - self._first.now
        return lambda context: context.now + offset

    def _in_results(self, number: int, one: Any, other: Any) -> Source | None:
        """Explain a value as one that was returned, or as a number at a fixed distance from one."""
        returned = list(self._returned(number))
        for place, a, b in returned:
            if (a, b) == (one, other):
                return _from_results(place, 0)
        for place, a, b in returned:
            are_numbers = all(type(each) is int for each in (a, b, one, other))
            if are_numbers and one - a == other - b:
                return _from_results(place, one - a)
        return None

    def _returned(self, number: int) -> Iterator[tuple[tuple[int, int, int], Any, Any]]:
        """Yield the values that earlier calls returned, with their call, row and column."""
        calls = zip(self._first.calls[:number], self._second.calls[:number], strict=True)
        for call, ((_, one), (_, other)) in enumerate(calls):
            for row, pair in enumerate(zip(one, other, strict=True) if _has_rows(one) else ()):
                for column, values in enumerate(zip(*pair, strict=True)):
                    yield (call, row, column), *values


def _from_results(place: tuple[int, int, int], offset: int) -> Source:
    call, row, column = place
    if offset:
        return lambda context: context.results[call][row][column] + offset
    return lambda context: context.results[call][row][column]


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all texts and numbers of a body."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _leaves(value[key], (*path, key))
    else:
        yield path


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _has_rows(result: Result) -> bool:
    return result is not None and not isinstance(result, int)


def _size(result: Result) -> int | None:
    return len(result) if _has_rows(result) else result
