#!/usr/bin/python3
"""traffic.py: seeded random traffic for comparing the engine with the model.

    traffic.py --seed 1 --events 100000 --sources 3 --out DIR [--customers 40] [--clock event|wall] [--hard]

Writes DIR/bank.ndjson (for `moment import`), DIR/source-K.frames (raw frames back to back, sequences from 1),
DIR/sources.json ([{"name", "stream", "file", "frames"}]) and DIR/order.bin (a byte a frame: K, in the order in which they
were made; a test that sends each source as fast as it can makes most events late for the event clock). Events carry times around a virtual clock that starts on
2026-01-01T00:00Z and moves 40 s an event or transaction; what is "future" moves the clock with --clock=event and only then.
The traffic is meant for tests/model/catalogue; for catalogue_aged add --kinds large,watch_account. Few customers, so that keys collide a lot. --hard adds what
decisions.md leaves in the dark (see READINGS in model.py): released after posted, a currency that changes after a
reversal, sums that overflow. --rich is for the random catalogues of constructs.py: more body fields, customers in many zones, and a
clock that starts where days have 23 or 25 hours, months end and leap days are.
"""
import argparse
import heapq
import json
import os
import random
from datetime import datetime

import catalogue as language
import msgpack
from model import HEADER, INT64_MIN, KIND_EVENT, KIND_MANAGE, KIND_PROFILE, KIND_SUBSCRIBE

SECOND = 10**9
HOUR = 3600 * SECOND
START = 1767225600 * SECOND
STEP = 40 * SECOND
HERE = os.path.dirname(os.path.abspath(__file__))

EUR, USD, JPY, KWD, GBP = 978, 840, 392, 414, 826  # GBP has no rate
PURCHASE, DECLINED, REFUND, REVERSAL, INCREMENTAL, ATM = 1, 2, 3, 4, 5, 6
OUT, IN, SALARY, FEE, LOGIN, INQUIRY = 17, 18, 19, 300, 4000, 65535
CODES = {EUR: "EUR", USD: "USD", JPY: "JPY", KWD: "KWD", GBP: "GBP"}
MERCHANTS = ["Café Ñandú", "Bar", "Bäckerei Müller am langen Platz", "Shop 24", "東京", "O'Neill {x}", ""]
ROLES = ["owner", "co_owner", "authorised", "guardian", "delegate"]


ZONES = ["Europe/Madrid", "America/Bogota", "Asia/Kathmandu", "Atlantic/Azores", "Asia/Beirut", "America/Havana", "Pacific/Apia",
         "Australia/Lord_Howe", "Mars/Olympus", "UTC"]
# Before: an ordinary day, summer time in Europe, its end, a leap day, the turn of the year, summer time in Cuba.
STARTS = ["2026-01-01T00:00:00", "2026-03-28T15:00:00", "2026-10-24T18:00:00", "2028-02-28T10:00:00", "2026-12-30T20:00:00", "2026-03-07T12:00:00"]
PAYEES = ["Ana", "Björn", "Chloé", "Dae", "Emre", "Fay", "Goran"]


class Bank:
    """Customers 1 to n (some without a record), accounts 1001 on with one to four holders and up to three cards."""

    def __init__(self, rng, customers, kinds, subscribed, rich=False):
        self.rng = rng
        self.rich = rich
        self.kinds = kinds
        self.subscribed = subscribed
        self.customers = list(range(1, customers + 1))
        self.unknown = [customers + 1, customers + 2, customers + 3, customers + 4]
        self.accounts = {}
        self.lines = [self.customer_line(number) for number in self.customers]
        for number in range(1001, 1001 + customers):
            self.lines.append(self.account_line(number))

    def customer_line(self, number):
        rng = self.rng
        line = {"customer": number, "set": random_profile(rng, self.rich)}
        subscriptions = [random_subscription(rng, kind, self.rich) for kind in self.kinds if rng.random() < self.subscribed * (0.15 if kind.startswith("watch") else 0.35)]
        if "large" in self.kinds and rng.random() < self.subscribed * 0.3:
            subscriptions.append(dict(random_subscription(rng, "large", self.rich), id="second"))
        if subscriptions:
            line["subscriptions"] = subscriptions
        return line

    def account_line(self, number):
        rng = self.rng
        everybody = self.customers + self.unknown[:1]
        holders = rng.sample(everybody, rng.choice([1, 1, 1, 2, 2, 3, 4]))
        roles = ["owner"] + [rng.choice(ROLES[1:]) for _ in holders[1:]]
        cards = [f"card-{number}-{i}" for i in range(rng.choice([0, 1, 1, 2, 3]))]
        currency = rng.choice([EUR] * 6 + [USD, JPY, KWD, GBP])
        self.accounts[number] = (holders, cards, currency)
        set_ = {"holders": [{"customer": c, "role": r} for c, r in zip(holders, roles)], "currency": CODES[currency]}
        set_["cards"] = [{"card": card, "customer": rng.choice(holders)} for card in cards]
        if rng.random() < 0.5:
            set_["alias"] = rng.choice(["Haushalt", "día a día", "Savings"])
        return {"account": number, "set": set_}


