"""local_time.py: when a day, a week, a month begins for somebody, as an instant."""
import functools
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

SECOND = 10**9
DAY = 86400


def reading(seconds, zone):
    """What a clock there shows, without its zone."""
    return datetime.fromtimestamp(seconds, timezone.utc).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def start_of(calendar, ns, zone):
    """ns of the latest midnight that began a day, a week (Monday) or a month in `zone` and is not after `ns`. It never goes back
    while time goes on, not even where a clock is put back over midnight."""
    seconds = ns // SECOND
    day = reading(seconds, zone).date() + timedelta(days=1)
    while True:
        if calendar == "week":
            day -= timedelta(days=day.weekday())
        elif calendar == "month":
            day = day.replace(day=1)
        if midnight(day, zone) <= seconds:
            return midnight(day, zone) * SECOND
        day -= timedelta(days=1)


@functools.lru_cache(maxsize=65536)
def midnight(day: date, zone):
    """The first second at which a clock there shows this day or a later one: a midnight that does not exist is the next time that
    does, a doubled one the first (SEMANTICS 5). Clocks jump at most once within the two days that are looked at, or are
    right again between."""
    wanted = datetime(day.year, day.month, day.day)
    around = int(wanted.replace(tzinfo=timezone.utc).timestamp())
    shown = [around - offset for offset in {offset_at(around + shift, zone) for shift in range(-36 * 3600, 36 * 3600, 900)}]
    found = [seconds for seconds in shown if reading(seconds, zone) == wanted]
    if found:
        return min(found)
    before, there = around - 26 * 3600, around + 26 * 3600
    while there - before > 1:
        middle = (before + there) // 2
        before, there = (before, middle) if reading(middle, zone) >= wanted else (middle, there)
    return there


def offset_at(seconds, zone):
    return int(datetime.fromtimestamp(seconds, timezone.utc).astimezone(ZoneInfo(zone)).utcoffset().total_seconds())
