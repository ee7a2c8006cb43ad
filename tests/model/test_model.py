#!/usr/bin/python3
"""test_model.py: hand-computed cases for every numbered line of docs/decisions.md.

They test the model, and they guard the specification: an expected value stands here because a person worked it
out from the text, not because the model gave it. Ends with `N passed, N failed`. Names are claims; the number in
a class's name is the line of decisions.md.
"""
import contextlib
import ctypes
import io
import json
import os
import random
import sys
import tempfile
import unittest
from datetime import datetime, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import catalogue
import cel
import compare
import journal
import model
import money
import msgpack
import text
import traffic
from values import INT64_MAX, INT64_MIN, NO_DATA, Bad, Money, half_even
from xxh3 import xxh3_128

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
T = int(datetime(2026, 1, 15, 10, 0, tzinfo=timezone.utc).timestamp()) * SECOND
EUR, USD, JPY, KWD, GBP = 978, 840, 392, 414, 826
STREAM = bytes(range(16))
CUSTOMER_1 = (("customer",), (1,))  # a key of windows

BANK = """
bank: { currency: EUR, zone: Europe/Madrid, country: ES, language: en, starts: empty }
rates: { USD: 0.5, JPY: 0.01, KWD: 3 }
events:
  buy: { code: 1, body: { shop: string, n: int, x: double, flag: bool } }
  tip: { code: 2 }
  undo: { code: 3 }
  salary: { code: 4 }
profile:
  language: { type: string }
  vip: { type: bool, default: false }
  level: { type: int, default: 7 }
  limit: { type: money }
channels: { push: { max: 1000 }, sms: { max: 1000 }, email: { max: 1000 } }
"""


class World:
    """A bank with one source, in which a test sends events. Amounts in minor units, `at` after T."""

    def __init__(self, yaml="", bank=BANK, clock="event", activate_at=None):
        self.model = model.Model(clock)
        self.model.activate(catalogue.load_text(bank, yaml), activate_at)
        self.model.source(1, "core", STREAM)
        self.position = 0
        self.sequence = 0
        self.frames = []

    def customer(self, number, subscriptions=(), **attributes):
        self.model.import_line({"customer": number, "set": attributes, "subscriptions": list(subscriptions)})

    def account(self, number, *holders, **more):
        roles = [{"customer": customer, "role": role} for customer, role in holders]
        self.model.import_line({"account": number, "set": {"holders": roles, **more}})

    def send(self, kind, type_=0, body=None, raw=None, now=None, **fields):
        data = msgpack.encode(body or {}) if raw is None else raw
        self.sequence += 1
        self.position += 1
        get = lambda name, default=0: fields.get(name, default)
        frame = model.HEADER.pack(64 + len(data), 1, kind, type_, self.sequence, get("customer"), get("account"),
                                  get("time"), get("amount"), get("balance"), get("currency"), get("country"),
                                  get("mcc"), get("touchpoint"), get("flags"))
        return self.model.frame(self.position, 1, frame + data, now)

    def event(self, type_=1, at=0, body=None, raw=None, now=None, customer=1, amount=100, currency=EUR,
              balance=INT64_MIN, **fields):
        return self.send(3, type_, body, raw, now, customer=customer, time=T + at, amount=amount, currency=currency,
                         balance=balance, **fields)

    def profile(self, customer, set_=None, unset=None, account=0):
        body = {key: value for key, value in (("set", set_), ("unset", unset)) if value is not None}
        return self.send(10, body=body, customer=customer, account=account).outcome

    def subscribe(self, customer, **body):
        return self.send(11, body=body, customer=customer).outcome


def rules(result):
    return [hit.rule for hit in result.hits]


def texts(result):
    return [message.body["text"] for message in result.messages]


def recipients(result):
    return [message.body["recipient"] for message in result.messages]


def outcome_of(result):
    return [(hit.rule, hit.outcome, hit.reason) for hit in result.hits]


def show(template, aggregates="", more=""):
    """A catalogue in which every counted event of any type sends customer 1 the template's text."""
    return f"aggregates:\n{aggregates}\ncritical:\n  w: {{ events: [any], when: 'true', fresh: 400d, message: w }}\n" \
           f"messages:\n  w: {{ en: '{template}' }}\n{more}"


def world_showing(template, aggregates="", more="", bank=BANK, **options):
    world = World(show(template, aggregates, more), bank, **options)
    world.customer(1)
    return world


def value(expression, rates=None, currency=EUR, **event):
    """An expression over event.* (ints are plain but for amount, balance, base) and the names given."""
    units = {"amount": cel.EVENT, "balance": cel.EVENT, "base": cel.BASE}
    kinds = {bool: "bool", int: "int", float: "double", str: "string", Money: "money", Bad: "int"}

    def resolve(name):
        key = name.removeprefix("event.")
        if name.startswith("currency."):
            number = money.CURRENCIES[key.removeprefix("currency.")][0]
            return cel.Symbol("int", cel.PLAIN, lambda env: number)
        if key not in event:
            return None
        return cel.Symbol(kinds[type(event[key])], units.get(key, cel.PLAIN), lambda env: event[key])

    env = cel.Env()
    env.currency = currency
    env.rates = rates or money.Rates(EUR, {USD: money.parse_decimal("0.5"), JPY: money.parse_decimal("0.01"),
                                           KWD: money.parse_decimal("3")})
    return cel.compile_text(expression, resolve).run(env)


ERROR = cel.DIVIDE_BY_ZERO


class Line01ThreeResults(unittest.TestCase):
    def table(self, rows, **names):
        for expression, expected in rows:
            with self.subTest(expression):
                self.assertIs(value(expression, **names), expected)

    def test_a_strict_operator_gives_the_worse_of_its_operands(self):
        self.table([("none + 1 > 0", NO_DATA), ("1 / zero > none", ERROR), ("none > 1 / zero", ERROR),
                    ("none + none == 0", NO_DATA), ("!(none > 1)", NO_DATA), ("-none < 0", NO_DATA)], none=NO_DATA, zero=0)

    def test_and_is_false_when_either_is_false(self):
        self.table([("none > 0 && false", False), ("false && none > 0", False), ("1 / zero > 0 && false", False),
                    ("none > 0 && true", NO_DATA), ("true && none > 0", NO_DATA), ("none > 0 && 1 / zero > 0", ERROR),
                    ("1 / zero > 0 && none > 0", ERROR)], none=NO_DATA, zero=0)

    def test_or_is_true_when_either_is_true(self):
        self.table([("none > 0 || true", True), ("true || 1 / zero > 0", True), ("1 / zero > 0 || true", True),
                    ("false || none > 0", NO_DATA), ("none > 0 || 1 / zero > 0", ERROR)], none=NO_DATA, zero=0)

    def test_a_choice_counts_its_condition_and_the_chosen_side_only(self):
        self.table([("true ? true : none > 0", True), ("false ? 1 / zero > 0 : true", True),
                    ("none > 0 ? true : true", NO_DATA), ("1 / zero > 0 ? true : true", ERROR),
                    ("true ? none > 0 : true", NO_DATA)], none=NO_DATA, zero=0)

    def test_has_asks_for_data_and_passes_on_an_error(self):
        self.table([("has(none)", False), ("has(zero)", True), ("has(1 / zero)", ERROR)], none=NO_DATA, zero=0)

    def test_in_is_true_for_an_equal_element_and_else_the_worse_of_all(self):
        self.table([("2 in [none, 2]", True), ("2 in [1 / zero, 2]", True), ("2 in [none, 3]", NO_DATA),
                    ("2 in [none, 1 / zero]", ERROR), ("none in [1, 2]", NO_DATA), ("2 in [1, 3]", False),
                    ("2 in []", False)], none=NO_DATA, zero=0)

    def test_a_condition_without_data_is_no_hit_and_counted(self):
        world = World("fraud: { rules: { r: { events: [buy], when: 'event.n > 1', score: 5 } } }")
        self.assertEqual(world.event().hits, [])
        self.assertEqual(world.model.counters["no_data", "r"], 1)
        self.assertEqual(rules(world.event(body={"n": 2})), ["r"])

    def test_a_condition_with_an_error_is_no_hit_and_counted_by_rule(self):
        world = World("fraud: { rules: { r: { events: [buy], when: '1 / event.n > 0', score: 5 } } }")
        self.assertEqual(world.event(body={"n": 0}).hits, [])
        self.assertEqual(world.model.counters["error", "r"], 1)


class Line02Arithmetic(unittest.TestCase):
    def test_ints_are_checked_and_truncate(self):
        for expression, expected in [("-7 / 2", -3), ("-7 % 2", -1), ("7 % -2", 1), ("7 / -2", -3)]:
            self.assertEqual(value(expression), expected, expression)
        for expression in ("9223372036854775807 + 1", "-9223372036854775808 - 1", "-9223372036854775808 / -1",
                           "-9223372036854775808 % -1", "4611686018427387904 * 2", "-(-9223372036854775808)"):
            self.assertIs(value(expression), cel.OVERFLOW, expression)
        self.assertIs(value("1 % 0"), cel.MODULUS_BY_ZERO)

    def test_doubles_follow_ieee(self):
        self.assertEqual(value("1.0 / 0.0"), float("inf"))
        self.assertEqual(value("-1.0 / 0.0"), float("-inf"))
        self.assertTrue(value("0.0 / 0.0 != 0.0 / 0.0"))
        self.assertEqual(value("0.1 + 0.2"), 0.30000000000000004)

    def test_int_with_double_is_refused(self):
        for expression in ("1 < 2.0", "1 + 2.0", "1 == 1.0"):
            self.assertRaises(cel.Refused, value, expression)

    def test_time_arithmetic(self):
        self.assertEqual(value('timestamp("2026-01-01T00:00:00Z") - timestamp("2025-12-31T23:00:00Z")'), HOUR)
        self.assertEqual(value('string(timestamp("2026-01-01T00:00:00Z") + duration("90s"))'), "2026-01-01T00:01:30Z")
        self.assertEqual(value('timestamp("2026-01-01T00:00:00Z").getHours("Europe/Madrid")'), 1)