KINDS = ["large", "low_balance", "income", "quiet_period", "by_others", "settled_mine", "gone", "watch_customer",
         "watch_account", "watch_card"]


def random_profile(rng, rich=False):
    profile = {}
    if rich and rng.random() < 0.7:
        profile["zone"] = rng.choice(ZONES)
    if rng.random() < 0.8:
        profile["language"] = rng.choice(["en", "es", "es-CO", "es-MX", "de", "de-AT", "fr", "xx"])
    if rng.random() < 0.7:
        profile["home_country"] = rng.choice([724, 276, 392])
    if rng.random() < 0.5:
        profile["limit"] = rng.choice(["80.50 EUR", "12000 JPY", "30.000 KWD", "99.99 USD", "70.00 GBP"])
    if rng.random() < 0.5:
        profile["vip"] = rng.random() < 0.5
    if rng.random() < 0.5:
        profile["factor"] = rng.choice([0.5, 1.25, 3.0, 1e-3])
    if rng.random() < 0.3:
        profile["segment"] = rng.choice(["a", "bé"])
    if rng.random() < 0.3:
        profile["low"] = rng.choice([-500, 0, 2500, 1 << 40])
    return profile


def random_params(rng, kind, rich=False):
    params = {}
    if rich:
        return rng.choice([{}, {"limit": "33.50 EUR"}, {"threshold": "5 USD", "often": False}, {"limit": "1 GBP"}])
    if kind == "large":
        params["threshold"] = rng.choice(["1 EUR", "20.50 EUR", "90 USD", "5000 JPY", "15.125 KWD", "40 GBP"][:5])
    if kind == "low_balance":
        params["floor"] = rng.choice([0, -100, 9999])
        if rng.random() < 0.6:
            params["below"] = rng.choice(["120 EUR", "20000 JPY", "88 GBP", "10.500 KWD"])
    if kind == "income":
        params.update(rng.choice([{}, {"least": "33.33 EUR"}, {"often": False, "from": "AC"}, {"ratio": 0.125}]))
    if kind == "quiet_period" and rng.random() < 0.7:
        params["pause"] = rng.choice(["30s", "20m", "4h"])
    return params


def random_subscription(rng, kind, rich=False):
    subscription = {"kind": kind}
    params = random_params(rng, kind, rich)
    if params:
        subscription["params"] = params
    if rng.random() < 0.1:
        subscription["on"] = False
    if rng.random() < 0.2:
        subscription["accounts"] = rng.sample(range(1001, 1030), rng.choice([1, 3]))
    if rng.random() < 0.3:
        subscription["channels"] = rng.choice([["email"], ["fax", "sms"], ["sms", "push"], ["fax"]])
    return subscription


class Source:
    def __init__(self, rng, index):
        self.name = f"core-{index}" if index > 1 else "core"
        self.stream = rng.randbytes(16)
        self.number = index
        self.frames = []
        self.order = []  # shared: whose frame comes next

    def send(self, kind, type_=0, body=None, raw_body=None, **fields):
        data = raw_body if raw_body is not None else msgpack.encode(body or {})
        get = lambda name: fields.get(name, 0)
        header = HEADER.pack(64 + len(data), 1, kind, type_, len(self.frames) + 1, get("customer"), get("account"),
                             get("time"), get("amount"), get("balance"), get("currency"), get("country"), get("mcc"),
                             get("touchpoint"), get("flags"))
        self.frames.append(header + data)
        self.order.append(self.number)


