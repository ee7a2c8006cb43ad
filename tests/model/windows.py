"""windows.py: what happened to a customer, an account or a card, and what aggregates say about it.

Per key and aggregate a plain list of the entries that feed it, oldest first (event time, then journal order). Every
question looks through that list. An entry is one counted transaction and stands in all its lists as the same object, so
that a correction is seen by all of them. Pruning only takes what no question can reach any more (decisions 21);
entries of a window for ever are added to a Fold once they cannot change.
"""
from bisect import bisect_left, bisect_right, insort
from operator import attrgetter

from values import NO_DATA, RANGE, half_even, int64

WINDOW_LOG_EVENTS_MAX = 50000


class Entry:
    """One counted transaction. `amount`, `base` are what is left of it; `alive` says whether windows see it."""

    __slots__ = ("time", "position", "amount", "base", "balance", "currency", "country", "mcc", "touchpoint",
                 "customer", "alive", "whole_amount", "whole_base", "reversed", "posted", "released",
                 "out_of_range", "changes_until")

    def when(self):
        return self.time

    def order(self):
        return self.time, self.position

    def settle(self):
        """amount and base from the whole, less what was reversed; base in proportion, half to even."""
        self.amount = max(0, self.whole_amount - self.reversed)
        if self.whole_base is None or self.whole_amount == 0:
            self.base = self.whole_base
        else:
            self.base = half_even(self.whole_base * self.amount, self.whole_amount)

    def reverse(self, amount):
        """Takes out at most what is left (decisions 16)."""
        self.reversed += min(amount, self.amount)
        self.settle()
        if self.amount == 0:
            self.alive = False

    def release(self):
        self.alive = False
        self.released = True

    def replace(self, amount, base, balance, currency):
        """A later `posted` (decisions 14, 17): its values, less what was reversed."""
        if currency != self.currency:
            self.reversed = self.reversed_in(amount, base)
            self.currency = currency
        self.out_of_range = base is RANGE
        self.whole_amount, self.whole_base, self.balance = amount, None if base in (NO_DATA, RANGE) else base, balance
        self.settle()
        self.alive = self.amount > 0 or (self.reversed == 0 and (self.alive or self.released))
        self.posted, self.released = True, False

    def reversed_in(self, amount, base):
        """What was reversed, as its share of a new amount in another currency: through base, else in proportion."""
        if self.reversed == 0:
            return 0
        if self.whole_amount == 0:
            return amount
        if self.whole_base is None or base in (NO_DATA, RANGE) or base <= 0:
            return half_even(amount * self.reversed, self.whole_amount)
        return half_even(half_even(self.whole_base * self.reversed, self.whole_amount) * amount, base)


def value_of(entry, field):
    """None: the entry has no such value. RANGE: its base does not fit an int, and nothing over it is a number [22]."""
    return RANGE if field == "base" and entry.out_of_range else getattr(entry, field)


class Fold:
    """What is left of entries that cannot change any more, for one aggregate without `within`."""

    def __init__(self):
        self.count = 0
        self.values = 0  # entries that had the field
        self.sum = 0
        self.min = self.max = None
        self.last = None  # (order, value)
        self.out_of_range = False

    def add(self, entry, field):
        self.count += 1
        value = value_of(entry, field) if field else None
        if self.last is None or entry.order() > self.last[0]:
            self.last = (entry.order(), value)
        if value is RANGE:
            self.out_of_range = True
        elif value is not None:
            self.values += 1
            self.sum += value
            self.min = value if self.min is None else min(self.min, value)
            self.max = value if self.max is None else max(self.max, value)


class Log:
    """The entries of one key that feed one aggregate."""

    def __init__(self):
        self.entries = []
        self.fold = Fold()
        self.prune_at = 64


