"""When a purge is due: depends on elapsed time, database size and time of day."""

from datetime import UTC, datetime

import pytest

from userkeep.domain.purge import IDLE_S, Schedule, Window, parse_window
from userkeep.domain.values.times import HOUR, MINUTE, Instant, from_datetime

NIGHT = Window(1 * 60, 5 * 60)
SCHEDULE = Schedule(within_us=HOUR, large_bytes=1_000, window=NIGHT)
BUSY_S = 0.0


def at(hour: int, minute: int = 0) -> Instant:
    """Return a time of a fixed day."""
    return from_datetime(datetime(2026, 11, 23, hour, minute, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("01:00-05:00", NIGHT),
        ("23:30-00:30", Window(23 * 60 + 30, 30)),
        ("00:00-24:00", Window(0, 24 * 60)),
        ("12:00-24:00", Window(12 * 60, 24 * 60)),
    ],
)
def test_a_window_is_two_times_of_the_day(text: str, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    "text",
    ["", "01:00", "1:00-5:00", "05:00-05:00", "24:00-05:00", "01:60-05:00", "20:00-24:01", "never"],
)
def test_an_invalid_window_is_none(text: str) -> None:
    assert parse_window(text) is None


def test_a_window_includes_its_start_but_not_its_end() -> None:
    assert NIGHT.contains(at(1))
    assert NIGHT.contains(at(4, 59))
    assert not NIGHT.contains(at(5))
    assert not NIGHT.contains(at(0, 59))


def test_a_window_can_span_midnight() -> None:
    window = Window(23 * 60, 2 * 60)
    assert window.contains(at(23, 30))
    assert window.contains(at(1, 59))
    assert not window.contains(at(2))
    assert not window.contains(at(22, 59))


def test_a_window_of_24_hours_includes_every_time() -> None:
    assert all(Window(0, 24 * 60).contains(at(hour, 59)) for hour in range(24))


def test_a_small_database_is_purged_when_idle() -> None:
    assert SCHEDULE.is_due(at(12), at(12), 999, IDLE_S)
    assert not SCHEDULE.is_due(at(12), at(12), 999, IDLE_S - 0.1)


def test_a_small_database_is_purged_by_the_deadline_even_if_busy() -> None:
    assert SCHEDULE.is_due(at(12), at(13), 999, BUSY_S)
    assert not SCHEDULE.is_due(at(12), Instant(at(13) - 1), 999, BUSY_S)


def test_a_large_database_is_purged_only_in_its_window() -> None:
    late = Instant(at(12) + 30 * MINUTE)
    assert not SCHEDULE.is_due(at(3), late, 1_000, IDLE_S)
    assert SCHEDULE.is_due(at(0), at(1), 1_000, BUSY_S)
