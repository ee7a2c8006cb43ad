#!/usr/bin/env python3
"""bank20.py: the workload bank-20, made here from its definition and run through the slow model.

    bank20.py [--customers N] [--events N] [--at 1000,5000] [--plain]

Prints, at each number of events of --at and at the end, one JSON object a line: the messages of each of the 20 rules, their total
and the digest d = (d * 31 + seq * 20 + rule) mod 2^32 over the messages by (seq, rule). --plain leaves the model out and has the
rules evaluated by plain() below, a dozen lines a rule, which is the second opinion that the tests compare with.

The workload: mulberry32 with seed 20260101, uniform numbers in [0, 1) as doubles; customers first, then events, from one sequence
of numbers. Everything is a function of (customers, events drawn so far), so a longer run begins with the shorter one.
"""
import argparse
import json
import os
import sys
import time
from array import array
from collections import defaultdict, deque
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20260101
START_MS = 1767225600000
HOT_CUSTOMERS = 64
RULES = 20

# Event types; the code on the wire is the place in this list, from 1 on.
TYPES = ("card.purchase card.declined card.refund card.blocked atm.withdrawal atm.deposit transfer.in transfer.out transfer.failed "
         "salary loan.instalment loan.missed standing.order direct.debit fee interest login login.failed password.changed "
         "device.added").split()
CODE = {name: number for number, name in enumerate(TYPES, 1)}
# How many in a thousand, in the order of the generator's table.
SHARES = [("card.purchase", 450), ("login", 130), ("transfer.out", 70), ("transfer.in", 60), ("direct.debit", 50), ("atm.withdrawal", 50),
          ("standing.order", 30), ("card.declined", 25), ("login.failed", 25), ("fee", 20), ("salary", 20), ("interest", 15),
          ("card.refund", 15), ("loan.instalment", 12), ("atm.deposit", 8), ("transfer.failed", 5), ("device.added", 5),
          ("password.changed", 5), ("card.blocked", 3), ("loan.missed", 2)]
# What a hot customer does, by the slot's number modulo 4, in a hundred.
HOT_SHARES = [[("card.purchase", 90), ("card.declined", 10)], [("card.purchase", 90), ("login", 10)],
              [("login.failed", 80), ("password.changed", 10), ("transfer.out", 10)],
              [("atm.withdrawal", 40), ("card.declined", 30), ("transfer.out", 20), ("transfer.in", 10)]]
TYPICAL = {"card.purchase": 2500, "card.declined": 5000, "card.refund": 2500, "atm.withdrawal": 10000, "atm.deposit": 20000,
           "transfer.in": 20000, "transfer.out": 15000, "transfer.failed": 15000, "salary": 180000, "loan.instalment": 30000,
           "loan.missed": 30000, "standing.order": 20000, "direct.debit": 6000, "fee": 500, "interest": 100}
CREDIT = {"card.refund", "atm.deposit", "transfer.in", "salary", "interest"}
DEBIT = {"card.purchase", "atm.withdrawal", "transfer.out", "loan.instalment", "standing.order", "direct.debit", "fee"}
CARD = {"card.purchase", "card.declined", "card.refund"}
COUNTRIES = [276, 40, 756, 250, 380, 724, 528, 616, 752, 826, 840, 792]  # DE first
EUR, OTHER_CURRENCIES = 978, [840, 826, 756, 752]
MCC = [5411, 5812, 5541, 5912, 5999, 5311, 4111, 5651, 5732, 7011, 4511, 5942, 7832, 5814, 5200, 5661, 7230, 8011, 4814, 7995]
POS, ATM, BRANCH, APP, WEB, PHONE = 1, 3, 4, 5, 6, 7
THRESHOLDS, LOWS = [5000, 10000, 20000, 50000, 100000], [0, 5000, 10000, 20000, 50000]
CHANNELS = ["push", "sms", "email", "inbox"]
CRITICAL = {4, 5, 9, 10, 11, 12, 14}


class Event(NamedTuple):
    seq: int
    customer: int  # from 0
    type: str
    amount: int
    balance: int
    currency: int
    country: int
    mcc: int
    touchpoint: int
    ms: int


class Customer(NamedTuple):
    threshold: int
    low: int
    home: int
    channel: str
    optin: int  # bit r - 1 is rule r
    salary: int


def spread(shares):
    return [name for name, count in shares for _ in range(count)]