class Line03Money(unittest.TestCase):
    """Rates: 1 USD = 0.5 EUR, 1 JPY = 0.01 EUR, 1 KWD = 3 EUR; GBP has none."""

    def test_ints_in_minor_units_compare_with_ints_as_they_stand(self):
        self.assertIs(value("event.amount > 100", amount=101, currency=USD), True)
        self.assertIs(value("event.balance + event.amount >= 0", amount=5, balance=-5), True)
        self.assertIs(value("event.amount * 2 < 3 * event.amount", amount=5), True)

    def test_the_events_currency_against_the_banks_is_refused(self):
        self.assertRaises(cel.Refused, value, "event.amount > event.base", amount=1, base=1)
        self.assertRaises(cel.Refused, value, "event.amount * 2 - 1 == -event.base", amount=1, base=1)

    def test_the_same_currency_is_compared_directly(self):
        self.assertIs(value('event.amount > money("40 GBP")', amount=4001, currency=GBP), True)
        self.assertIs(value('event.amount > money("40 GBP")', amount=4000, currency=GBP), False)
        self.assertIs(value('event.base == money("1.00 EUR")', base=100, currency=GBP), True)

    def test_other_currencies_go_through_base(self):
        # 10.00 USD = 5.00 EUR; 501 JPY = 5.01 EUR; 1.667 KWD = 5.001 EUR = 500 minor, 1.670 KWD = 5.01 EUR
        self.assertIs(value('event.amount >= money("10 USD")', amount=500), True)
        self.assertIs(value('event.amount >= money("501 JPY")', amount=500), False)
        self.assertIs(value('event.amount == money("1.667 KWD")', amount=500), True)
        self.assertIs(value('event.amount < money("1.670 KWD")', amount=1000, currency=USD), True)
        self.assertIs(value('event.base < money("501 JPY")', base=500), True)

    def test_without_a_rate_there_is_no_data(self):
        self.assertIs(value('event.amount > money("1 EUR")', amount=500, currency=GBP), NO_DATA)
        self.assertIs(value('event.amount > money("1 GBP")', amount=500), NO_DATA)
        self.assertIs(value('event.base > money("1 GBP")', base=500), NO_DATA)

    def test_a_plain_int_against_money_is_refused_and_a_literal_too(self):
        self.assertRaises(cel.Refused, value, 'n > money("1 EUR")', n=1)
        self.assertRaises(cel.Refused, value, 'money("1 EUR") < 100')

    def test_money_against_money(self):
        self.assertIs(value('money("10 USD") == money("500 JPY")'), True)
        self.assertIs(value('money("1 GBP") < money("2 GBP")'), True)
        self.assertIs(value('money("1 GBP") < money("2 USD")'), NO_DATA)

    def test_the_sum_of_two_moneys_is_not_yet(self):
        self.assertRaises(cel.Refused, value, 'money("1 EUR") + money("1 EUR") > money("1 EUR")')

    def test_an_aggregate_of_amount_per_account_is_in_the_events_currency(self):
        world = world_showing("{agg.a} {agg.a, money} {agg.m}",
                              "  a: { over: [any], sum: amount, per: account }\n"
                              "  m: { over: [any], sum: amount, mixed: true }")
        world.event(account=9, amount=150, currency=USD)
        self.assertEqual(texts(world.event(account=9, amount=250, currency=USD)), ["400 $4.00 400"])

    def test_money_is_read_with_its_exponent(self):
        for written, expected in [("100 EUR", Money(10000, EUR)), ("100.5 EUR", Money(10050, EUR)), ("7 JPY", Money(7, JPY)),
                                  ("-3.000 KWD", Money(-3000, KWD)), ("7.0 JPY", None), ("1.001 EUR", None),
                                  ("1 XXX", None), ("EUR 1", None), ("1EUR", None)]:
            self.assertEqual(money.parse_money(written), expected, written)


class Line04Base(unittest.TestCase):
    RATES = money.Rates(EUR, {USD: money.Rate(9173, 4), JPY: money.Rate(6127, 6), KWD: money.Rate(5, 1)})

    def test_base_is_rounded_half_to_even(self):
        # 0.9173 x 150 = 137.595 -> 138; KWD has three digits: 10 fils x 0.5 = 0.5 cents -> 0, 30 -> 1.5 -> 2
        for minor, currency, expected in [(150, USD, 138), (10, KWD, 0), (30, KWD, 2), (50, KWD, 2), (-10, KWD, 0),
                                          (-30, KWD, -2), (1000, JPY, 613), (777, EUR, 777)]:
            self.assertEqual(self.RATES.to_base(minor, currency), expected, (minor, currency))

    def test_no_rate_is_no_data_and_what_does_not_fit_is_an_error(self):
        self.assertIs(self.RATES.to_base(0, GBP), NO_DATA)
        rates = money.Rates(KWD, {JPY: money.Rate(1, 0)})
        self.assertIs(rates.to_base(INT64_MAX, JPY), cel.RANGE)

    def test_a_bank_with_another_exponent(self):
        rates = money.Rates(JPY, {EUR: money.Rate(165, 0)})
        self.assertEqual(rates.to_base(101, EUR), 167)  # 1.01 EUR = 166.65 yen

    def test_half_even_of_negatives(self):
        self.assertEqual([half_even(n, 2) for n in (-5, -3, -1, 1, 3, 5)], [-2, -2, 0, 0, 2, 2])


SUBSCRIBED = """
subscriptions:
  s: { events: [any], when: 'true', message: s, for: %s }
messages: { s: { en: "{me.customer} {me.role} {event.customer}" } }
"""


def joint(for_whom):
    world = World(SUBSCRIBED % for_whom if for_whom else SUBSCRIBED.replace(", for: %s", ""))
    for number in (1, 2, 3, 4, 5):
        world.customer(number, [{"kind": "s"}])
    world.account(9, (2, "owner"), (1, "authorised"), (3, "co_owner"), (4, "guardian"), (5, "delegate"))
    return world


class Line05Holders(unittest.TestCase):
    def test_holders_are_those_of_the_record_in_its_order(self):
        self.assertEqual(texts(joint("all").event(account=9)),
                         ["2 owner 1", "1 authorised 1", "3 co_owner 1", "4 guardian 1", "5 delegate 1"])

    def test_without_an_account_or_record_the_actor_is_the_owner(self):
        self.assertEqual(texts(joint("all").event(account=0)), ["1 owner 1"])
        self.assertEqual(texts(joint("all").event(account=77)), ["1 owner 1"])
        self.assertEqual(texts(joint("all").event(account=77, customer=0)), [])

    def test_an_actor_who_is_no_holder_gets_no_subscription_but_critical(self):
        world = World(SUBSCRIBED % "all")
        world.customer(1, [{"kind": "s"}])
        world.customer(2)
        world.account(9, (2, "owner"))
        self.assertEqual(world.event(account=9, customer=1).messages, [])
        other = World("critical: { c: { events: [any], when: 'true', message: c } }\nmessages: { c: { en: 'x' } }")
        other.customer(1)
        other.customer(2)
        other.account(9, (2, "owner"))
        self.assertEqual(recipients(other.event(account=9, customer=1)), [1, 2])


class Line06Windows(unittest.TestCase):
    AGGREGATES = ("  c: { over: [any], count: true }\n  a: { over: [any], count: true, per: account }\n"
                  "  k: { over: [any], sum: base, per: card }")

    def test_windows_are_those_of_the_events_own_keys(self):
        world = world_showing("{agg.c} {agg.a} {agg.k}", self.AGGREGATES)
        world.customer(2)
        world.event(customer=1, account=9, body={"card": "k1"}, amount=10)
        world.event(customer=2, account=9, body={"card": "k2"}, amount=20)
        self.assertEqual(texts(world.event(customer=1, account=9, body={"card": "k2"}, amount=40))[0], "2 3 60")

    def test_a_key_that_the_event_does_not_have_is_no_data_for_count_and_sum_too(self):
        world = world_showing("{agg.c} {agg.a} {agg.k}", self.AGGREGATES)
        self.assertEqual(texts(world.event()), ["1 – –"])
        world.account(9, (1, "owner"))
        self.assertEqual(texts(world.event(customer=0, account=9)), ["– 1 –"])

    def test_every_holder_sees_the_same_values(self):
        world = World("aggregates: { c: { over: [any], count: true } }\nsubscriptions:\n"
                      "  s: { events: [any], when: 'true', message: s }\nmessages: { s: { en: '{agg.c}' } }")
        world.customer(1, [{"kind": "s"}])
        world.customer(2, [{"kind": "s"}])
        world.account(9, (1, "owner"), (2, "co_owner"))
        world.event(customer=1, account=9)
        self.assertEqual(texts(world.event(customer=1, account=9)), ["2", "2"])

    def test_where_decides_at_entry_with_the_actors_profile(self):
        world = world_showing("{agg.v}", "  v: { over: [any], count: true, where: 'profile.vip && event.n > 1' }")
        world.event(body={"n": 2})
        world.profile(1, {"vip": True})
        world.event(body={"n": 2})
        world.event(body={"n": 1})
        world.event()  # no data: not counted
        world.profile(1, {"vip": False})
        self.assertEqual(texts(world.event()), ["1"])


class Line07Critical(unittest.TestCase):
    RULES = """
fraud: { rules: { f: { events: [any], when: 'profile.level == 7', score: 1 }, g: { events: [any], when: '!has(profile.level)', score: 1 } } }
critical: { c: { events: [any], when: 'true', message: c } }
messages: { c: { en: "x" } }
"""

    def test_fraud_sees_the_actors_profile_with_defaults_only_for_a_record(self):
        world = World(self.RULES)
        world.customer(1)
        self.assertEqual(rules(world.event(customer=1))[:1], ["f"])
        self.assertEqual(rules(world.event(customer=8))[:1], ["g"])
        self.assertEqual(rules(world.event(customer=0))[:1], ["g"])

    def test_critical_goes_to_the_actor_then_the_owners_each_once(self):
        world = World(self.RULES)
        for number in range(1, 7):
            world.customer(number)
        world.account(9, (4, "owner"), (2, "authorised"), (3, "guardian"), (1, "co_owner"), (5, "co_owner"), (6, "delegate"))
        result = world.event(customer=1, account=9)
        self.assertEqual(recipients(result), [1, 4, 5])
        self.assertEqual([hit.outcome for hit in result.hits if hit.rule == "c"], ["NOTICED"])
        self.assertEqual(recipients(world.event(customer=0, account=9)), [4, 1, 5])

    def test_with_nobody_to_tell_the_hit_is_suppressed(self):
        self.assertIn(("c", "SUPPRESSED", "NO_RECIPIENT"), outcome_of(World(self.RULES).event(customer=0)))


class Line08Subscriptions(unittest.TestCase):
    def test_for_defaults_by_role(self):
        self.assertEqual(recipients(joint(None).event(account=9, customer=1)), [2, 1, 3, 4])
        self.assertEqual(recipients(joint(None).event(account=9, customer=5)), [2, 3, 4, 5])

    def test_own_means_that_the_holder_acted(self):
        self.assertEqual(recipients(joint("own").event(account=9, customer=3)), [3])

    def test_order_is_by_rule_number_then_by_bytes_of_the_id(self):
        world = World("subscriptions:\n  zz: { events: [any], when: 'true', message: m }\n"
                      "  aa: { events: [any], when: 'true', message: m }\nmessages: { m: { en: 'x' } }")
        world.customer(1, [{"kind": "aa"}, {"id": "é", "kind": "zz"}, {"id": "az", "kind": "zz"}, {"id": "b", "kind": "zz"},
                           {"id": "Z", "kind": "zz"}])
        self.assertEqual([hit.subscription for hit in world.event().hits], ["Z", "az", "b", "é", "aa"])

    def test_one_that_is_off_or_of_other_accounts_is_not_evaluated(self):
        world = World(SUBSCRIBED % "all")
        world.customer(1, [{"id": "a", "kind": "s", "on": False}, {"id": "b", "kind": "s", "accounts": [8, 9]}])
        self.assertEqual([hit.subscription for hit in world.event(account=9).hits], ["b"])
        self.assertEqual(world.event(account=7).hits, [])
        self.assertEqual(world.event().hits, [])

    def test_the_profile_is_the_holders(self):
        world = World("subscriptions: { s: { events: [any], when: 'profile.level == 3', message: m } }\nmessages: { m: { en: 'x' } }")
        world.customer(1, [{"kind": "s"}], level=3)
        world.customer(2, [{"kind": "s"}], level=4)
        world.account(9, (1, "owner"), (2, "owner"))
        self.assertEqual(recipients(world.event(customer=2, account=9)), [1])


def state_of(world, name, at):
    """An aggregate of customer 1 as an event that enters nothing sees it at T + at."""
    return world.model.windows.read(world.model.catalogue.aggregates[name], CUSTOMER_1, T + at, 1 << 62, False)


