"""Dates of the years 1900 to 2099, written in twenty ways, with what ISO 8601 makes of them.

Every way of writing has one reading: with dots and with words the day stands before the month, with slashes the year
comes first or else the month does (as in the United States). None needs a calendar: a weekday says nothing new.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import lru_cache

from attndsl.data.columns import Table
from attndsl.data.counter import integers

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
MOST = 500_000
_PURPOSE = 0x64617465
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth", "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth", "twenty-sixth",
    "twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first",
)  # fmt: skip


def _month(d: datetime.date) -> str:
    return _MONTHS[d.month - 1]


def _short(d: datetime.date) -> str:
    return _SHORT[d.month - 1]


def _weekday(d: datetime.date) -> str:
    return _DAYS[d.weekday()]


def _nth(d: datetime.date) -> str:
    """`1st`, `2nd`, `11th`."""
    ending = "th" if 10 < d.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(d.day % 10, "th")
    return f"{d.day}{ending}"


FORMS: tuple[Callable[[datetime.date], str], ...] = (
    lambda d: f"{d.day} {_month(d)} {d.year}",  # 3 March 1998
    lambda d: f"{d.day:02} {_short(d)} {d.year}",  # 03 Mar 1998
    lambda d: f"{_month(d)} {d.day}, {d.year}",  # March 3, 1998
    lambda d: f"{_short(d)}. {d.day}, {d.year}",  # Mar. 3, 1998
    lambda d: f"{_month(d)} {_nth(d)}, {d.year}",  # March 3rd, 1998
    lambda d: f"{_nth(d)} {_month(d)} {d.year}",  # 3rd March 1998
    lambda d: f"the {_nth(d)} of {_month(d)}, {d.year}",  # the 3rd of March, 1998
    lambda d: f"the {_ORDINALS[d.day - 1]} of {_month(d)} {d.year}",  # the third of March 1998
    lambda d: f"{_weekday(d)}, {d.day} {_month(d)} {d.year}",  # Tuesday, 3 March 1998
    lambda d: f"{_weekday(d)[:3]}, {d.day:02} {_short(d)} {d.year}",  # Tue, 03 Mar 1998
    lambda d: f"{_weekday(d)}, {_month(d)} {d.day}, {d.year}",  # Tuesday, March 3, 1998
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",  # 03.03.1998
    lambda d: f"{d.day}. {d.month}. {d.year}",  # 3. 3. 1998
    lambda d: f"{d.year}/{d.month}/{d.day}",  # 1998/3/3
    lambda d: f"{d.month:02}/{d.day:02}/{d.year}",  # 03/03/1998
    lambda d: f"{d.day}.{_ROMAN[d.month - 1]}.{d.year}",  # 3.III.1998
    lambda d: f"{d.year}{d.month:02}{d.day:02}",  # 19980303
    lambda d: f"{d.day:02}-{_short(d).upper()}-{d.year}",  # 03-MAR-1998
    lambda d: f"{d.year} {_month(d)} {d.day}",  # 1998 March 3
    lambda d: f"day {d.day} of month {d.month}, {d.year}",  # day 3 of month 3, 1998
)


@lru_cache(maxsize=2)
def dates_table(count: int) -> Table:
    """`count` different rows, drawn by a counter (the same on every machine): columns `source` (a date in one of the
    ways), `target` (`1998-03-03`) and `group`, the date: all that is written of a date is held out together, so a date
    that is held out was never seen in any form."""
    days = (LAST - FIRST).days + 1
    found: dict[str, str] = {}
    block = 0
    while len(found) < count:
        drawn = integers(_PURPOSE, block, 0, below=days, count=count).tolist()
        forms = integers(_PURPOSE, block, 1, below=len(FORMS), count=count).tolist()
        for day, form in zip(drawn, forms, strict=True):
            date = FIRST + datetime.timedelta(days=day)
            if len(found) < count:
                found[FORMS[form](date)] = date.isoformat()
        block += 1
    targets = list(found.values())
    return Table({"source": list(found), "target": targets, "group": targets}, "`example:dates`")
