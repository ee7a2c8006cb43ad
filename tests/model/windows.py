"""windows.py: what happened to a key (a customer, an account, a card, a customer and payee), and what aggregates say about it.

Per key and aggregate a plain list of all entries that ever fed it, oldest first (event time, then journal order); nothing is
folded or thrown away but what the meaning forgets. Every question looks through that list. An entry is one counted transaction
and stands in all its lists as the same object, so that a correction is seen by all of them.
"""
import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict

import local_time
from values import NO_DATA, RANGE, half_even, int64

WINDOW_LOG_EVENTS_MAX = 50000
TEXT_BYTES_MAX = 64  # of a string of a body, in `last`


class Entry:
    """One counted transaction. `amount`, `base` are what is left of it; `alive` says whether windows see it."""

    __slots__ = ("time", "position", "amount", "base", "balance", "currency", "country", "mcc", "touchpoint",
                 "customer", "body", "alive", "whole_amount", "whole_base", "reversed", "posted", "released",
                 "out_of_range", "has_ref")

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
    if field.startswith("body."):
        return entry.body.get(field[5:])
    return RANGE if field == "base" and entry.out_of_range else getattr(entry, field)


# ---- what the functions say of the values of the entries inside, oldest first; None where an entry has none ----

def there(values):
    return [value for value in values if value is not None]


def mean(values):
    values = there(values)
    return float(sum(values)) / float(len(values)) if values else NO_DATA


def deviation(values):
    """Of the sample. Two exact integers, each rounded to a double once, one division and one root: so in C."""
    values = there(values)
    n = len(values)
    if n < 2:
        return NO_DATA
    over = n * sum(value * value for value in values) - sum(values) ** 2
    return math.sqrt(float(over) / float(n * (n - 1)))


def last(values):
    """A string that is longer than what is kept is none that can be told."""
    if not values or values[-1] is None:
        return NO_DATA
    return RANGE if isinstance(values[-1], str) and len(values[-1].encode()) > TEXT_BYTES_MAX else values[-1]


FUNCTIONS = {
    "sum": lambda values: int64(sum(there(values))),
    "mean": mean,
    "min": lambda values: min(there(values), default=NO_DATA),
    "max": lambda values: max(there(values), default=NO_DATA),
    "deviation": deviation,
    "distinct": lambda values: len(set(there(values))),
    "last": last,
}


ASK = object()


class Owner:
    """The bounded keys of one owner. What was evicted is known by a time alone: up to it, entries may be missing."""

    def __init__(self):
        self.keys = OrderedDict()  # key -> the time up to which its own entries may be missing, or None; the least recently used first
        self.gone = None  # the same for a key that is not there


def later(*times):
    return max((time for time in times if time is not None), default=None)