class Line09Provisional(unittest.TestCase):
    def test_no_notice_goes_to_a_customer_without_a_record(self):
        world = World("critical: { c: { events: [any], when: 'true', message: m } }\nmessages: { m: { en: 'x' } }")
        world.customer(2)
        self.assertEqual(outcome_of(world.event(customer=1)), [("c", "SUPPRESSED", "PROVISIONAL")])
        world.account(9, (2, "owner"))
        self.assertEqual(recipients(world.event(customer=1, account=9)), [2])

    def test_a_subscription_of_a_customer_without_a_record_is_suppressed(self):
        world = World(SUBSCRIBED % "all")
        self.assertEqual(world.subscribe(1, kind="s"), "APPLIED")
        self.assertEqual(outcome_of(world.event(customer=1)), [("s", "SUPPRESSED", "PROVISIONAL")])
        world.profile(1, {})
        self.assertEqual(outcome_of(world.event(customer=1)), [("s", "NOTICED", None)])

    def test_windows_run_and_profile_completes_the_record(self):
        world = World(show("{agg.c}", "  c: { over: [any], count: true }"))
        world.event()
        world.event()
        world.profile(1, {})
        self.assertEqual(texts(world.event()), ["3"])

    def test_windows_are_forgotten_after_seven_days_without_an_event(self):
        world = World(show("{agg.c}", "  c: { over: [any], count: true }"))
        world.event(at=0)
        world.event(at=7 * DAY)
        self.assertEqual(len(world.model.windows.logs), 1)
        self.assertEqual(state_of(world, "c", 7 * DAY), 2)  # seven days exactly: still there
        world.event(at=14 * DAY + 1)  # forgets what was before
        world.profile(1, {})
        self.assertEqual(texts(world.event(at=15 * DAY)), ["2"])
        self.assertEqual(texts(world.event(at=30 * DAY)), ["3"])  # a record is never forgotten


class Line10Order(unittest.TestCase):
    def test_fraud_then_critical_then_subscriptions_by_file_and_place(self):
        first = "subscriptions: { s: { events: [any], when: 'true', message: m } }\ncritical:\n  c2: { events: [any], when: 'true', message: m }\n" \
                "  c1: { events: [any], when: 'true', message: m }\nmessages: { m: { en: 'x' } }"
        second = "critical: { c0: { events: [any], when: 'true', message: m } }\n" \
                 "fraud: { rules: { f2: { events: [any], when: 'true', score: 1 }, f1: { events: [any], when: 'true', score: 1 } } }"
        world = World()
        world.model.activate(catalogue.load_text(BANK, first, second))
        world.customer(1, [{"kind": "s"}])
        self.assertEqual(rules(world.event()), ["f2", "f1", "c2", "c1", "c0", "s"])


STAGED = """
aggregates: { sum: { over: [any], sum: amount, mixed: true }, n: { over: [any], count: true } }
fraud: { rules: { f: { events: [any], when: 'true', score: 1 } } }
critical:
  counted: { events: [any], when: 'true', fresh: 400d, message: m }
  on_posted: { events: [any], stages: [posted], when: 'true', fresh: 400d, message: m }
  on_auth: { events: [any], stages: [authorised], when: 'true', fresh: 400d, message: m }
  on_released: { events: [any], stages: [released], when: 'true', fresh: 400d, message: m }
messages: { m: { en: "{agg.n} {agg.sum}" } }
"""


def staged():
    world = World(STAGED)
    world.customer(1)
    return world


def state(world, at=1):
    """(count, sum) of customer 1 as a request at T + at sees them: it enters nothing."""
    probe = world.model.windows
    aggregates = world.model.catalogue.aggregates
    return tuple(probe.read(aggregates[name], CUSTOMER_1, T + at, 1 << 62, False) for name in ("n", "sum"))


class Line11Stage(unittest.TestCase):
    def test_without_a_stage_it_is_posted_or_with_the_verdict_flag_a_request(self):
        self.assertEqual(rules(staged().event()), ["f", "counted", "on_posted"])
        self.assertEqual(rules(staged().event(flags=1)), ["f"])
        self.assertEqual(rules(staged().event(flags=1, body={"stage": "authorised"})), ["f", "counted", "on_auth"])

    def test_without_a_ref_a_release_matches_nothing(self):
        self.assertEqual(staged().event(body={"stage": "released"}).outcome, "REVERSAL_UNMATCHED")

    def test_without_a_ref_every_posted_counts(self):
        world = staged()
        world.event()
        world.event()
        self.assertEqual(state(world), (2, 200))


class Line12Refs(unittest.TestCase):
    def test_the_same_ref_stage_and_type_has_no_effect(self):
        world = staged()
        world.event(body={"ref": "r"})
        result = world.event(body={"ref": "r", "stage": "posted"}, amount=70)
        self.assertEqual((result.outcome, result.hits, state(world)), ("DUPLICATE_REF", [], (1, 100)))

    def test_another_type_or_stage_of_the_ref_is_no_duplicate(self):
        world = staged()
        world.event(body={"ref": "r", "stage": "authorised"})
        self.assertEqual(world.event(body={"ref": "r"}).outcome, "DECIDED")
        self.assertEqual(world.event(2, body={"ref": "r"}).outcome, "DECIDED")

    def test_more_than_six_parts_is_a_bad_body(self):
        world = staged()
        parts = [(1, "request"), (1, "authorised"), (1, "posted"), (2, "request"), (2, "authorised"), (2, "posted")]
        for type_, stage in parts:
            self.assertEqual(world.event(type_, body={"ref": "r", "stage": stage}).outcome, "DECIDED")
        self.assertEqual(world.event(4, body={"ref": "r"}).outcome, "BAD_BODY")
        self.assertEqual(world.event(2, body={"ref": "r"}).outcome, "DUPLICATE_REF")

    def test_a_ref_is_remembered_for_ref_memory_of_now_not_extended(self):
        world = staged()
        world.event(at=0, body={"ref": "r", "stage": "authorised"})
        world.event(at=34 * DAY, body={"ref": "r", "stage": "posted"})
        self.assertEqual(world.event(at=35 * DAY - 1, body={"ref": "r", "stage": "posted"}).outcome, "DUPLICATE_REF")
        result = world.event(at=35 * DAY, body={"ref": "r", "stage": "posted"})
        self.assertEqual(rules(result), ["f", "counted", "on_posted"])

    def test_when_memory_is_full_the_oldest_goes(self):
        world = World(STAGED, BANK.replace("starts: empty", "starts: empty, memory: { refs: 2 }"))
        for ref in "abc":
            world.event(body={"ref": ref})
        self.assertEqual(world.model.refs.dropped, 1)
        self.assertEqual(world.event(body={"ref": "b"}).outcome, "DUPLICATE_REF")
        self.assertEqual(world.event(body={"ref": "a"}).outcome, "DECIDED")


class Line13Counted(unittest.TestCase):
    def test_the_first_authorised_counts(self):
        world = staged()
        self.assertEqual(rules(world.event(body={"ref": "r", "stage": "authorised"})), ["f", "counted", "on_auth"])
        self.assertEqual(state(world), (1, 100))

    def test_a_request_runs_fraud_and_enters_no_window(self):
        world = staged()
        result = world.event(body={"ref": "r", "stage": "request"}, flags=1)
        self.assertEqual((rules(result), state(world)), (["f"], (0, 0)))
        self.assertEqual(rules(world.event(body={"ref": "r", "stage": "posted"})), ["f", "counted", "on_posted"])

    def test_a_request_is_judged_by_the_windows_as_of_its_time(self):
        world = World("aggregates: { n: { over: [any], count: true, within: 1h } }\n"
                      "fraud: { rules: { f: { events: [any], when: 'agg.n == 1', score: 1 } } }")
        world.event(at=0)
        self.assertEqual(rules(world.event(at=HOUR - 1, flags=1)), ["f"])
        self.assertEqual(rules(world.event(at=HOUR, flags=1)), [])


class Line14LaterStages(unittest.TestCase):
    def test_a_later_posted_replaces_the_amount_and_runs_only_rules_of_that_stage(self):
        world = staged()
        world.event(at=0, body={"ref": "r", "stage": "authorised"}, amount=100)
        result = world.event(at=HOUR, body={"ref": "r"}, amount=130)
        self.assertEqual(rules(result), ["on_posted"])
        self.assertEqual(texts(result), ["1 130"])
        self.assertEqual((state(world, 0), state(world, -1)), ((1, 130), (0, 0)))  # it keeps its time

    def test_a_later_authorised_changes_no_window(self):
        world = staged()
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100)
        result = world.event(2, body={"ref": "r", "stage": "authorised"}, amount=900)
        self.assertEqual((rules(result), state(world)), (["on_auth"], (1, 100)))

    def test_an_event_that_counts_and_is_posted_runs_both_each_rule_once(self):
        self.assertEqual(rules(staged().event(body={"ref": "r"})), ["f", "counted", "on_posted"])

    def test_a_posted_after_a_partial_reversal_is_less_what_was_reversed(self):
        world = staged()
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100)
        world.event(3, body={"of": "r"}, amount=30, flags=2)
        world.event(body={"ref": "r"}, amount=120)
        self.assertEqual(state(world), (1, 90))

    def test_where_and_place_stay(self):
        world = world_showing("{agg.v} {agg.c}", "  v: { over: [any], sum: amount, mixed: true, where: 'event.amount > 50' }\n"
                              "  c: { over: [buy], last: country, before: true }")
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100, country=724)
        world.event(body={"ref": "r"}, amount=20, country=276)  # still in, though 20 is not above 50
        self.assertEqual(texts(world.event(amount=1)), ["20 724"])

    def test_balance_and_base_are_replaced_too(self):
        world = world_showing("{agg.b} {agg.l}", "  b: { over: [buy], sum: base }\n  l: { over: [buy], last: balance, per: account, before: true }")
        world.event(account=9, body={"ref": "r", "stage": "authorised"}, amount=100, currency=USD, balance=5)
        world.event(account=9, body={"ref": "r"}, amount=200, currency=USD, balance=6)
        self.assertEqual(texts(world.event(4, account=9)), ["100 6"])  # 2.00 USD = 1.00 EUR

    def test_another_currency_replaces_it_and_converts_what_was_reversed(self):
        # 100 EUR cents, 40 reversed; then 400 USD cents = 200 base: 40 base are 80 USD cents, 320 are left, base 160
        world = world_showing("{agg.m} {agg.b}", "  m: { over: [buy], sum: amount, mixed: true }\n  b: { over: [buy], sum: base }")
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100)
        world.event(3, body={"of": "r"}, amount=40, flags=2)
        world.event(body={"ref": "r"}, amount=400, currency=USD)
        self.assertEqual(texts(world.event(4)), ["320 160"])

    def test_a_later_posted_sees_the_windows_as_of_its_own_time(self):
        world = World("aggregates: { n: { over: [any], count: true, within: 1h } }\n"
                      "critical: { p: { events: [buy], stages: [posted], when: 'true', message: m } }\nmessages: { m: { en: '{agg.n}' } }")
        world.customer(1)
        world.event(at=0, body={"ref": "r", "stage": "authorised"})
        world.event(4, at=30 * MINUTE)
        self.assertEqual(texts(world.event(at=59 * MINUTE, body={"ref": "r"})), ["2"])
        other = staged()
        other.event(at=0, body={"ref": "r", "stage": "authorised"})
        other.event(at=30 * MINUTE)
        self.assertEqual(texts(other.event(at=10 * MINUTE, body={"ref": "r"})), ["1 100"])


