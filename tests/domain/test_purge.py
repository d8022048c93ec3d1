"""When a purge is due: by the time that has gone by, by the size, by the time of the day."""

from datetime import UTC, datetime

import pytest

from userkeep.domain.purge import IDLE_S, Schedule, Window, parse_window
from userkeep.domain.values.times import HOUR, MINUTE, Instant, from_datetime

NIGHT = Window(1 * 60, 5 * 60)
SCHEDULE = Schedule(within_us=HOUR, large_bytes=1_000, window=NIGHT)
BUSY_S = 0.0


def at(hour: int, minute: int = 0) -> Instant:
    """A time of some day."""
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
def test_what_is_no_window_is_none(text: str) -> None:
    assert parse_window(text) is None


def test_a_window_holds_its_begin_and_not_its_end() -> None:
    assert NIGHT.contains(at(1))
    assert NIGHT.contains(at(4, 59))
    assert not NIGHT.contains(at(5))
    assert not NIGHT.contains(at(0, 59))


def test_a_window_may_go_past_midnight() -> None:
    window = Window(23 * 60, 2 * 60)
    assert window.contains(at(23, 30))
    assert window.contains(at(1, 59))
    assert not window.contains(at(2))
    assert not window.contains(at(22, 59))


def test_a_window_of_all_day_holds_every_time() -> None:
    assert all(Window(0, 24 * 60).contains(at(hour, 59)) for hour in range(24))


def test_a_small_database_is_purged_when_nobody_asks_for_anything() -> None:
    assert SCHEDULE.is_due(at(12), at(12), 999, IDLE_S)
    assert not SCHEDULE.is_due(at(12), at(12), 999, IDLE_S - 0.1)


def test_a_small_database_is_purged_in_time_however_busy_it_is() -> None:
    assert SCHEDULE.is_due(at(12), at(13), 999, BUSY_S)
    assert not SCHEDULE.is_due(at(12), Instant(at(13) - 1), 999, BUSY_S)


def test_a_large_database_waits_for_its_window_alone() -> None:
    late = Instant(at(12) + 30 * MINUTE)
    assert not SCHEDULE.is_due(at(3), late, 1_000, IDLE_S)
    assert SCHEDULE.is_due(at(0), at(1), 1_000, BUSY_S)