class Windows:
    def __init__(self):
        self.logs = {}  # (per, key) -> {identity of an aggregate: Log}
        self.since = {}  # identity -> time of activation; None = full from the first event
        self.aggregates = {}  # identity -> Aggregate
        self.lateness = 0

    def activate(self, catalogue, now, always_full):
        since = {}
        for each in catalogue.aggregates.values():
            since[each.identity] = self.since.get(each.identity, None if always_full else now)
        for logs in self.logs.values():
            for identity in [gone for gone in logs if gone not in since]:
                del logs[identity]
        self.since = since
        self.aggregates = {each.identity: each for each in catalogue.aggregates.values()}
        self.lateness = catalogue.lateness

    # ---- in ----

    def enter(self, keys, feeds, entry, now):
        """keys: per -> key or None; feeds: the aggregates that take the entry."""
        for aggregate in feeds:
            per_key = keys[aggregate.per]
            since = self.since[aggregate.identity]
            if per_key is None or (since is not None and entry.time < since):
                continue  # [20] what is older than the activation never was
            logs = self.logs.setdefault(per_key, {})
            if aggregate.identity not in logs:
                logs[aggregate.identity] = Log()
            log = logs[aggregate.identity]
            if not log.entries or log.entries[-1].time <= entry.time:
                log.entries.append(entry)
            else:
                insort(log.entries, entry, key=Entry.order)
            if len(log.entries) > log.prune_at:
                self.prune(log, aggregate, now)

    def prune(self, log, aggregate, now):
        """No question is as of a time before now - lateness: what lies before that and is in no window goes."""
        if aggregate.within is not None:
            log.entries = [entry for entry in log.entries if entry.time > now - self.lateness - aggregate.within]
        else:
            kept = []
            for entry in log.entries:
                if entry.time >= now - self.lateness or now <= entry.changes_until:
                    kept.append(entry)
                elif entry.alive:
                    log.fold.add(entry, aggregate.field)
            log.entries = kept
        log.prune_at = max(64, 2 * len(log.entries))

    def forget(self, per_key):
        self.logs.pop(per_key, None)

    # ---- out ----

    def read(self, aggregate, per_key, time, position, entered):
        """The aggregate as of `time`. `entered`: the event that asks is itself an entry, at `position`."""
        since = self.since[aggregate.identity]
        if per_key is None:
            return NO_DATA  # the event does not have that key (decisions 6)
        if aggregate.within is not None and since is not None and time - aggregate.within < since:
            return NO_DATA  # not full yet (decisions 20)
        log = self.logs.get(per_key, {}).get(aggregate.identity, EMPTY)
        if len(log.entries) > WINDOW_LOG_EVENTS_MAX:
            return NO_DATA
        inside = self.inside(log.entries, aggregate, time, position, entered)
        if aggregate.function in ("sum", "mean", "min", "max") and self.spoilt(inside, log.fold, aggregate.field):
            return RANGE
        return getattr(self, aggregate.function)(inside, log.fold, aggregate.field)

    @staticmethod
    def inside(entries, aggregate, time, position, entered):
        """The entries of (time - within, time], oldest first."""
        first = 0
        if aggregate.within is not None:
            first = bisect_right(entries, time - aggregate.within, key=Entry.when)
        if aggregate.before and entered:
            end = bisect_left(entries, (time, position), key=Entry.order)
        else:
            end = bisect_right(entries, time, key=Entry.when)
        return [entry for entry in entries[first:end] if entry.alive]

    @staticmethod
    def spoilt(inside, fold, field):
        return fold.out_of_range or any(value_of(entry, field) is RANGE for entry in inside)

    @staticmethod
    def count(inside, fold, field):
        return fold.count + len(inside)

    @staticmethod
    def values(inside, field):
        return [value for value in map(attrgetter(field), inside) if value is not None]

    def sum(self, inside, fold, field):
        return int64(fold.sum + sum(self.values(inside, field)))

    def mean(self, inside, fold, field):
        values = self.values(inside, field)
        count = fold.values + len(values)
        return float(fold.sum + sum(values)) / float(count) if count else NO_DATA

    def min(self, inside, fold, field):
        values = self.values(inside, field) + ([fold.min] if fold.values else [])
        return min(values) if values else NO_DATA

    def max(self, inside, fold, field):
        values = self.values(inside, field) + ([fold.max] if fold.values else [])
        return max(values) if values else NO_DATA

    @staticmethod
    def last(inside, fold, field):
        newest = fold.last
        if inside and (newest is None or inside[-1].order() > newest[0]):
            newest = (inside[-1].order(), value_of(inside[-1], field))
        return NO_DATA if newest is None or newest[1] is None else newest[1]


EMPTY = Log()