class Workload:
    """The customers, and after them the events, one by one."""

    def __init__(self, customers):
        self.state = SEED
        self.count = customers
        self.homes, self.thresholds, self.lows = array("H"), array("i"), array("i")
        self.channels, self.optins, self.salaries = array("B"), array("i"), array("B")
        self.balances = array("q")
        for _ in range(customers):
            self.make_customer()

    def uniform(self):
        """mulberry32; the shifts and products are of 32 bits."""
        self.state = state = (self.state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = ((state ^ state >> 15) * (state | 1)) & 0xFFFFFFFF
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (mixed | 61)) & 0xFFFFFFFF
        return (mixed ^ mixed >> 14) / 4294967296.0

    def below(self, n):
        return int(self.uniform() * n)

    def pick(self, items):
        return items[int(self.uniform() * len(items))]

    def make_customer(self):
        uniform = self.uniform
        self.homes.append(COUNTRIES[0] if uniform() < 0.6 else self.pick(COUNTRIES))
        self.balances.append(50000 + self.below(500000))
        optin = 0
        for bit in range(RULES):
            if uniform() < 0.6:
                optin |= 1 << bit
        self.optins.append(optin)
        self.thresholds.append(self.pick(THRESHOLDS))
        self.lows.append(self.pick(LOWS))
        self.channels.append(self.below(4))
        self.salaries.append(1 if uniform() < 0.6 else 0)

    def customer(self, number):
        return Customer(self.thresholds[number], self.lows[number], self.homes[number], CHANNELS[self.channels[number]],
                        self.optins[number], self.salaries[number])

    def somebody(self):
        """A power law over ranks; numbers are scattered."""
        x = self.uniform()
        return int(self.count * x * x) * 7919 % self.count

    def events(self, count):
        usual, hot_usual = spread(SHARES), [spread(shares) for shares in HOT_SHARES]
        hot = [self.somebody() for _ in range(HOT_CUSTOMERS)]
        ms = START_MS
        for seq in range(count):
            ms += self.below(346)
            if self.uniform() < 0.1:
                slot = self.below(HOT_CUSTOMERS)
                customer, type_ = hot[slot], self.pick(hot_usual[slot % 4])
                if self.uniform() < 0.02:
                    hot[slot] = self.somebody()
            else:
                customer = self.somebody()
                type_ = self.pick(usual)
            yield self.event(seq, customer, type_, ms)

    def event(self, seq, customer, type_, ms):
        amount = 0
        if type_ in TYPICAL:
            factor = 1 + self.uniform() if type_ == "salary" else 0.3 / (1.01 - self.uniform())
            amount = int(TYPICAL[type_] * factor)
        if type_ in DEBIT and self.balances[customer] - amount < -100000:
            type_, amount = "transfer.in", 300000  # topped up instead
        if type_ in CREDIT:
            self.balances[customer] += amount
        elif type_ in DEBIT:
            self.balances[customer] -= amount
        away = (type_ in CARD or type_ == "atm.withdrawal") and self.uniform() < 0.08
        country = self.pick(COUNTRIES) if away else self.homes[customer]
        currency = EUR if self.uniform() < 0.92 else self.pick(OTHER_CURRENCIES)
        if type_ in CARD:
            touchpoint = POS if self.uniform() < 0.7 else WEB
        else:
            touchpoint = ATM if type_.startswith("atm") else self.pick([APP, WEB, BRANCH, PHONE])
        mcc = self.pick(MCC) if type_ in CARD else 0
        return Event(seq, customer, type_, amount, self.balances[customer], currency, country, mcc, touchpoint, ms)


# ---- the messages, counted ----

class Tally:
    def __init__(self):
        self.counts = [0] * RULES
        self.digest = 0

    def add(self, seq, rules):
        for rule in sorted(rules):
            self.counts[rule - 1] += 1
            self.digest = (self.digest * 31 + seq * 20 + rule) % (1 << 32)

    def result(self):
        return {"total": sum(self.counts), "digest": self.digest, "counts": list(self.counts)}


# ---- the rules in plain Python: the second opinion ----

class Past:
    """What one customer did: (ms, amount) by type, oldest first."""

    def __init__(self):
        self.of = defaultdict(deque)
        self.purchases = self.spent = 0
        self.last_purchase = None  # (ms, country)
        self.last_change = None

    def recent(self, type_, now, span):
        """[amounts of (now - span, now]]; what is older than a day is forgotten."""
        past = self.of[type_]
        while past and past[0][0] <= now - 86400000:
            past.popleft()
        return [amount for ms, amount in past if ms > now - span]