class Line15Released(unittest.TestCase):
    def test_a_release_takes_out_what_is_left_wholly(self):
        world = staged()
        world.event(body={"ref": "r", "stage": "authorised"})
        result = world.event(body={"ref": "r", "stage": "released"}, amount=0)
        self.assertEqual((rules(result), state(world)), (["on_released"], (0, 0)))

    def test_a_posted_after_it_brings_the_entry_back_at_its_place(self):
        world = staged()
        world.event(at=0, body={"ref": "r", "stage": "authorised"}, amount=100)
        world.event(at=1, body={"ref": "r", "stage": "released"}, amount=0)
        self.assertEqual(rules(world.event(at=HOUR, body={"ref": "r"}, amount=80)), ["on_posted"])
        self.assertEqual((state(world, 0), state(world, -1)), ((1, 80), (0, 0)))

    def test_an_unknown_ref_or_nothing_left_is_unmatched(self):
        world = staged()
        self.assertEqual(world.event(body={"ref": "x", "stage": "released"}).outcome, "REVERSAL_UNMATCHED")
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100)
        world.event(3, body={"of": "r"}, amount=100, flags=2)
        self.assertEqual(world.event(body={"ref": "r", "stage": "released"}).outcome, "REVERSAL_UNMATCHED")


class Line16Reversals(unittest.TestCase):
    def reversed(self, *amounts, whole=100):
        world = staged()
        world.event(body={"ref": "r"}, amount=whole)
        outcomes = [world.event(3, body={"of": "r"}, amount=amount, flags=2).outcome for amount in amounts]
        return outcomes, state(world)

    def test_a_part_is_taken_out(self):
        self.assertEqual(self.reversed(30), (["DECIDED"], (1, 70)))

    def test_the_whole_leaves_all_windows(self):
        self.assertEqual(self.reversed(100), (["DECIDED"], (0, 0)))
        self.assertEqual(self.reversed(60, 60), (["DECIDED"] * 2, (0, 0)))

    def test_at_most_what_is_left_is_taken_and_then_nothing_matches(self):
        self.assertEqual(self.reversed(999, 1), (["DECIDED", "REVERSAL_UNMATCHED"], (0, 0)))

    def test_a_transaction_of_nothing_leaves_with_any_reversal(self):
        self.assertEqual(self.reversed(0, whole=0), (["DECIDED"], (0, 0)))
        self.assertEqual(self.reversed(0), (["DECIDED"], (1, 100)))

    def test_base_is_in_proportion_half_to_even(self):
        # 3 USD cents = 1.5 -> 2 base; 1 taken: 2 x 2 / 3 = 1.33 -> 1; 2 taken: 2 x 1 / 3 = 0.67 -> 1
        world = world_showing("{agg.b}", "  b: { over: [buy], sum: base }")
        world.event(body={"ref": "r"}, amount=3, currency=USD)
        seen = []
        for _ in range(3):
            world.event(3, body={"of": "r"}, amount=1, currency=USD, flags=2)
            seen += texts(world.event(4))
        self.assertEqual(seen, ["1", "1", "0"])

    def test_last_min_and_max_lose_it_too(self):
        world = world_showing("{agg.l} {agg.a} {agg.z}", "  l: { over: [buy], last: amount, per: account }\n"
                              "  a: { over: [buy], min: base }\n  z: { over: [buy], max: base }")
        world.event(account=9, body={"ref": "a"}, amount=50)
        world.event(account=9, body={"ref": "b"}, amount=70)
        world.event(3, account=9, body={"of": "b"}, amount=70, flags=2)
        self.assertEqual(texts(world.event(4, account=9)), ["50 50 50"])

    def test_another_currency_an_unknown_or_only_a_request_matches_nothing(self):
        world = staged()
        world.event(body={"ref": "r"})
        world.event(body={"ref": "q", "stage": "request"})
        for of, currency in (("r", USD), ("nothing", EUR), ("q", EUR)):
            self.assertEqual(world.event(3, body={"of": of}, currency=currency, flags=2).outcome, "REVERSAL_UNMATCHED")
        self.assertEqual(state(world), (1, 100))

    def test_a_reversal_enters_no_window_runs_no_rule_and_its_ref_counts(self):
        world = staged()
        world.event(body={"ref": "r"})
        result = world.event(3, body={"of": "r", "ref": "v"}, amount=10, flags=2)
        self.assertEqual((result.outcome, result.hits, state(world)), ("DECIDED", [], (1, 90)))
        again = world.event(3, body={"of": "r", "ref": "v"}, amount=10, flags=2)
        self.assertEqual((again.outcome, state(world)), ("DUPLICATE_REF", (1, 90)))

    def test_a_reversal_of_nothing_is_a_bad_body(self):
        self.assertEqual(staged().event(3, flags=2).outcome, "BAD_BODY")


class Line17PostedAfterWhole(unittest.TestCase):
    def posted_after_whole(self, amount):
        world = staged()
        world.event(body={"ref": "r", "stage": "authorised"}, amount=100)
        world.event(3, body={"of": "r"}, amount=100, flags=2)
        world.event(body={"ref": "r"}, amount=amount)
        return state(world)

    def test_the_amount_is_posted_less_reversed(self):
        self.assertEqual(self.posted_after_whole(130), (1, 30))

    def test_nothing_left_stays_out(self):
        self.assertEqual(self.posted_after_whole(100), (0, 0))
        self.assertEqual(self.posted_after_whole(90), (0, 0))


class Line18Time(unittest.TestCase):
    def test_now_is_the_largest_time_of_kept_events(self):
        world = staged()
        world.event(at=DAY)
        self.assertEqual(world.model.now, T + DAY)
        world.event(at=0)
        self.assertEqual(world.model.now, T + DAY)
        world.event(at=2 * DAY, raw=b"\xc1")
        self.assertEqual(world.model.now, T + 2 * DAY)
        world.model.move_clock(T + 3 * DAY)
        self.assertEqual(world.model.now, T + 3 * DAY)

    def test_with_the_wall_clock_now_is_the_batchs_stamp(self):
        world = World(STAGED, clock="wall")
        self.assertEqual(world.event(at=5 * MINUTE, now=T).outcome, "DECIDED")
        self.assertEqual(world.event(at=5 * MINUTE + 1, now=T).outcome, "FROM_THE_FUTURE")
        self.assertEqual(state(world, HOUR), (1, 100))

    def test_judged_in_the_order_bad_body_unknown_type_future_reference_late(self):
        world = World(STAGED, clock="wall")
        self.assertEqual(world.event(99, at=DAY, raw=b"\xc1", now=T).outcome, "BAD_BODY")
        self.assertEqual(world.event(99, at=DAY, now=T).outcome, "UNKNOWN_TYPE")
        self.assertEqual(world.event(at=DAY, body={"ref": "r"}, now=T).outcome, "FROM_THE_FUTURE")
        self.assertEqual(world.event(at=-25 * HOUR, body={"ref": "r"}, now=T).outcome, "TOO_LATE")
        self.assertEqual(world.event(at=-25 * HOUR, body={"ref": "r"}, now=T).outcome, "DUPLICATE_REF")
        self.assertEqual(world.event(3, at=-25 * HOUR, body={"of": "x"}, flags=2, now=T).outcome, "REVERSAL_UNMATCHED")

    def test_too_late_enters_windows_and_runs_no_rule_fraud_included(self):
        world = staged()
        world.event(at=0)
        late = world.event(at=-24 * HOUR - 1, flags=0)
        self.assertEqual((late.outcome, late.hits, state(world)), ("TOO_LATE", [], (2, 200)))
        self.assertEqual(world.event(at=-24 * HOUR).outcome, "DECIDED")

    def test_a_too_late_reversal_or_posted_keeps_its_effect_and_is_too_late(self):
        world = staged()
        world.event(at=0, body={"ref": "r", "stage": "authorised"})
        world.event(at=2 * DAY)
        self.assertEqual(world.event(3, at=0, body={"of": "r"}, amount=40, flags=2).outcome, "TOO_LATE")
        self.assertEqual(world.event(at=0, body={"ref": "r"}, amount=90).outcome, "TOO_LATE")
        self.assertEqual(state(world, 2 * DAY), (2, 150))
        self.assertEqual(world.event(at=0, body={"stage": "request"}).outcome, "TOO_LATE")


class Line19Windows(unittest.TestCase):
    def test_a_window_is_open_at_its_start_and_closed_at_its_end(self):
        world = world_showing("{agg.n}", "  n: { over: [any], count: true, within: 1h }")
        world.event(at=0)
        self.assertEqual(texts(world.event(at=HOUR - 1)), ["2"])
        self.assertEqual(texts(world.event(at=HOUR)), ["2"])

    def test_before_leaves_out_the_event_itself(self):
        world = world_showing("{agg.n} {agg.b}", "  n: { over: [any], count: true }\n  b: { over: [any], count: true, before: true }")
        self.assertEqual([texts(world.event())[0] for _ in range(3)], ["1 0", "2 1", "3 2"])

    def test_a_late_event_is_judged_as_of_its_own_time_and_enters(self):
        world = world_showing("{agg.n} {agg.b} {agg.c}", "  n: { over: [any], count: true }\n  b: { over: [any], count: true, before: true }\n"
                              "  c: { over: [any], last: country, before: true }")
        world.event(at=0, country=1)
        world.event(at=HOUR, country=2)
        self.assertEqual(texts(world.event(at=MINUTE, country=3)), ["2 1 1"])
        self.assertEqual(texts(world.event(at=2 * HOUR, country=4)), ["4 3 2"])

    def test_equal_times_are_ordered_by_the_journal(self):
        world = world_showing("{agg.c}", "  c: { over: [any], last: country, before: true }")
        world.event(at=0, country=1)
        world.event(at=0, country=2)
        self.assertEqual(texts(world.event(at=0, country=3)), ["2"])

    def test_one_that_does_not_enter_sees_all_up_to_its_time(self):
        world = World("aggregates: { b: { over: [any], count: true, before: true } }\n"
                      "fraud: { rules: { f: { events: [any], when: 'agg.b == 2', score: 1 } } }")
        world.event(at=0)
        world.event(at=5)
        world.event(at=6)
        self.assertEqual(rules(world.event(at=5, flags=1)), ["f"])


class Line20Activation(unittest.TestCase):
    AGED = BANK.replace(", starts: empty", "")
    AGGREGATES = "  w: { over: [any], count: true, within: 1h }\n  e: { over: [any], count: true }"

    def test_a_window_is_no_data_until_it_is_full(self):
        world = world_showing("{agg.w} {agg.e}", self.AGGREGATES, bank=self.AGED, activate_at=T)
        self.assertEqual(texts(world.event(at=1)), ["– 1"])
        self.assertEqual(texts(world.event(at=HOUR - 1)), ["– 2"])
        self.assertEqual(texts(world.event(at=HOUR)), ["3 3"])

    def test_a_store_that_starts_empty_is_full_at_once(self):
        world = world_showing("{agg.w}", self.AGGREGATES, activate_at=T)
        self.assertEqual(texts(world.event(at=1)), ["1"])

    def test_starts_empty_counts_for_an_empty_store_only(self):
        world = World(activate_at=T)
        world.event(at=0)
        world.model.activate(catalogue.load_text(BANK, show("{agg.w} {agg.e}", self.AGGREGATES)))
        world.customer(1)
        self.assertEqual(texts(world.event(at=1)), ["– 1"])  # the first event is older than both windows

    def test_state_survives_a_reload_when_the_definition_is_the_same(self):
        world = world_showing("{agg.w} {agg.e}", self.AGGREGATES, bank=self.AGED, activate_at=T)
        world.event(at=0)
        changed = self.AGGREGATES.replace("within: 1h", "within: 2h")
        world.model.activate(catalogue.load_text(self.AGED, show("{agg.w} {agg.e}", changed)), T + HOUR)
        self.assertEqual(texts(world.event(at=HOUR)), ["– 2"])
        self.assertEqual(texts(world.event(at=3 * HOUR)), ["1 3"])


