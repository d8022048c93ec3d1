"""Charts as SVG: the values of their shapes, which the templates draw. No script draws anything."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import NamedTuple

from userkeep.domain.values.counts import pluralize
from userkeep.services.overviews import CALENDAR_DAYS, CHART_DAYS, Day

_EPOCH = date(1970, 1, 1)
_LEVELS = 4
_BAR_WIDTH = 14
_BAR_GAP = 4
_CHART_HEIGHT = 96
_CELL = 10
_CELL_STEP = 12


class Bar(NamedTuple):
    """A bar of a chart, in its units, with the text that explains it."""

    x: int
    y: float
    height: float
    text: str


class Chart(NamedTuple):
    """A chart of bars, one for each day.

    Attributes:
        bar_width: of each bar.
        summary: what a reader hears who does not see it.
    """

    bars: list[Bar]
    bar_width: int
    width: int
    height: int
    greatest: int
    first: str
    last: str
    summary: str


class Cell(NamedTuple):
    """A day of a calendar; `level` is 0 for none, and 4 for the most."""

    x: int
    y: int
    level: int
    text: str


class Calendar(NamedTuple):
    """A year, week by week.

    Attributes:
        cell_size: the width and height of each cell.
        months: where the name of each month stands.
        summary: what a reader hears who does not see it.
    """

    cells: list[Cell]
    cell_size: int
    months: list[tuple[int, str]]
    width: int
    height: int
    total: int
    summary: str


def chart(days: Sequence[Day], noun: str) -> Chart:
    """Return a chart of the last days."""
    counted = {day.number: day.total for day in days}
    today = _today()
    greatest = max(counted.values(), default=0)
    bars = []
    for index in range(CHART_DAYS):
        day = today - timedelta(days=CHART_DAYS - 1 - index)
        count = counted.get((day - _EPOCH).days, 0)
        height = round(count / greatest * _CHART_HEIGHT, 1) if greatest else 0.0
        height = max(height, 2.0) if count else 0.0
        text = f"{day:%Y-%m-%d}: {pluralize(count, noun)}"
        bars.append(Bar(index * (_BAR_WIDTH + _BAR_GAP), _CHART_HEIGHT - height, height, text))
    total = sum(counted.values())
    first = today - timedelta(days=CHART_DAYS - 1)
    return Chart(
        bars,
        _BAR_WIDTH,
        CHART_DAYS * (_BAR_WIDTH + _BAR_GAP) - _BAR_GAP,
        _CHART_HEIGHT,
        greatest,
        f"{first:%Y-%m-%d}",
        f"{today:%Y-%m-%d}",
        f"{pluralize(total, noun)} in {CHART_DAYS} days, at most {greatest:,} on a day",
    )


def calendar(days: Sequence[Day]) -> Calendar:
    """Return a calendar of the last year, which ends with this week."""
    counted = {day.number: day.total for day in days}
    greatest = max(counted.values(), default=0)
    today = _today()
    # Weeks begin on Monday; the last column is this week.
    first = today - timedelta(days=today.weekday() + CALENDAR_DAYS - 7)
    cells, months = [], []
    for index in range((today - first).days + 1):
        day = first + timedelta(days=index)
        week, weekday = divmod(index, 7)
        count = counted.get((day - _EPOCH).days, 0)
        text = f"{day:%Y-%m-%d}: {pluralize(count, 'message')}"
        cells.append(Cell(week * _CELL_STEP, weekday * _CELL_STEP, _level(count, greatest), text))
        if day.day <= 7 and weekday == 0:
            months.append((week * _CELL_STEP, f"{day:%b}"))
    total = sum(counted.values())
    active = sum(1 for count in counted.values() if count)
    return Calendar(
        cells,
        _CELL,
        months,
        CALENDAR_DAYS // 7 * _CELL_STEP,
        7 * _CELL_STEP,
        total,
        f"{pluralize(total, 'message')} on {pluralize(active, 'day')} of the last year",
    )


def _level(count: int, greatest: int) -> int:
    return ceil(count * _LEVELS / greatest) if count else 0


def _today() -> date:
    return datetime.now(UTC).date()