class Traffic:
    def __init__(self, seed, customers, sources, clock, hard, kinds, subscribed=1.0, leaps=False, rich=False):
        self.leaps = leaps
        self.rich = rich
        self.rng = random.Random(seed)
        self.bank = Bank(self.rng, customers, kinds, subscribed, rich)
        self.sources = [Source(self.rng, i + 1) for i in range(sources)]
        self.order = []  # number of a source per frame, as the frames were made
        for source in self.sources:
            source.order = self.order
        self.clock = clock
        self.hard = hard
        self.now = START
        if rich:
            self.now = int(datetime.fromisoformat(self.rng.choice(STARTS) + "+00:00").timestamp()) * SECOND
        self.pending = []  # (due, number, function): what a transaction still has to do
        self.number = 0
        self.refs = 0

    def run(self, events):
        sent = lambda: sum(len(source.frames) for source in self.sources)
        while sent() < events:
            while self.pending and self.pending[0][0] <= self.now:
                heapq.heappop(self.pending)[2]()
            self.something()
            self.now += int(STEP * self.rng.choice([0, 0, 0.2, 1, 1, 2, 3]))

    def later(self, least, most, function):
        self.number += 1
        heapq.heappush(self.pending, (self.now + self.rng.randrange(least, most), self.number, function))

    def something(self):
        roll = self.rng.random()
        if roll < 0.55:
            self.plain_event()
        elif roll < 0.90:
            self.transaction()
        elif roll < 0.935:
            self.change_profile()
        elif roll < 0.97:
            self.change_subscription()
        elif roll < 0.99:
            self.bad_event()
        else:
            self.anybody().send(KIND_MANAGE, body={"op": self.rng.choice(["list", "merge"])})

    def anybody(self):
        return self.rng.choice(self.sources)

    # ---- events ----

    def who(self):
        """customer, account, card, currency: mostly a holder with the account's card."""
        rng = self.rng
        account = rng.choice(list(self.bank.accounts))
        holders, cards, currency = self.bank.accounts[account]
        customer = rng.choice(holders)
        roll = rng.random()
        if roll < 0.05:
            customer = rng.choice(self.bank.unknown)
        elif roll < 0.08:
            customer = rng.choice(self.bank.customers)  # most often no holder
        elif roll < 0.10:
            customer = 0
        if rng.random() < 0.06:
            account = rng.choice([0, 0, 5000])
        if rng.random() < 0.04:
            currency = rng.choice([EUR, USD, JPY, KWD, GBP])
        return customer, account, rng.choice(cards) if cards else None, currency

    def amount(self):
        rng = self.rng
        return rng.choice([rng.randrange(1, 2000), rng.randrange(1, 20000), rng.randrange(1, 200000), 1000, 5000, 0,
                           rng.randrange(1, 300) * 1000])

    def time(self):
        """Event time around now: ties, a little late, late, too late, in the future."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.75:
            return self.now - rng.choice([0, 0, 1, SECOND, 40 * SECOND])
        if roll < 0.90:
            return self.now // (60 * SECOND) * 60 * SECOND  # the full minute: many ties
        if roll < 0.97:
            return self.now - rng.randrange(20 * HOUR)
        if roll < 0.985:
            return self.now - rng.randrange(25 * HOUR, 90 * HOUR)
        return self.now + rng.choice([60, 200, 299] if self.clock == "event" else [60, 290, 400, 90000]) * SECOND

    def fields(self, who, amount=None):
        rng = self.rng
        customer, account, card, currency = who
        return {
            "customer": customer, "account": account, "currency": currency, "time": self.time(),
            "amount": self.amount() if amount is None else amount,
            "balance": rng.choice([INT64_MIN, rng.randrange(-5000, 20000), rng.randrange(-50000, 10**6)]),
            "country": rng.choice([0, 724, 724, 276, 392]), "mcc": rng.choice([0, 5411, 7995]),
            "touchpoint": rng.choice([0, 1, 2, 3, 5, 6]),
            "flags": rng.choice([0, 0, 0, 0, 4]),
        }

    def body(self, type_, card):
        rng = self.rng
        body = {}
        if card and type_ in (PURCHASE, DECLINED, REFUND, REVERSAL, INCREMENTAL, ATM) and rng.random() < 0.9:
            body["card"] = card
        if type_ in (PURCHASE, DECLINED, REFUND, INCREMENTAL) and rng.random() < 0.8:
            body["merchant"] = rng.choice(MERCHANTS)
        if type_ in (PURCHASE, ATM) and rng.random() < 0.5:
            body["lat"] = rng.choice([41.5, -3.25, 40.0, 12])
        if type_ == PURCHASE and rng.random() < 0.5:
            body["contactless"] = rng.random() < 0.5
        if type_ in (DECLINED, FEE) and rng.random() < 0.8:
            body["reason"] = rng.choice(["funds", "pin", "límite"])
        if type_ == OUT and rng.random() < 0.8:
            body["payee"] = rng.choice(["Ana", "Björn"])
        if type_ == IN and rng.random() < 0.8:
            body["payer"] = rng.choice(["ACME", "Bea"])
        if type_ == LOGIN and rng.random() < 0.8:
            body["device"] = rng.choice(["known", "new"])
        if self.rich:
            self.enrich(body, type_)
        if rng.random() < 0.1:
            body["original_amount"], body["original_currency"] = rng.randrange(10**6), rng.choice([840, 392])
        if rng.random() < 0.1:
            body["nobody_knows_me"] = rng.choice([None, [1, {"a": "b"}], b"bin", -1, 1 << 63, 2.5, True])
        return body

    def enrich(self, body, type_):
        rng = self.rng
        if type_ in (PURCHASE, ATM) and rng.random() < 0.7:
            body["lat"], body["lon"] = rng.choice([(40.4168, -3.7038), (41.3874, 2.1686), (-33.45, -70.66), (51.5, -0.1), (90.0, 0.0), (0, 180), (12.5, -190.25)])
            if rng.random() < 0.02:
                body["lat"] = 90.5
        if type_ == PURCHASE:
            if rng.random() < 0.6:
                body["items"] = rng.choice([0, 1, 2, 3, 3, 7, -5, 12])
            if rng.random() < 0.3:
                body["slip"] = self.now - rng.choice([0, HOUR, 30 * HOUR])
        if type_ == OUT and rng.random() < 0.9:
            body["payee"] = rng.choice(PAYEES)
        if type_ == IN and rng.random() < 0.9:
            body["payer"] = rng.choice(PAYEES[3:] + ["ACME", "Bar"])
        if type_ == LOGIN and rng.random() < 0.9:
            body["device"] = rng.choice(["known", "new", "phone", "tablet", "pc"])

    def event(self, type_, who, body=None, amount=None, **more):
        fields = self.fields(who, amount)
        fields.update(more)
        if self.leaps and type_ in (FEE, INQUIRY) and self.rng.random() < 0.2:
            fields.update(time=self.now + self.rng.randrange(HOUR, 100 * HOUR), flags=0)
        self.anybody().send(KIND_EVENT, type_, {**self.body(type_, who[2]), **(body or {})}, **fields)

    def plain_event(self):
        rng = self.rng
        type_ = rng.choice([PURCHASE] * 5 + [DECLINED, REFUND, ATM, ATM, OUT, OUT, IN, SALARY, FEE, LOGIN, LOGIN, INQUIRY])
        body, more = {}, {}
        roll = rng.random()
        if roll < 0.06:
            more["flags"] = 1  # a request without a reference: fraud and a verdict
        elif roll < 0.08:
            more["flags"], body["stage"] = 1, "posted"
        elif roll < 0.09:
            body["stage"] = "released"
        who = self.who()
        for _ in range(rng.choice([1] * 12 + [2, 4])):  # now and then a burst
            self.event(type_, who, body, **more)
        if self.hard and rng.random() < 0.001:
            self.event(type_, (13,) + who[1:], body, amount=(1 << 63) - 1 - rng.randrange(5))

    # ---- one purchase is several events ----

    def transaction(self):
        """request? -> authorised? -> posted? -> reversals, releases, repeats, in nearly the right order."""
        rng = self.rng
        self.refs += 1
        ref, who, amount = f"r{self.refs}", self.who(), self.amount()
        type_ = rng.choice([PURCHASE, PURCHASE, PURCHASE, ATM, OUT])
        at = 1
        if rng.random() < 0.5:
            flags = rng.choice([0, 1, 1])
            self.stage(at, type_, who, ref, "request", amount, flags)
            at += 2 * SECOND
        authorised = rng.random() < 0.7
        if authorised:
            self.stage(at, type_, who, ref, "authorised", amount, rng.choice([0, 0, 0, 1]))
            at += rng.choice([5 * SECOND, HOUR])
        if authorised and rng.random() < 0.2:
            self.stage(at, INCREMENTAL, who, ref, "authorised", amount * 2, 0)
        ending = rng.random()
        if authorised and ending < 0.12:
            self.stage(at, type_, who, ref, "released", 0, 0)
            if rng.random() < 0.4:
                self.stage(at + HOUR, type_, who, ref, "posted", amount, 0)
        elif ending < 0.75:
            self.posted(at, type_, who, ref, amount, authorised)
        elif ending < 0.85:
            self.reversals(at, who, ref, amount)
            self.posted(at + 4 * HOUR, type_, who, ref, amount, False)

    def posted(self, at, type_, who, ref, amount, may_change):
        rng = self.rng
        final = amount if rng.random() < 0.6 else max(0, amount + rng.randrange(-3000, 5000))
        if may_change and rng.random() < 0.06:
            who = who[:3] + (rng.choice([EUR, USD, JPY, KWD, GBP]),)
        self.stage(at, type_, who, ref, "posted", final, 0)
        if rng.random() < 0.15:
            self.stage(at + SECOND, FEE, who, ref, "posted", final + 100, 0)
        if rng.random() < 0.02:
            for extra in (DECLINED, REFUND, REVERSAL, SALARY, LOGIN, OUT, IN):  # too many parts
                self.stage(at + 9 * SECOND, extra, who, ref, "posted", final, 0)
        if rng.random() < 0.35:
            self.reversals(at + 2 * HOUR, who, ref, final)
        if self.hard and rng.random() < 0.1:
            self.stage(at + HOUR, type_, who, ref, "released", 0, 0)

    def reversals(self, at, who, ref, amount):
        rng = self.rng
        for part in rng.choice([[1.0], [0.25, 0.25, 0.25], [0.5, 0.9], [0.0, 2.0], [1.0, 0.1]]):
            body = {"of": ref}
            if rng.random() < 0.6:
                self.refs += 1
                body["ref"] = f"r{self.refs}"
            if rng.random() < 0.03:
                body["of"] = "nothing"
            who_now = who if self.hard or rng.random() < 0.97 else who[:3] + (GBP,)
            self.send_later(at, REVERSAL, who_now, body, int(amount * part), 2)
            at += HOUR // 2
        if self.hard and rng.random() < 0.1:
            self.stage(at, PURCHASE, who[:3] + (USD,), ref, "posted", amount, 0)

    def stage(self, at, type_, who, ref, stage, amount, flags):
        body = {"ref": ref, "stage": stage}
        if (stage == "request" and flags == 1) or (stage == "posted" and flags == 0 and self.rng.random() < 0.3):
            del body["stage"]  # that is what it is when absent
        self.send_later(at, type_, who, body, amount, flags)

    def send_later(self, at, type_, who, body, amount, flags):
        send = lambda: self.event(type_, who, body, amount=amount, flags=flags)
        self.later(at, at + 10 * SECOND, send)
        if self.rng.random() < 0.08:
            self.later(at, at + HOUR, send)  # again, perhaps from another source
        if self.rng.random() < 0.01:
            self.later(49 * HOUR, 50 * HOUR, send)  # again, when the reference is forgotten

    # ---- what is wrong ----

    def bad_event(self):
        rng = self.rng
        fields = self.fields(self.who())
        if rng.random() < 0.3:
            self.anybody().send(KIND_EVENT, rng.choice([9, 0, 77, 65534]), {"card": "x"}, **fields)
            return
        good = msgpack.encode({"card": "card-1001-0", "merchant": "Bar"})
        raw = rng.choice([
            good[:-1], good + b"\0", b"\x82\xa1a\1\xa1a\2", b"\x81\x01\x01", b"\x81\xa1a\xd4\x01\x00", b"\x90", b"\xc0",
            b"\x81\xa3ref\x05", b"\x81\xa3ref\xa0", b"\x81\xa4card\xa2\xc3\x28", b"\x81\xa5stage\xa3now",
            msgpack.encode({"ref": "r" * 65}), msgpack.encode({"merchant": "m" * 1025}), msgpack.encode({"x": [[[[1]]]]}),
            msgpack.encode({"merchant": 5}), msgpack.encode({"x": [[[1]]]}), msgpack.encode({"ref": "r" * 64, "stage": "posted"}),
            b"\x81\xd9\x01a\xcd\x00\x01", b"\xde\x00\x01\xa1a\xcb\x7f\xf8\0\0\0\0\0\0", b"",
        ])
        flags = rng.choice([0, 0, 1, 2])
        self.anybody().send(KIND_EVENT, PURCHASE, raw_body=raw, **{**fields, "flags": flags})

    # ---- changes ----

    def change_profile(self):
        rng = self.rng
        if rng.random() < 0.25:
            self.change_account()
            return
        body = {"set": random_profile(rng, self.rich)}
        if rng.random() < 0.4:
            body["unset"] = rng.sample(["language", "limit", "vip", "factor"], 2)
            for name in body["unset"]:
                body["set"].pop(name, None)
        roll = rng.random()
        if roll < 0.05:
            body["set"]["shoe_size"] = 43
        elif roll < 0.10:
            body["set"]["vip"] = "yes"
        elif roll < 0.14:
            body["set"]["limit"] = rng.choice(["100", "1.001 EUR", 5, "1 XYZ"])
        elif roll < 0.17:
            body["unset"] = ["nothing"]
        customer = rng.choice(self.bank.customers + self.bank.unknown[1:2])
        self.anybody().send(KIND_PROFILE, body=body, customer=customer)

    def change_account(self):
        rng = self.rng
        account = rng.choice(list(self.bank.accounts))
        line = self.bank.account_line(account)["set"]
        roll = rng.random()
        if roll < 0.5:
            line = {key: line[key] for key in rng.sample(sorted(line), 1)}
        if roll > 0.9:
            line["holders"] = [{"customer": 1, "role": "king"}]
        self.anybody().send(KIND_PROFILE, body={"set": line}, account=account)

    def change_subscription(self):
        rng = self.rng
        kind = rng.choice([kind for kind in KINDS + KINDS[:7] if kind in self.bank.kinds])
        body = random_subscription(rng, kind, self.rich)
        if rng.random() < 0.15:
            body["id"] = rng.choice(["b", "é"]) + kind
        if rng.random() < 0.6:
            body["on"] = rng.random() < 0.35
        roll = rng.random()
        if roll < 0.04:
            body["kind"] = "unheard_of"
        elif roll < 0.08:
            body["params"] = {"threshold": "1 EUR", "speed": 4}
        elif roll < 0.12:
            body = {"kind": "large", "params": {"threshold": rng.choice(["0.99 EUR", "100001 EUR", "1 GBP", 7, "x"])}}
        elif roll < 0.15:
            body["frequency"] = rng.choice(["daily", "now"])
        elif roll < 0.17:
            body["at"] = "09:00"
        customer = rng.choice(self.bank.customers + self.bank.unknown)
        self.anybody().send(KIND_SUBSCRIBE, body=body, customer=customer)


    def in_order(self):
        """(number of the source, frame) as they were made: what a test sends when time should flow."""
        cursors = {source.number: iter(source.frames) for source in self.sources}
        return [(number, next(cursors[number])) for number in self.order]


def make(seed, events, sources, customers=40, clock="event", hard=False, kinds=KINDS, subscribed=1.0, leaps=False, rich=False):
    traffic = Traffic(seed, customers, sources, clock, hard, kinds, subscribed, leaps, rich)
    traffic.run(events)
    return traffic


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events", type=int, default=100000, help="frames of all sources together")
    parser.add_argument("--sources", type=int, default=3)
    parser.add_argument("--customers", type=int, default=40)
    parser.add_argument("--clock", choices=["event", "wall"], default="event")
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--kinds", default=",".join(KINDS), help="subscription kinds that the catalogue has")
    parser.add_argument("--subscribed", type=float, default=1.0, help="this part of the usual subscriptions")
    parser.add_argument("--leaps", action="store_true", help="fees and inquiries days ahead: for a catalogue in which they move no clock")
    parser.add_argument("--rich", action="store_true")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    traffic = make(options.seed, options.events, options.sources, options.customers, options.clock, options.hard,
                   options.kinds.split(","), options.subscribed, options.leaps, options.rich)
    with open(os.path.join(options.out, "bank.ndjson"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in traffic.bank.lines)
    listing = []
    for i, source in enumerate(traffic.sources, 1):
        name = f"source-{i}.frames"
        with open(os.path.join(options.out, name), "wb") as file:
            file.write(b"".join(source.frames))
        listing.append({"name": source.name, "stream": source.stream.hex(), "file": name, "frames": len(source.frames)})
    with open(os.path.join(options.out, "sources.json"), "w", encoding="utf-8") as file:
        json.dump(listing, file, indent=1)
    with open(os.path.join(options.out, "order.bin"), "wb") as file:
        file.write(bytes(traffic.order))
    print(json.dumps({"seed": options.seed, "frames": sum(len(s.frames) for s in traffic.sources)}))


if __name__ == "__main__":
    main()