class Line21ForEver(unittest.TestCase):
    """The engine folds what cannot change any more; nothing of that may show."""

    def test_old_entries_count_in_every_answer(self):
        aggregates = ("  n: { over: [buy], count: true }\n  s: { over: [buy], sum: amount, mixed: true }\n"
                      "  a: { over: [buy], min: base }\n  z: { over: [buy], max: base }\n  l: { over: [buy], last: country }\n"
                      "  d: { over: [buy], count: true, within: 1d }")
        world = world_showing("{agg.n} {agg.s} {agg.a} {agg.z} {agg.l} {agg.d}", aggregates)
        for i in range(400):
            world.event(at=i * HOUR, amount=1000 + i, country=100 + i)
        self.assertEqual(texts(world.event(4, at=400 * HOUR)), ["400 479800 1000 1399 499 23"])

    def test_a_too_late_event_is_added_and_last_stays_the_newest_by_order(self):
        world = world_showing("{agg.n} {agg.l}", "  n: { over: [buy], count: true }\n  l: { over: [buy], last: country }")
        for i in range(200):
            world.event(at=i * HOUR, country=1 + i)
        self.assertEqual(world.event(at=HOUR, country=999).outcome, "TOO_LATE")
        self.assertEqual(texts(world.event(4, at=200 * HOUR)), ["201 200"])

    def test_one_with_a_ref_can_change_for_ref_memory(self):
        world = world_showing("{agg.s}", "  s: { over: [buy], sum: amount, mixed: true }")
        world.event(at=0, amount=7, body={"ref": "r", "stage": "authorised"})
        for i in range(1, 300):
            world.event(at=i * HOUR, amount=0)
        world.event(at=300 * HOUR, amount=9, body={"ref": "r"})
        self.assertEqual(texts(world.event(4, at=300 * HOUR)), ["9"])


class Line22Functions(unittest.TestCase):
    def test_last_is_no_data_when_the_newest_has_none(self):
        for field, key in (("country", "country"), ("mcc", "mcc"), ("touchpoint", "touchpoint")):
            world = world_showing("{agg.l}", "  l: { over: [buy], last: %s }" % field)
            world.event(**{key: 5})
            self.assertEqual(texts(world.event(4)), ["5"])
            world.event(**{key: 0})
            self.assertEqual(texts(world.event(4)), ["–"], field)

    def test_last_balance_and_base_may_have_none_and_last_time_never(self):
        world = world_showing("{agg.b} {agg.v} {agg.t, time} {agg.c}", "  b: { over: [buy], last: balance, per: account }\n  v: { over: [buy], last: base }\n"
                              "  t: { over: [buy], last: time }\n  c: { over: [buy], last: currency }")
        world.event(account=9, balance=3, amount=8)
        self.assertEqual(texts(world.event(4, account=9)), ["3 8 11:00 978"])
        world.event(account=9, currency=GBP)
        self.assertEqual(texts(world.event(4, account=9)), ["– – 11:00 826"])

    def test_the_others_skip_entries_without_the_field_and_count_counts_all(self):
        world = world_showing("{agg.n} {agg.s} {agg.a} {agg.z} {agg.m}", "  n: { over: [buy], count: true }\n  s: { over: [buy], sum: base }\n"
                              "  a: { over: [buy], min: base }\n  z: { over: [buy], max: base }\n  m: { over: [buy], mean: base }")
        self.assertEqual(texts(world.event(4)), ["0 0 – – –"])
        world.event(currency=GBP, amount=5)
        self.assertEqual(texts(world.event(4)), ["1 0 – – –"])
        world.event(amount=10)
        world.event(amount=35)
        self.assertEqual(texts(world.event(4)), ["3 45 10 35 22.5"])

    def test_a_sum_that_does_not_fit_is_an_error(self):
        world = World("aggregates: { s: { over: [any], sum: base } }\nfraud: { rules: { f: { events: [any], when: 'agg.s > 0', score: 1 } } }")
        self.assertEqual(rules(world.event(amount=INT64_MAX)), ["f"])
        self.assertEqual(rules(world.event(amount=1)), [])
        self.assertEqual(world.model.counters["error", "f"], 1)


class Line24Fresh(unittest.TestCase):
    RULES = """
fraud: { rules: { f: { events: [any], when: 'true', score: 1 } } }
critical: { c: { events: [buy], when: 'true', message: m } }
subscriptions: { s: { events: [buy], when: 'true', message: m }, t: { events: [buy], when: 'true', fresh: 3h, message: m } }
messages: { m: { en: "x" } }
"""

    def hits(self, age):
        world = World(self.RULES)
        world.customer(1, [{"kind": "s"}, {"kind": "t"}])
        world.event(4, at=0)
        return [hit.rule for hit in world.event(at=-age).hits if hit.outcome in ("SCORED", "NOTICED")]

    def test_defaults_are_ten_minutes_two_hours_and_any_age(self):
        self.assertEqual(self.hits(10 * MINUTE), ["f", "c", "s", "t"])
        self.assertEqual(self.hits(10 * MINUTE + 1), ["f", "s", "t"])
        self.assertEqual(self.hits(2 * HOUR), ["f", "s", "t"])
        self.assertEqual(self.hits(2 * HOUR + 1), ["f", "t"])
        self.assertEqual(self.hits(20 * HOUR), ["f"])

    def test_a_stale_hit_is_suppressed_by_that_name(self):
        world = World(self.RULES)
        world.customer(1)
        world.event(4)
        self.assertEqual(outcome_of(world.event(at=-HOUR)), [("f", "SCORED", None), ("c", "SUPPRESSED", "STALE")])


class Line25Channels(unittest.TestCase):
    RULES = """
critical: { c: { events: [buy], when: 'true', message: m, channels: [sms, push] }, d: { events: [tip], when: 'true', category: regulatory, message: m } }
subscriptions: { s: { events: [salary], when: 'true', message: m, channels: [email, push] }, t: { events: [tip], when: 'true', category: service, message: m } }
messages: { m: { en: "x" } }
"""

    def first(self, type_, subscription=None):
        world = World(self.RULES)
        world.customer(1, [subscription] if subscription else [])
        message = world.event(type_).messages[-1]
        header = model.Header(*model.HEADER.unpack_from(message.frame))
        return message.body["channel"], message.body["leg"], message.body["category"], header.type

    def test_the_rules_first_channel_without_a_choice(self):
        self.assertEqual(self.first(1), ("sms", "sms/1", "critical", 1))
        self.assertEqual(self.first(4, {"kind": "s"}), ("email", "email/1", "alert", 3))

    def test_the_subscriptions_own_list_comes_first(self):
        self.assertEqual(self.first(4, {"kind": "s", "channels": ["push"]})[0], "push")
        self.assertEqual(self.first(4, {"kind": "s", "channels": ["fax", "sms"]})[0], "sms")
        self.assertEqual(self.first(4, {"kind": "s", "channels": ["fax"]})[0], "email")

    def test_category_as_the_rule_says(self):
        self.assertEqual(self.first(2)[2:], ("regulatory", 2))
        self.assertEqual(self.first(2, {"kind": "t"})[2:], ("service", 4))


class Line26Language(unittest.TestCase):
    def test_language_falls_back_to_its_parent_and_the_banks(self):
        world = World("critical: { c: { events: [buy], when: 'true', message: m } }\n"
                      "messages: { m: { en: 'e', es: 's', es-CO: 'c' } }")
        for wanted, expected in (("es-CO", ("es-CO", "c")), ("es-MX", ("es", "s")), ("es", ("es", "s")), ("fr", ("en", "e")), (None, ("en", "e"))):
            world.customer(1, **({"language": wanted} if wanted else {}))
            if wanted is None:
                world.profile(1, {}, ["language"])
            body = world.event().messages[0].body
            self.assertEqual((body["lang"], body["text"]), expected)


class Line27Identity(unittest.TestCase):
    def test_the_id_is_the_hash_of_cause_rule_subscription_and_recipient(self):
        world = World(SUBSCRIBED % "all")
        world.customer(258, [{"id": "mine", "kind": "s"}])
        message = world.event(customer=258).messages[0]
        expected = b"core\0" + STREAM + b"\x01" + b"\0" * 7 + b"s\0mine\0" + b"\x02\x01" + b"\0" * 6
        self.assertEqual(message.body["id"], xxh3_128(expected))

    def test_xxh3_128_of_known_inputs(self):
        # Vectors made with libxxhash 0.8.1; the first is in the XXH3 specification's own test list.
        for data, digest in [(b"", "99aa06d3014798d86001c324468d497f"), (b"abc", "06b05ab6733a618578af5f94892f3950"),
                             (b"abcdefgh", "dac23237af37353342b702b313880f12"), (b"a" * 16, "ff9f5054066830d0245750ddc4828d15"),
                             (b"a" * 100, "7d09cdccbc6bead248fb02115fe96a8a"), (b"a" * 200, "cffe968d25cc79dac8654f5c46034008"),
                             (bytes(range(256)) * 2, "111d5771df64cbcb1059105ad19bfa09")]:
            self.assertEqual(xxh3_128(data).hex(), digest, len(data))

    def test_xxh3_128_equals_the_c_library(self):
        try:
            library = ctypes.CDLL("libxxhash.so.0")
        except OSError:
            self.skipTest("libxxhash.so.0 is not installed")

        class Hash128(ctypes.Structure):
            _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

        library.XXH3_128bits.restype = Hash128
        library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        for size in list(range(0, 300)) + [1023, 1024, 1025, 1088, 2049]:
            data = random.Random(size).randbytes(size)
            found = library.XXH3_128bits(data, size)
            self.assertEqual(xxh3_128(data), found.high.to_bytes(8, "big") + found.low.to_bytes(8, "big"), size)


class Line28Message(unittest.TestCase):
    def test_the_frame_byte_for_byte(self):
        world = World()
        world.model.activate(catalogue.load_text(BANK, "critical: { c: { events: [buy], when: 'true', message: m, channels: [push] } }\n"
                                                 "messages: { m: { en: 'hi' } }", digest=bytes(range(16, 32))))
        world.customer(200)
        frame = world.event(customer=200, account=9, amount=5, balance=77, country=724, mcc=5411, touchpoint=2, flags=4).messages[0].frame
        identity = xxh3_128(b"core\0" + STREAM + (1).to_bytes(8, "little") + b"c\0\0" + (200).to_bytes(8, "little"))
        body = (b"\x89" + b"\xa2id\xc4\x10" + identity + b"\xa3leg\xa6push/1" + b"\xa9recipient\xcc\xc8"
                + b"\xa7channel\xa4push" + b"\xa4lang\xa2en" + b"\xa8category\xa8critical" + b"\xa4text\xa2hi" + b"\xa4rule\xa1c"
                + b"\xa9catalogue\xd9\x20101112131415161718191a1b1c1d1e1f")
        header = ((64 + len(body)).to_bytes(4, "little") + b"\x01\x06\x01\x00" + bytes(8) + (200).to_bytes(8, "little")
                  + (9).to_bytes(8, "little") + T.to_bytes(8, "little") + (5).to_bytes(8, "little") + bytes(8)
                  + EUR.to_bytes(2, "little") + bytes(6))
        self.assertEqual(frame.hex(), (header + body).hex())

    def test_an_empty_text_is_absent(self):
        world = World("critical: { c: { events: [buy], when: 'true', message: m } }\nmessages: { m: { en: '{event.shop}' } }")
        world.customer(1)
        self.assertNotIn("text", msgpack.decode_body(world.event(body={"shop": ""}).messages[0].frame[64:]))


