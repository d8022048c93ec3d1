"""Find the months and days that a query names: `in May 2023`, `on 3 June`, `2023-06-03`.

People talk about a day on that day or soon after, so a day matches messages from one day before to
14 days after. A month or a day without a year matches every year.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache

import msgspec

from userkeep.domain.search.analyzer import fold
from userkeep.domain.search.languages import Language
from userkeep.domain.values.times import Instant, to_datetime

BEFORE = timedelta(days=1)
AFTER = timedelta(days=14)

_ISO = re.compile(r"\b(\d{4})-(\d\d)(?:-(\d\d))?\b")
_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.|er|º)?"
_OF = r"(?: (?:of|de|di|den|le))?"
_YEAR = rf"(?:,?{_OF} (\d{{4}}))?"


class NamedDate(msgspec.Struct, frozen=True):
    """A month, or a day of it.

    Attributes:
        text: as the query has it, without case and accents.
        year, day: None where the query does not name them.
    """

    text: str
    year: int | None
    month: int
    day: int | None

    def matches(self, created_at: Instant) -> bool:
        """Whether a message of this time may be meant."""
        moment = to_datetime(created_at)
        if self.day is None:
            return moment.month == self.month and self.year in {None, moment.year}
        near = moment.year  # in January, a day of last December may be meant
        years = (near - 1, near, near + 1) if self.year is None else (self.year,)
        return any(self._is_near(moment.date(), year) for year in years)

    def _is_near(self, created_on: date, year: int) -> bool:
        try:
            day = date(year, self.month, self.day or 1)
            return day - BEFORE <= created_on <= day + AFTER
        except (ValueError, OverflowError):
            return False  # 29 February, in most years; the ends of time


def find_dates(query: str, language: Language) -> list[NamedDate]:
    """Return the months and days that a query names, in no order."""
    text = fold(query)
    found = [*_iso_dates(text), *_dates_with_names(text, language)]
    return [each for each in found if _exists(each)]


def _iso_dates(text: str) -> Iterator[NamedDate]:
    for match in _ISO.finditer(text):
        year, month, day = match.groups()
        yield NamedDate(match[0], int(year), int(month), int(day) if day else None)


def _dates_with_names(text: str, language: Language) -> Iterator[NamedDate]:
    pattern, numbers, ambiguous = _month_names(language)
    if pattern is None:
        return
    for match in pattern.finditer(text):
        day_before, name, day_after, year = match.groups()
        day = day_before or day_after
        if name in ambiguous and not (day or year):
            continue
        yield NamedDate(
            match[0], int(year) if year else None, numbers[name], int(day) if day else None
        )


@cache
def _month_names(
    language: Language,
) -> tuple[re.Pattern[str] | None, dict[str, int], frozenset[str]]:
    numbers = {
        fold(name): number for number, names in enumerate(language.months, 1) for name in names
    }
    if not numbers:
        return None, {}, frozenset()
    names = "|".join(sorted(numbers, key=len, reverse=True))
    pattern = rf"\b(?:{_DAY}{_OF} )?({names})\b\.?(?: (?:the )?{_DAY}(?!\d))?{_YEAR}(?!\d)"
    return re.compile(pattern), numbers, frozenset(map(fold, language.ambiguous_months))


def _exists(named: NamedDate) -> bool:
    try:
        datetime(named.year or 2000, named.month, named.day or 1)
    except ValueError:
        return False
    return True