def plain_rules(past, customer, e):
    """The numbers of the rules that hold, opt-in not looked at. `past` has this event in it but for the previous ones."""
    held, minute = set(), 60000
    add = lambda rule, holds: held.add(rule) if holds else None
    if e.type == "card.purchase":
        n, s = past.purchases, past.spent
        add(1, e.amount > customer.threshold)
        add(3, e.country != customer.home)
        add(5, len(past.recent(e.type, e.ms, 10 * minute)) > 5)
        add(8, n >= 3 and e.amount > 50000 and e.amount * n > 3 * s)
        add(12, past.last_purchase and past.last_purchase[1] != e.country and e.ms - past.last_purchase[0] < 60 * minute)
        add(13, e.mcc == 7995 and e.amount > 10000)
        add(18, e.touchpoint == WEB and e.ms // 3600000 % 24 < 5)
        add(19, e.currency != EUR and e.amount > 20000)
    if e.type in DEBIT:
        add(2, e.balance < customer.low)
        add(9, e.balance < 0 and e.balance + e.amount >= 0)
    if e.type == "card.declined":
        add(4, True)
        add(17, len(past.recent(e.type, e.ms, 60 * minute)) > 2)
    if e.type == "transfer.out":
        out, came = sum(past.recent(e.type, e.ms, 1440 * minute)), sum(past.recent("transfer.in", e.ms, 1440 * minute))
        add(11, past.last_change is not None and e.ms - past.last_change < 600000)
        add(15, out > 500000)
        add(20, came > 200000 and out * 10 >= came * 9)
    add(6, e.type == "atm.withdrawal" and sum(past.recent(e.type, e.ms, 1440 * minute)) > 100000)
    add(7, e.type == "salary" and customer.salary == 1 and e.balance > 300000)
    add(10, e.type == "login.failed" and len(past.recent(e.type, e.ms, 5 * minute)) > 3)
    add(14, e.type == "loan.missed")
    add(16, e.type == "transfer.in" and e.amount >= 200000)
    return held


class Plain:
    def __init__(self, workload):
        self.workload = workload
        self.past = defaultdict(Past)

    def event(self, e):
        customer, past = self.workload.customer(e.customer), self.past[e.customer]
        past.of[e.type].append((e.ms, e.amount))
        held = plain_rules(past, customer, e)
        if e.type == "card.purchase":
            past.purchases += 1
            past.spent += e.amount
            past.last_purchase = (e.ms, e.country)
        if e.type in ("password.changed", "device.added"):
            past.last_change = e.ms
        return {rule for rule in held if rule in CRITICAL or customer.optin >> (rule - 1) & 1}


# ---- the same through the model ----

# The 20 rules as a bank writes them. ../shared has a catalogue of the same rules; a test takes that too when it is there.
CATALOGUE = """
bank: { currency: EUR, zone: UTC, country: DE, starts: empty }
profile:
  threshold: { type: int }
  low: { type: int }
  home: { type: int }
  channel: { type: string }
  salary: { type: int }
  optin: { type: int }
groups:
  outgoing: [card.purchase, atm.withdrawal, transfer.out, loan.instalment, standing.order, direct.debit, fee]
aggregates:
  bought_10m: { over: [card.purchase], count: true, within: 10m }
  cash_24h: { over: [atm.withdrawal], sum: amount, mixed: true, within: 1d }
  bought_so_far: { over: [card.purchase], count: true, before: true }
  spent_so_far: { over: [card.purchase], sum: amount, mixed: true, before: true }
  guesses: { over: [login.failed], count: true, within: 5m }
  changed_at: { over: [device.added, password.changed], last: time, before: true }
  bought_where: { over: [card.purchase], last: country, before: true }
  bought_when: { over: [card.purchase], last: time, before: true }
  sent_24h: { over: [transfer.out], sum: amount, mixed: true, within: 1d }
  got_24h: { over: [transfer.in], sum: amount, mixed: true, within: 1d }
  declines: { over: [card.declined], count: true, within: 60m }
critical:
  r04: { events: [card.declined], when: 'true', repeat: every, message: m }
  r05: { events: [card.purchase], when: 'agg.bought_10m >= 6', repeat: every, message: m }
  r09: { events: [outgoing], when: '0 > event.balance && event.balance >= -event.amount', repeat: every, message: m }
  r10: { events: [login.failed], when: 'agg.guesses >= 4', repeat: every, message: m }
  r11: { events: [transfer.out], when: 'event.time < agg.changed_at + duration("600s")', repeat: every, message: m }
  r12: { events: [card.purchase], when: '!(event.country == agg.bought_where) && event.time - duration("60m") < agg.bought_when', repeat: every, message: m }
  r14: { events: [loan.missed], when: 'true', repeat: every, message: m }
subscriptions:
  r01: { events: [card.purchase], when: 'profile.threshold < event.amount', repeat: every, message: m }
  r02: { events: [outgoing], when: 'profile.low > event.balance', repeat: every, message: m }
  r03: { events: [card.purchase], when: '!(event.country == profile.home)', repeat: every, message: m }
  r06: { events: [atm.withdrawal], when: 'agg.cash_24h > 100000', repeat: every, message: m }
  r07: { events: [salary], when: 'event.balance > 300000 && profile.salary != 0', repeat: every, message: m }
  r08: { events: [card.purchase], when: 'event.amount > 50000 && agg.bought_so_far > 2 && event.amount * agg.bought_so_far > agg.spent_so_far * 3', repeat: every, message: m }
  r13: { events: [card.purchase], when: 'event.mcc == mcc.gambling && event.amount > 10000', repeat: every, message: m }
  r15: { events: [transfer.out], when: 'agg.sent_24h > 500000', repeat: every, message: m }
  r16: { events: [transfer.in], when: 'event.amount > 199999', repeat: every, message: m }
  r17: { events: [card.declined], when: 'agg.declines >= 3', repeat: every, message: m }
  r18: { events: [card.purchase], when: 'event.time.getHours() <= 4 && event.touchpoint == touchpoint.web', repeat: every, message: m }
  r19: { events: [card.purchase], when: 'event.amount > 20000 && event.currency != currency.EUR', repeat: every, message: m }
  r20: { events: [transfer.out], when: 'agg.got_24h > 200000 && agg.sent_24h * 10 >= 9 * agg.got_24h', repeat: every, message: m }
messages:
  m: { en: "x" }
"""


def frame_part():
    """What a catalogue of the rules alone leaves to the bench: events, channels, messages r01 to r20."""
    lines = ["events:"] + [f"  {name}: {{ code: {code} }}" for name, code in CODE.items()]
    lines += ["channels: { sms: { max: 160 } }", "messages:"] + [f"  r{rule:02}: {{ en: x }}" for rule in range(1, RULES + 1)]
    return "\n".join(lines)


class ThroughModel:
    """A customer's record is imported when its first event comes: nothing before that could have looked at it."""

    def __init__(self, workload, yaml=CATALOGUE):
        import catalogue
        import model

        self.header, self.workload, self.imported = model.HEADER, workload, set()
        self.kinds = [rule for rule in range(1, RULES + 1) if rule not in CRITICAL]
        self.model = model.Model("event")
        self.model.activate(catalogue.load_text(frame_part(), yaml))
        self.model.source(1, "core", bytes(16))

    def import_customer(self, number):
        customer = self.workload.customer(number)
        on = [{"kind": f"r{rule:02}"} for rule in self.kinds if customer.optin >> (rule - 1) & 1]
        self.model.import_line({"customer": number + 1, "set": customer._asdict(), "subscriptions": on})
        self.imported.add(number)

    def event(self, e):
        if e.customer not in self.imported:
            self.import_customer(e.customer)
        frame = self.header.pack(64, 1, 3, CODE[e.type], e.seq + 1, e.customer + 1, 0, e.ms * 10**6, e.amount, e.balance, e.currency,
                                 e.country, e.mcc, e.touchpoint, 0)
        return {int(message.rule[1:]) for message in self.model.frame(e.seq + 1, 1, frame).messages}


def run(workload, judge, events, at=()):
    """{number of events: result} for each of `at` and the end."""
    tally, results = Tally(), {}
    for e in workload.events(events):
        if e.seq in at:
            results[e.seq] = tally.result()
        rules = judge.event(e)
        if rules:
            tally.add(e.seq, rules)
    results[events] = tally.result()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100000)
    parser.add_argument("--events", type=int, default=100000)
    parser.add_argument("--at", default="1000,5000,10000,20000,50000,100000,200000,300000,500000")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    workload = Workload(options.customers)
    judge = Plain(workload) if options.plain else ThroughModel(workload)
    for events, result in run(workload, judge, options.events, {int(n) for n in options.at.split(",") if n}).items():
        print(json.dumps({"customers": options.customers, "events": events, **result}))
    print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    sys.exit(main())