class Line29Verdict(unittest.TestCase):
    RULES = """
fraud:
  thresholds: { review: 60, decline: 85 }
  rules:
    a: { events: [any], when: 'event.n >= 1', score: 50 }
    b: { events: [any], when: 'event.n >= 2', score: 10 }
    c: { events: [any], when: 'event.n >= 3', score: 25 }
    d: { events: [any], when: 'event.n >= 4', score: 2147483647 }
"""

    def test_thresholds(self):
        world = World(self.RULES)
        for n, expected in ((0, (0, 0, ())), (1, (0, 50, ("a",))), (2, (1, 60, ("a", "b"))), (3, (2, 85, ("a", "b", "c"))),
                            (4, (2, 2147483647, ("a", "b", "c", "d")))):
            self.assertEqual(tuple(world.event(body={"n": n}, flags=1).verdict), expected)

    def test_a_verdict_is_given_only_when_wanted(self):
        self.assertIsNone(World(self.RULES).event(body={"n": 3}).verdict)

    def test_at_most_eight_reasons(self):
        world = World("fraud: { rules: { %s } }" % ", ".join(f"r{i}: {{ events: [any], when: 'true', score: 1 }}" for i in range(10)))
        verdict = world.event(flags=1).verdict
        self.assertEqual((verdict.type, verdict.score, len(verdict.reasons)), (0, 10, 8))

    def test_what_fraud_does_not_judge_gets_review_and_its_outcome(self):
        world = World(self.RULES)
        world.event(body={"ref": "r", "stage": "posted"}, flags=1)
        for result in (world.event(raw=b"\xc1", flags=1), world.event(99, flags=1), world.event(body={"ref": "r", "stage": "posted"}, flags=1),
                       world.event(3, body={"of": "none"}, flags=3), world.event(at=-2 * DAY, body={"stage": "posted"}, flags=1)):
            self.assertEqual(tuple(result.verdict), (1, 0, (result.outcome,)))
        self.assertEqual([key[1] for key in world.model.counters if key[0] == "event"],
                         ["DECIDED", "BAD_BODY", "UNKNOWN_TYPE", "DUPLICATE_REF", "REVERSAL_UNMATCHED", "TOO_LATE"])


class Line30Profile(unittest.TestCase):
    def test_set_and_unset_by_name(self):
        world = World("fraud: { rules: { f: { events: [any], when: 'profile.level == 3', score: 1 } } }")
        self.assertEqual(world.profile(1, {"level": 3}), "APPLIED")
        self.assertEqual(rules(world.event()), ["f"])
        self.assertEqual(world.profile(1, None, ["level"]), "APPLIED")
        self.assertEqual(rules(world.event()), [])

    def test_an_unknown_name_or_wrong_type_refuses_the_whole(self):
        world = World("fraud: { rules: { f: { events: [any], when: 'profile.level == 3', score: 1 } } }")
        for set_, unset in (({"level": 3, "shoe": 4}, None), ({"level": 3, "vip": "yes"}, None), ({"level": 3}, ["shoe"]),
                            ({"level": "3"}, None), ({"level": True}, None), ({"limit": "1.001 EUR"}, None), ({"level": 1 << 63}, None)):
            self.assertEqual(world.profile(1, set_, unset), "REFUSED")
        self.assertEqual(world.model.customers, {})
        self.assertEqual(world.model.counters["change", "REFUSED"], 7)
        self.assertEqual(world.send(10, raw=b"\xc1", customer=1).outcome, "REFUSED")

    def test_an_imported_line_is_applied_whole_or_not_at_all(self):
        world = World(SUBSCRIBED % "all")
        world.customer(1, level=3)
        bad = {"customer": 1, "set": {"level": 9}, "subscriptions": [{"kind": "s"}, {"kind": "none"}]}
        self.assertRaises(model.Refuse, world.model.import_line, bad)
        self.assertRaises(model.Refuse, world.model.import_line, dict(bad, customer=2))
        self.assertEqual((world.model.customers[1].profile, list(world.model.customers)), ({"level": 3}, [1]))
        self.assertEqual(world.event().hits, [])

    def test_an_accounts_holders_are_replaced_as_a_whole(self):
        world = joint("all")
        self.assertEqual(world.profile(0, {"holders": [{"customer": 3, "role": "owner"}]}, account=9), "APPLIED")
        self.assertEqual(texts(world.event(account=9)), ["3 owner 1"])
        for bad in ([{"customer": 3, "role": "king"}], [{"role": "owner"}], [{"customer": i + 1, "role": "owner"} for i in range(65)]):
            self.assertEqual(world.profile(0, {"holders": bad}, account=9), "REFUSED")
        self.assertEqual(world.profile(0, {"colour": "red"}, account=9), "REFUSED")
        self.assertEqual(texts(world.event(account=9)), ["3 owner 1"])

    def test_the_accounts_record_is_in_scope(self):
        world = world_showing("{account.currency} {account.alias} {account.status} {account.holders}")
        world.account(9, (1, "owner"), (2, "owner"), currency="JPY", alias="día")
        self.assertEqual(texts(world.event(account=9)), ["392 día – 2"])

    def test_holders_of_different_party_are_refused(self):
        bank = BANK.replace("  vip:", "  party: { type: int }\n  vip:")
        world = World(bank=bank)
        world.customer(1, party=5)
        world.customer(2, party=5)
        world.customer(3)
        holders = lambda *numbers: {"holders": [{"customer": n, "role": "owner"} for n in numbers]}
        self.assertEqual(world.profile(0, holders(1, 2), account=9), "APPLIED")
        self.assertEqual(world.profile(0, holders(1, 3), account=9), "REFUSED")
        self.assertEqual(world.profile(0, holders(3), account=9), "APPLIED")


class Line31Subscribe(unittest.TestCase):
    RULES = """
subscriptions:
  s:
    events: [any]
    params: { least: { type: money, default: "1 EUR", min: "1 EUR", max: "10 EUR" }, n: { type: int, default: 1, min: 0, max: 9 }, name: { type: string, default: a } }
    when: 'event.amount >= param.least'
    message: m
messages: { m: { en: "{param.least, money} {param.n} {param.name}" } }
"""

    def world(self):
        world = World(self.RULES)
        world.customer(1)
        return world

    def test_a_new_one_is_on_and_its_id_is_its_kind(self):
        world = self.world()
        self.assertEqual(world.subscribe(1, kind="s"), "APPLIED")
        result = world.event()
        self.assertEqual((result.hits[0].subscription, texts(result)), ("s", ["€1.00 1 a"]))

    def test_the_same_id_changes_what_is_given_and_keeps_the_rest(self):
        world = self.world()
        world.subscribe(1, id="x", kind="s", params={"n": 5}, channels=["email"])
        world.subscribe(1, id="x", params={"name": "b"})
        message = world.event().messages[0]
        self.assertEqual((message.body["text"], message.body["channel"]), ("€1.00 5 b", "email"))
        world.subscribe(1, id="x", on=False)
        self.assertEqual(world.event().hits, [])
        world.subscribe(1, id="x", params={"n": 6})
        self.assertEqual(world.event().hits, [])
        world.subscribe(1, id="x", on=True)
        self.assertEqual(texts(world.event()), ["€1.00 6 b"])

    def test_what_is_refused(self):
        world = self.world()
        for body in ({"kind": "t"}, {"id": "x"}, {}, {"kind": "s", "params": {"speed": 1}}, {"kind": "s", "params": {"n": "1"}},
                     {"kind": "s", "params": {"n": 10}}, {"kind": "s", "params": {"n": -1}}, {"kind": "s", "params": {"least": "0.99 EUR"}},
                     {"kind": "s", "params": {"least": "20.02 USD"}}, {"kind": "s", "params": {"least": "5 GBP"}}, {"kind": "s", "on": 1},
                     {"kind": "s", "accounts": list(range(1, 18))}, {"kind": "s", "id": "x" * 64}):
            self.assertEqual(world.subscribe(1, **body), "REFUSED", body)
        self.assertEqual(world.event().hits, [])
        self.assertEqual(world.subscribe(1, kind="s", params={"least": "20.00 USD", "n": 9}), "APPLIED")

    def test_what_is_not_yet(self):
        world = self.world()
        for more in ({"frequency": "daily"}, {"at": "09:00"}, {"recipients": [2]}):
            self.assertEqual(world.subscribe(1, kind="s", **more), "NOT_YET")
        self.assertEqual(world.event().hits, [])
        self.assertEqual(world.subscribe(1, kind="s", frequency="now"), "APPLIED")


class Line32Manage(unittest.TestCase):
    def test_every_op_is_not_yet(self):
        self.assertEqual(World().send(15, body={"op": "merge"}).outcome, "NOT_YET")


class Line34Receipts(unittest.TestCase):
    def test_a_receipt_of_a_known_leg_and_any_readable_reply_are_applied(self):
        world = world_showing("x")
        body = world.event().messages[0].body
        receipt = lambda **more: world.send(7, body={"id": body["id"], "leg": "push/1", "status": "delivered", **more}).outcome
        self.assertEqual((receipt(), receipt(leg="push/2"), receipt(id=bytes(16))), ("APPLIED", "REFUSED", "REFUSED"))
        self.assertEqual(world.send(8, body={"text": "STOP"}, customer=1).outcome, "APPLIED")
        self.assertEqual(world.send(8, raw=b"\xc1", customer=1).outcome, "REFUSED")