class Windows:
    def __init__(self, refs):
        self.refs = refs  # what they remember may still change
        self.logs = {}  # (parts, values) -> {identity of an aggregate: [entries]}
        self.owners = {}  # (parts, values of the parts that are no body fields) -> Owner
        self.since = {}  # identity -> time of activation; None = full from the first event
        self.aggregates = {}  # identity -> Aggregate
        self.lateness = 0
        self.floor = None  # no value as of an earlier time: lateness was shorter then; None = no catalogue yet
        self.keys_max = {}  # parts -> keys of one owner, 0 = any number
        self.counters = Counter()

    def activate(self, catalogue, now, always_full):
        if self.floor is not None and catalogue.lateness > self.lateness:
            self.settle(now)
        since = {}
        for each in catalogue.windowed:
            since[each.identity] = self.since.get(each.identity, None if always_full else now)
        for logs in self.logs.values():
            for identity in [gone for gone in logs if gone not in since]:
                del logs[identity]
        self.since = since
        self.aggregates = {each.identity: each for each in catalogue.windowed}
        if self.floor is not None and catalogue.lateness > self.lateness:
            self.floor = max(self.floor, now - self.lateness)  # what was older could not be asked for, and is not known
        self.floor = self.floor or 0
        self.lateness = catalogue.lateness
        self.keys_max = catalogue.keys

    def settle(self, now):
        """Before lateness grows: what nothing can ask for any more is gone for good."""
        for logs in self.logs.values():
            for identity, entries in logs.items():
                reach = self.aggregates[identity].reach
                entries[:] = [entry for entry in entries if self.held(entry, reach, now) or (reach is None and entry.alive)]

    # ---- in ----

    def enter(self, keys, feeds, entry, now):
        """keys: parts -> key or None; feeds: the aggregates that take the entry. Two of one definition share their entries."""
        for aggregate in {each.identity: each for each in feeds}.values():
            per_key = keys[aggregate.per]
            since = self.since[aggregate.identity]
            if per_key is None or (since is not None and entry.time < since):
                continue  # [20] what is older than the activation never was
            self.use(per_key, now)
            entries = self.logs.setdefault(per_key, {}).setdefault(aggregate.identity, [])
            if not entries or entries[-1].time <= entry.time:
                entries.append(entry)
            else:
                insort(entries, entry, key=Entry.order)

    # ---- bounded keys: the least recently used leaves ----

    @staticmethod
    def owner_of(per_key):
        parts, values = per_key
        return parts, tuple(value for part, value in zip(parts, values) if not part.startswith("body."))

    def use(self, per_key, now):
        """An entry comes to the key. One key more than its owner may have: the least recently used is forgotten."""
        most = self.keys_max[per_key[0]]
        if not most:
            return
        owner = self.owners.setdefault(self.owner_of(per_key), Owner())
        if not self.holds(per_key, now):  # one of which nothing is left is as a new one
            owner.keys.pop(per_key, None)
            while len(owner.keys) >= most:
                self.evict(owner, now)
            owner.keys[per_key] = owner.gone
        owner.keys.move_to_end(per_key)

    def evict(self, owner, now):
        """What is forgotten may be as new as the key's newest entry, and as what no event can ask for any more."""
        oldest, gone = next(iter(owner.keys.items()))
        if self.holds(oldest, now):
            newest = [entries[-1].time for entries in self.logs[oldest].values() if entries]
            owner.gone = later(owner.gone, gone, now - self.lateness, *newest)
            self.counters["KEYS_EVICTED"] += 1
        del owner.keys[oldest]
        self.logs.pop(oldest, None)

    def holds(self, per_key, now):
        """Can anything still ask for an entry of the key? One of which nothing can is as one that never was."""
        for identity, entries in self.logs.get(per_key, {}).items():
            reach = self.aggregates[identity].reach
            if any(self.held(entry, reach, now) or (reach is None and entry.alive) for entry in entries):
                return True
        return False

    def gone(self, per_key, now):
        """None, or a time: entries up to it may have been of this key and are forgotten."""
        owner = self.owners.get(self.owner_of(per_key)) if self.keys_max[per_key[0]] else None
        if owner is None:
            return None
        return owner.keys[per_key] if per_key in owner.keys and self.holds(per_key, now) else owner.gone

    def forget(self, customer):
        """All keys with this customer."""
        mine = lambda parts, values: "customer" in parts and values[parts.index("customer")] == customer
        for per_key in [each for each in self.logs if mine(*each)]:
            del self.logs[per_key]
        for owner in [each for each in self.owners if mine(each[0], each[1])]:
            del self.owners[owner]

    # ---- out ----

    def read(self, aggregate, per_key, time, position, entered, zone="UTC", now=0, gone=ASK):
        """The aggregate as of `time`: a value, or one per field of a record. `entered`: the event that asks is itself an entry,
        at `position`. `gone`: what gone() said before it entered, for a value without the event."""
        result = self.result(aggregate, per_key, time, position, entered, zone, now, gone)
        if aggregate.record and result in (NO_DATA, RANGE):
            return (result,) * len(aggregate.fields)
        return result

    def result(self, aggregate, per_key, time, position, entered, zone, now, gone):
        if per_key is None or time < self.floor:
            return NO_DATA  # the event does not have that key (decisions 6)
        first = self.first_time(aggregate, time, zone)  # the window takes entries with this time and later
        since, gone = self.since[aggregate.identity], self.gone(per_key, now) if gone is ASK else gone
        if first is not None and since is not None and first <= since - (aggregate.calendar is not None):
            return NO_DATA  # not full yet (decisions 20)
        if gone is not None and (first is None or first <= gone) and (since is None or since <= gone):
            return NO_DATA  # what it could hold was forgotten
        if self.overfull(per_key, time):
            return NO_DATA
        entries = self.logs.get(per_key, {}).get(aggregate.identity, [])
        inside = self.inside(entries, aggregate, first, time, position, entered)
        if aggregate.function == "count":
            return len(inside)
        if aggregate.record:
            return tuple(last([value_of(entry, field) for entry in inside[-1:]]) for field in aggregate.fields)
        if aggregate.function == "last":
            inside = inside[-1:]
        values = [value_of(entry, aggregate.field) for entry in inside]
        if aggregate.function != "last" and RANGE in values:
            return RANGE
        return FUNCTIONS[aggregate.function](values)

    @staticmethod
    def first_time(aggregate, time, zone):
        if aggregate.calendar is not None:
            return local_time.start_of(aggregate.calendar, time, zone)
        return None if aggregate.within is None else time - aggregate.within + 1

    def overfull(self, per_key, now):
        """[23] More entries of the key than its log holds, of those that some aggregate may still reach."""
        logs = self.logs.get(per_key, {})
        if sum(map(len, logs.values())) <= WINDOW_LOG_EVENTS_MAX:
            return False
        reached = set()
        for identity, entries in logs.items():
            reach = self.aggregates[identity].reach
            reached.update(id(entry) for entry in entries if self.held(entry, reach, now))
        return len(reached) > WINDOW_LOG_EVENTS_MAX

    def held(self, entry, reach, now):
        if reach is None:
            oldest = self.refs.oldest_position() if entry.has_ref else None
            return entry.time >= now - self.lateness or (oldest is not None and entry.position >= oldest)
        return entry.time > now - self.lateness - reach

    @staticmethod
    def inside(entries, aggregate, first, time, position, entered):
        """The entries of [first, time], oldest first."""
        start = 0 if first is None else bisect_left(entries, first, key=Entry.when)
        if aggregate.before and entered:
            end = bisect_left(entries, (time, position), key=Entry.order)
        else:
            end = bisect_right(entries, time, key=Entry.when)
        return [entry for entry in entries[start:end] if entry.alive]

    # ---- patterns ----

    def completes(self, pattern, per_key, time, position, now):
        """Does the event at (time, position), itself an entry, complete the pattern? Tries every first event, and from it on takes
        the earliest that fits: if any way leads to the event, that one does."""
        if time < self.floor:
            return False  # nothing is known of what was before
        logs = self.logs.get(per_key, {})
        here, gone = (time, position), self.gone(per_key, now)
        known = time - pattern.within if gone is None else max(gone, time - pattern.within)
        older = lambda step: [e for e in logs.get(step.identity, []) if e.alive and known < e.time and e.order() < here]
        if not any(e.order() == here and e.alive for e in logs.get(pattern.steps[-1][0].identity, [])):
            return False
        if self.overfull(per_key, time):
            return False
        wanted = [step for step, times in pattern.steps for _ in range(times)][:-1]
        if not wanted:
            return True
        forbidden = older(pattern.unless) if pattern.unless else []
        for first in older(wanted[0]):
            if any(first.order() < each.order() for each in forbidden):
                continue
            at = first.order()
            for step in wanted[1:]:
                at = next((each.order() for each in older(step) if at is not None and each.order() > at), None)
            if at is not None:
                return True
        return False