class Line33Bodies(unittest.TestCase):
    """DESIGN 2: one map, string keys, UTF-8, no duplicates, no extensions, depth at most 4; declared types."""

    def outcome(self, raw):
        return World().event(raw=raw).outcome

    def test_what_is_a_bad_body(self):
        long = msgpack.encode({"shop": "x" * 1025})
        for raw in (b"\xc1", b"\x81", b"\x80\x00", b"\x90", b"\xc0", b"\x82\xa1a\x01\xa1a\x02", b"\x81\x01\x01", b"\x81\xa1a\xd4\x01\x00",
                    b"\x81\xa1a\xa1\xff", b"\x81\xa1a\xa2\xc0\x80", b"\x81\xa1a\xa3\xed\xa0\x80", long, msgpack.encode({"a": [[[[]]]]}),
                    msgpack.encode({"ref": ""}), msgpack.encode({"ref": "r" * 65}), msgpack.encode({"card": 5}), msgpack.encode({"stage": "paid"}),
                    msgpack.encode({"shop": 1}), msgpack.encode({"n": 1.5}), msgpack.encode({"n": 1 << 63}), msgpack.encode({"flag": 1}),
                    msgpack.encode({"x": "1"}), msgpack.encode({"original_amount": "1"})):
            self.assertEqual(self.outcome(raw), "BAD_BODY", raw)

    def test_what_is_a_good_body(self):
        for raw in (b"", b"\x80", b"\xde\x00\x00", b"\x81\xd9\x01a\xcd\x00\x01", msgpack.encode({"a": [[[]]]}), msgpack.encode({"shop": "x" * 1024}),
                    msgpack.encode({"ref": "r" * 64}), msgpack.encode({"x": 1.5, "n": -1, "flag": True}), msgpack.encode({"a": None, "b": b"\xff"}),
                    b"\x81\xa1x\xca\x3f\x80\x00\x00"):
            self.assertEqual(self.outcome(raw), "DECIDED", raw)

    def test_nil_stands_for_absent_and_an_int_for_a_double(self):
        world = World("fraud: { rules: { f: { events: [any], when: '!has(event.shop) && !has(event.card) && event.x == 2.0', score: 1 } } }")
        result = world.event(body={"shop": None, "card": None, "ref": None, "stage": None, "x": 2})
        self.assertEqual((result.outcome, rules(result)), ("DECIDED", ["f"]))
        self.assertEqual(world.event(3, body={"of": None}, flags=2).outcome, "BAD_BODY")

    def test_reserved_keys_have_types(self):
        for body, expected in [({"original_amount": -1}, "BAD_BODY"), ({"original_amount": 0}, "DECIDED"), ({"verdict": 1}, "BAD_BODY"),
                               ({"verdict": "approve"}, "DECIDED"), ({"original_currency": "EUR"}, "BAD_BODY"), ({"of": "r"}, "DECIDED"),
                               ({"nobody": 5}, "DECIDED")]:
            self.assertEqual(World().event(body=body).outcome, expected, body)
        self.assertEqual(World().event(99, body={"stage": "paid"}).outcome, "BAD_BODY")
        self.assertEqual(World().event(2, body={"shop": 5}).outcome, "DECIDED")  # declared for another type: unknown here

    def test_a_good_body_cut_anywhere_is_bad(self):
        whole = msgpack.encode({"ref": "r1", "n": 70000, "list": [1, {"a": -5}], "x": 0.5, "shop": "é" * 20})
        self.assertEqual(self.outcome(whole), "DECIDED")
        for size in range(1, len(whole)):
            self.assertEqual(self.outcome(whole[:size]), "BAD_BODY", size)

    def test_the_shortest_form(self):
        for what, expected in [(0, "00"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65535, "cdffff"), (65536, "ce00010000"),
                               ((1 << 32) - 1, "ceffffffff"), (1 << 32, "cf0000000100000000"), (-1, "ff"), (-32, "e0"), (-33, "d0df"),
                               (-128, "d080"), (-129, "d1ff7f"), (-32769, "d2ffff7fff"), (True, "c3"), (None, "c0"), ("", "a0"), (b"", "c400"),
                               ([], "90"), ({}, "80"), (1.0, "cb3ff0000000000000")]:
            self.assertEqual(msgpack.encode(what).hex(), expected, what)
        for count, prefix in [(31, "bf"), (32, "d920"), (255, "d9ff"), (256, "da0100")]:
            self.assertTrue(msgpack.encode("x" * count).hex().startswith(prefix))


FILTERED_BANK = BANK.replace("  salary: { code: 4 }\n", "  salary: { code: 4 }\n  chat: { code: 5, history: rules }\n  look: { code: 6, history: rules }\n")
FILTERED = """
aggregates:
  ever: { over: [buy], count: true }
fraud:
  rules:
    looked: { events: [look], when: 'agg.ever >= 0', score: 1 }
subscriptions:
  looks: { events: [look], when: 'event.amount >= 50 && agg.ever >= 0', message: w, repeat: every, channels: [push] }
messages:
  w: { en: 'looked, {agg.ever}' }
"""


class Line35Remembered(unittest.TestCase):
    """`look` is given conditions by hand, as a table would have them."""

    def world(self, **conditions):
        world = World(FILTERED, FILTERED_BANK)
        world.model.catalogue.interest.entries[6] = conditions
        return world

    def remembered(self, world, flags=0, **fields):
        values = dict(length=64, version=1, kind=3, type=6, sequence=1, customer=1, account=0, time=T, amount=100, balance=0,
                      currency=EUR, country=724, mcc=5411, touchpoint=1, flags=flags)
        return world.model.remembered(model.Header(**{**values, **fields}))

    def test_conditions_on_the_header(self):
        for conditions, fields, expected in [
            ({"amount": 100}, {}, True), ({"amount": 101}, {}, False), ({"amount": 101, "currency": USD}, {}, True),
            ({"amount": 101, "currency": USD}, {"currency": USD}, False), ({"amount": 101}, {"flags": 1}, True),
            ({"amount": 101}, {"flags": 2}, True), ({"amount": 101}, {"flags": 4}, True),
            ({"country": [724]}, {}, True), ({"country": [250]}, {}, False), ({"country": [250]}, {"country": 0}, True),
            ({"mcc": []}, {}, False), ({"mcc": []}, {"mcc": 0}, True), ({"touchpoint": [1, 3]}, {}, True),
            ({"touchpoint": [2]}, {}, False), ({"amount": 100, "country": [250]}, {}, False),
        ]:
            with self.subTest(conditions=conditions, fields=fields):
                self.assertEqual(self.remembered(self.world(**conditions), **fields), expected)

    def test_what_nothing_uses_is_dropped_and_the_unknown_is_kept(self):
        world = World(FILTERED, FILTERED_BANK)
        self.assertFalse(self.remembered(world, type=5))
        self.assertTrue(self.remembered(world, type=6))
        self.assertTrue(self.remembered(world, type=99))

    def test_somebody_concerned_has_a_subscription(self):
        world = self.world(enrolled=True)
        world.customer(1)
        world.account(70, (8, "owner"), (9, "delegate"))
        self.assertFalse(self.remembered(world, account=70))
        self.assertEqual(world.subscribe(9, kind="nonsense"), "REFUSED")
        self.assertFalse(self.remembered(world, account=70))
        self.assertEqual(world.subscribe(9, kind="looks", on=False), "APPLIED")
        self.assertTrue(self.remembered(world, account=70))
        self.assertFalse(self.remembered(world))
        self.assertFalse(self.remembered(world, account=71))
        self.assertTrue(self.remembered(world, customer=9))
        self.assertFalse(self.remembered(world, customer=0))


class Line36NotRemembered(unittest.TestCase):
    def world(self):
        world = World(FILTERED, FILTERED_BANK)
        world.model.catalogue.interest.entries[6] = "drop"
        world.customer(1, [{"kind": "looks"}])
        return world

    def test_its_rules_run_and_read(self):
        world = self.world()
        world.event(1)
        result = world.event(6, at=1)
        self.assertEqual((result.outcome, rules(result), texts(result)), ("DECIDED", ["looked", "looks"], ["looked, 1"]))

    def test_its_reference_is_not_looked_at(self):
        world = self.world()
        self.assertEqual(world.event(6, body={"ref": "R"}).outcome, "DECIDED")
        self.assertEqual(world.event(6, body={"ref": "R"}).outcome, "DECIDED")
        self.assertEqual(rules(world.event(6, body={"ref": "R", "stage": "request"})), ["looked"])
        self.assertEqual(outcome_of(world.event(6, body={"ref": "R", "stage": "released"})), [])
        self.assertEqual(world.event(6, body={"ref": "R", "stage": "released"}).outcome, "DECIDED")
        self.assertEqual(world.model.refs.by_name, {})
        self.assertEqual(world.event(1, body={"ref": "R", "stage": "authorised"}).outcome, "DECIDED")
        self.assertEqual(world.event(1, body={"ref": "R", "stage": "authorised"}).outcome, "DUPLICATE_REF")

    def test_it_is_too_late_like_any(self):
        world = self.world()
        world.event(1, at=25 * HOUR)
        self.assertEqual(world.event(6, at=HOUR).outcome, "DECIDED")
        self.assertEqual(world.event(6, at=HOUR - 1).outcome, "TOO_LATE")
        self.assertEqual(world.event(6, raw=b"\xc1").outcome, "BAD_BODY")

    def test_a_provisional_customer_is_not_remembered_longer(self):
        world = self.world()
        world.event(1, customer=5)
        world.event(1, at=6 * DAY)
        self.assertNotIn(4, world.model.customers)
        world.event(6, at=6 * DAY, customer=4)
        self.assertNotIn(4, world.model.customers)
        world.event(6, at=6 * DAY, customer=5)
        world.event(1, at=8 * DAY)
        result = world.event(1, at=8 * DAY, customer=5)
        self.assertEqual(result.outcome, "DECIDED")
        self.assertEqual(world.model.windows.read(world.model.catalogue.aggregates["ever"], (("customer",), (5,)), T + 8 * DAY, 99, False), 1)


class Line37EventClock(unittest.TestCase):
    def test_only_what_the_header_keeps_moves_it(self):
        for entry, flags, moves in [("drop", 0, False), ("drop", 4, True), ({"enrolled": True}, 0, False), ({"enrolled": True}, 4, True),
                                    ({"amount": 100}, 0, True), ({"amount": 101}, 0, False)]:
            with self.subTest(entry=entry, flags=flags):
                world = World(FILTERED, FILTERED_BANK)
                world.customer(1, [{"kind": "looks"}])
                world.model.catalogue.interest.entries[6] = entry
                world.event(1)
                result = world.event(6, at=40 * HOUR, flags=flags)
                self.assertEqual(result.outcome, "DECIDED")  # nothing is from the future on this clock
                self.assertEqual(world.model.now, T + 40 * HOUR * moves)
                self.assertEqual(world.event(1).outcome, "TOO_LATE" if moves else "DECIDED")

    def test_on_the_wall_clock_it_is_from_the_future(self):
        world = World(FILTERED, FILTERED_BANK, clock="wall", activate_at=T)
        self.assertEqual(world.event(5, at=300 * SECOND, now=T).outcome, "DECIDED")
        self.assertEqual(world.event(5, at=300 * SECOND + 1, now=T).outcome, "FROM_THE_FUTURE")


class Texts(unittest.TestCase):
    def test_money_as_each_language_writes_it(self):
        n = "\u00a0"
        for minor, currency, tag, expected in [
            (123450, EUR, "en", "€1,234.50"), (-500, EUR, "en", "-€5.00"), (5, EUR, "en", "€0.05"), (1234, JPY, "en", "¥1,234"),
            (1234500, KWD, "en", f"KWD{n}1,234.500"), (123450, EUR, "es", f"1234,50{n}€"), (1234550, EUR, "es", f"12.345,50{n}€"),
            (-500, EUR, "es", f"-5,00{n}€"), (500, USD, "es", f"5,00{n}US$"), (123450, EUR, "de", f"1.234,50{n}€"), (500, USD, "de", f"5,00{n}$"),
            (123450, EUR, "es-CO", f"EUR{n}1.234,50"), (123450, EUR, "es-MX", f"1234,50{n}€"), (123456789, USD, "en", "$1,234,567.89"),
        ]:
            self.assertEqual(text.money(Money(minor, currency), tag), expected)

    def test_a_currency_that_the_bank_has_no_rate_for_is_its_code_in_front(self):
        shown = [texts(world_showing("{event.amount, money}").event(amount=123450, currency=c))[0] for c in (GBP, USD, 0, 999)]
        self.assertEqual(shown, ["GBP\u00a01,234.50", "$1,234.50", "–", "–"])

    def test_dates_and_times_are_in_the_banks_zone(self):
        at = int(datetime(2026, 3, 28, 23, 30, tzinfo=timezone.utc).timestamp()) * SECOND
        self.assertEqual([text.date(at, tag, "Europe/Madrid") for tag in ("en", "es", "de", "es-CO")],
                         ["Mar 29, 2026", "29 mar 2026", "29. März 2026", "29 de mar de 2026"])
        world = world_showing("{event.time, date} {event.time, time}")
        self.assertEqual(texts(world.event(at=0)), ["Jan 15, 2026 11:00"])
        self.assertEqual(texts(world.event(at=181 * DAY))[0].split()[-1], "12:00")  # summer time

    def test_a_placeholder_without_data_is_a_dash_and_so_is_an_error(self):
        self.assertEqual(texts(world_showing("{event.shop}/{1 / event.n}").event(body={"n": 0})), ["–/–"])

    def test_a_text_is_cut_at_the_channels_length(self):
        bank = BANK.replace("max: 1000", "max: 5")
        for template, expected in (("12345", "12345"), ("123456", "1234…"), ("ñandúes", "ñand…")):
            self.assertEqual(texts(world_showing(template, bank=bank).event()), [expected])

    def test_quotes_as_in_message_format(self):
        for template, expected in [("It's", "It's"), ("It''s", "It's"), ("'{x}'", "{x}"), ("a'{'b", "a{b")]:
            self.assertEqual("".join(text.compile_template(template, None)), expected)

    def test_numbers(self):
        self.assertEqual([text.number(n, "es") for n in (1234, 12345, -12345)], ["1234", "12.345", "-12.345"])
        self.assertEqual([text.number(x, "en") for x in (1234.5, 0.12345, 2.0)], ["1,234.5", "0.123", "2"])


class Catalogues(unittest.TestCase):
    def test_yaml_is_read_as_1_2(self):
        loaded = catalogue.load_text(BANK.replace("country: ES", "country: NO").replace("USD: 0.5", "USD: 0.50"))
        self.assertEqual(loaded.documents[0]["bank"]["country"], "NO")
        self.assertEqual(loaded.rates.rates[USD], money.Rate(50, 2))

    def test_the_models_catalogues_load_and_use_every_construct(self):
        loaded = catalogue.load(os.path.join(HERE, "catalogue"))
        aggregates = loaded.aggregates.values()
        functions = set(catalogue.AGGREGATE_FUNCTIONS) - {"deviation", "distinct"}
        self.assertEqual({each.per for each in aggregates}, {("customer",), ("account",), ("card",)})
        for per in ("customer", "account", "card"):
            mine = [each for each in aggregates if each.per == (per,)]
            self.assertEqual({each.function for each in mine}, functions, per)
            for kind in ({each.before for each in mine}, {each.where is None for each in mine}, {each.within is None for each in mine}):
                self.assertEqual(len(kind), 2, per)
        self.assertLessEqual(len(loaded.aggregates), 64)
        aged = catalogue.load(os.path.join(HERE, "catalogue_aged"))
        self.assertFalse(aged.starts_empty)

    def test_cel_conformance_vectors(self):
        directory = os.path.join(HERE, "..", "..", "..", "shared", "cel")
        if not os.path.isdir(directory):
            self.skipTest("shared/cel is not there")
        good = 0
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                good += sum(self.vector(json.loads(line)) for line in file)
        self.assertGreaterEqual(good, 295)

    SCALAR = {"int": int, "double": float, "string": str, "bool": bool, "timestamp": cel.parse_timestamp, "duration": cel.parse_duration}

    def vector_value(self, written):
        """{"int": "5"} -> (type, value); None for what the rules do not have (bytes, maps, lists of several types)."""
        (kind, raw), = written.items()
        if kind in self.SCALAR:
            return kind, self.SCALAR[kind](raw)
        if kind != "list":
            return None
        items = [self.vector_value(each) for each in raw]
        if None in items or len({item[0] for item in items}) > 1:
            return None
        return cel.list_of(items[0][0] if items else ""), tuple(value for _, value in items)

    def vector(self, vector):
        """Whether the vector is in the part of CEL that rules may use; fails when its result is another."""
        values = {name: self.vector_value(bound) for name, bound in vector.get("bind", {}).items()}

        def resolve(name):
            kind, value = values.get(name) or (None, None)
            return cel.Symbol(kind, cel.PLAIN, lambda env: value) if kind else None

        try:
            typed = cel.compile_text(vector["expr"], resolve)
        except cel.Refused:
            return False
        found = typed.run(None)
        if "0001-01-01" in vector["expr"]:
            return False  # before what 64 bits of nanoseconds hold
        if vector.get("error"):
            self.assertIs(type(found), Bad, vector)
        else:
            _, expected = self.vector_value(vector["value"])
            self.assertTrue(found == expected or (found != found and expected != expected), (vector, found))
        return True


class Traffic(unittest.TestCase):
    def results(self, seed, frames, directory="catalogue", **options):
        made = traffic.make(seed, frames, 3, **options)
        world = model.Model("event")
        world.activate(catalogue.load(os.path.join(HERE, directory)))
        for line in made.bank.lines:
            world.import_line(line)
        for source in made.sources:
            world.source(source.number, source.name, source.stream)
        return world, [world.frame(i, number, frame) for i, (number, frame) in enumerate(made.in_order(), 1)]

    def test_the_same_seed_gives_the_same_traffic_and_messages(self):
        first, second = self.results(5, 1500)[1], self.results(5, 1500)[1]
        self.assertEqual([m.frame for r in first for m in r.messages], [m.frame for r in second for m in r.messages])

    def test_it_reaches_every_outcome_and_most_rules(self):
        world, results = self.results(7, 12000)
        self.assertEqual({r.outcome for r in results}, {"DECIDED", "BAD_BODY", "UNKNOWN_TYPE", "DUPLICATE_REF", "REVERSAL_UNMATCHED",
                                                       "TOO_LATE", "APPLIED", "REFUSED", "NOT_YET"})
        hit = {hit.rule for result in results for hit in result.hits}
        rules_ = set(world.catalogue.fraud) | set(world.catalogue.critical) | set(world.catalogue.subscriptions)
        self.assertEqual(rules_ - hit, set())
        self.assertEqual({hit.reason for result in results for hit in result.hits}, {None, "STALE", "PROVISIONAL", "NO_RECIPIENT"})
        self.assertEqual({m.body["lang"] for r in results for m in r.messages}, {"en", "es", "es-CO", "de"})
        self.assertGreater(world.refs.dropped, 0)

    def test_the_floors_add_up(self):
        world, results = self.results(9, 3000)
        counters = world.counters
        total = lambda floor: sum(value for key, value in counters.items() if key[0] == floor)
        self.assertEqual(total("event") + total("change"), len(results))
        self.assertEqual(total("hit"), sum(len(result.hits) for result in results))
        notices = sum(len(hit.recipients) for result in results for hit in result.hits)
        self.assertEqual(counters["notice", "created"], notices)
        self.assertEqual(counters["leg", "created"], sum(len(result.messages) for result in results))
        ids = [(m.body["id"], m.body["leg"]) for r in results for m in r.messages]
        self.assertEqual(len(ids), len(set(ids)))


def journal_of(directory, entries, now=0):
    """One segment with one batch per 200 entries (kind, source, bytes), as schemas/journal.md says."""
    os.makedirs(directory)
    data, chain, position = b"", bytes(16), 1
    for number, first in enumerate(range(0, len(entries), 200), 1):
        part, body, hashes = entries[first : first + 200], b"", b""
        for kind, source, payload in part:
            digest = bytes(16)
            if journal.xxhash:
                digest = journal.hash_bytes(journal.hash128(payload, kind | source << 8 | len(payload) << 32))
            body += journal.struct.pack("<IBBH", len(payload), kind, 0, source) + digest + payload + bytes(-len(payload) % 8)
            hashes += digest
        whole = chain + hashes + journal.hash_bytes(journal.hash128(b""))
        chain = journal.hash_bytes(journal.hash128(whole))
        size = 192 + len(body)
        padded = (size + 511) // 512 * 512
        header = journal.HEADER.pack(journal.MAGIC, 192, 0, 1, number, position, len(part), 0, size, padded, now, number - 1,
                                     bytes(16), bytes(16), chain, 1, bytes(52), journal.crc32c(body), 0)
        header = header[:188] + journal.struct.pack("<I", journal.crc32c(header[:188]))
        data += header + body + bytes(padded - size)
        position += len(part)
    with open(os.path.join(directory, "0000000000000001.seg"), "wb") as file:
        file.write(data + bytes(1024))


class Compare(unittest.TestCase):
    """The command, with a journal made here and the model's own messages in the engine's place."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        made = traffic.make(3, 600, 2)
        digest = journal.struct.pack("<QQ", 5, 9)  # low, high
        entries = [(journal.ACTIVATE, 0, digest + journal.struct.pack("<II", 1, 1) + b"blob")]
        for source in made.sources:
            name = source.name.encode()
            payload = source.stream + journal.struct.pack("<QQHB5x", 1, 1, len(name), 0) + name
            entries.append((journal.STREAM, source.number, payload))
        entries += [(journal.FRAME, number, frame) for number, frame in made.in_order()]
        journal_of(self.path("data/journal"), entries)
        world = model.Model("event")
        world.activate(catalogue.load(os.path.join(HERE, "catalogue"), bytes(7) + b"\x09" + bytes(7) + b"\x05"))
        self.write("bank.ndjson", made.bank.lines)
        for line in made.bank.lines:
            world.import_line(line)
        for source in made.sources:
            world.source(source.number, source.name, source.stream)
        results = [world.frame(i, n, f) for i, (n, f) in enumerate(made.in_order(), 2 + len(made.sources))]
        self.messages = [{"leg_number": i, "frame": m.frame.hex()} for i, m in enumerate((m for r in results for m in r.messages), 1)]
        self.outcomes = [{"position": r.position, "outcome": r.outcome} for r in results]

    def path(self, name):
        return os.path.join(self.temporary.name, name)

    def write(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def compare(self):
        self.write("messages", self.messages)
        self.write("outcomes", self.outcomes)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = compare.main(["--catalogue", os.path.join(HERE, "catalogue"), "--bank", self.path("bank.ndjson"), "--journal", self.path("data"),
                                 "--messages", self.path("messages"), "--outcomes", self.path("outcomes")])
        return code, said.getvalue()

    def test_the_same_is_equal(self):
        code, said = self.compare()
        self.assertEqual((code, said.split(",")[-1].strip()), (0, f"{len(self.messages)} messages"))

    def test_a_message_that_differs_in_one_letter_is_shown_with_its_field(self):
        frame = bytes.fromhex(self.messages[9]["frame"])
        self.messages[9]["frame"] = frame.replace(b"leg", b"lag", 1).hex()
        code, said = self.compare()
        self.assertEqual(code, 1)
        self.assertIn("message 10 (leg 10)", said)
        self.assertIn("leg: engine None", said)

    def test_a_missing_and_a_surplus_message_are_found(self):
        last = self.messages.pop()
        self.assertEqual(self.compare()[0], 1)
        self.messages += [last, dict(last, leg_number=10**6)]
        code, said = self.compare()
        self.assertEqual(code, 1)
        self.assertIn("the model has no more", said)

    def test_another_outcome_is_found(self):
        self.outcomes[50]["outcome"] = "FILTERED"
        code, said = self.compare()
        self.assertEqual(code, 1)
        self.assertIn("outcome: engine FILTERED", said)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
