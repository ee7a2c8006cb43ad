"""model.py: the whole decision, one journal entry at a time, as SEMANTICS.md and docs/decisions.md say it.

In: a catalogue, a bank (import lines), journal entries. Out: per entry a Result with its outcome, hits, verdict
and the MESSAGE frames byte for byte (sequence 0, flags 0); and the counters of the ledger. The numbers in
brackets are lines of docs/decisions.md. Where those can be read in two ways, READINGS names the one taken.
"""
import copy
import struct
from collections import Counter
from typing import Any, NamedTuple, Optional

import catalogue as language
import msgpack
import text
from catalogue import CATEGORIES, ROLES, STAGES
from cel import BOOL, DOUBLE, INT, STRING, TIMESTAMP, Env
from interest import DROP, IF_ENROLLED, KEEP
from money import CURRENCIES, EXPONENTS
from refs import PARTS_MAX, Refs
from values import INT64_MAX, INT64_MIN, NO_DATA, RANGE, Bad, Money
from windows import ASK, Entry, Windows
from xxh3 import xxh3_128

SECOND = 10**9
FUTURE = 300 * SECOND
PROVISIONAL_MEMORY = 7 * 86400 * SECOND
REF_BYTES_MAX, NAME_BYTES_MAX = 64, 63
HOLDERS_MAX = CARDS_MAX = SUBSCRIPTIONS_MAX = 64
SUBSCRIPTION_ACCOUNTS_MAX = 16
REASONS_MAX = 8
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
KIND_EVENT, KIND_MESSAGE, KIND_PROFILE, KIND_SUBSCRIBE, KIND_MANAGE = 3, 6, 10, 11, 15
KIND_RECEIPT, KIND_REPLY = 7, 8
RESERVED = ("ref", "stage", "of", "card", "original_amount", "original_currency", "verdict")
FLAG_VERDICT, FLAG_REVERSAL = 1, 2
HEADER = struct.Struct("<IBBHQQQQqqHHHBB")

# What we took where a line of decisions.md can be read in two ways.
READINGS = {
    # 15: `released` takes out a transaction that has a `posted` already
    "released_takes_posted": False,
    # 19: without `before`, what came later in the journal with the event's own time belongs to its window
    "equal_time_later_belongs": True,
}


class Header(NamedTuple):
    length: int
    version: int
    kind: int
    type: int
    sequence: int
    customer: int
    account: int
    time: int
    amount: int
    balance: int
    currency: int
    country: int
    mcc: int
    touchpoint: int
    flags: int


class Hit(NamedTuple):
    rule: str
    subscription: str
    outcome: str  # NOTICED, SCORED, SUPPRESSED
    reason: Optional[str]
    recipients: tuple  # of its notices


class Verdict(NamedTuple):
    type: int  # 0 approve, 1 review, 2 decline
    score: int
    reasons: tuple


class Result(NamedTuple):
    position: int
    kind: int
    outcome: str
    hits: list
    messages: list  # of Message
    verdict: Any


class Message(NamedTuple):
    frame: bytes
    position: int  # of the event
    rule: str
    body: dict


class Subscription:
    def __init__(self, identity, kind):
        self.id = identity
        self.kind = kind
        self.on = True
        self.params = {}
        self.accounts = ()
        self.channels = ()


class Customer:
    def __init__(self):
        self.profile = None  # attribute -> value; None = no record, provisional
        self.subscriptions = {}  # id -> Subscription
        self.heard_now = None  # now of its last event that had an effect


class Refuse(Exception):
    def __init__(self, outcome="REFUSED"):
        super().__init__(outcome)
        self.outcome = outcome


class Event:
    """A frame of kind EVENT, read: its header, its body, and its fields as expressions see them."""

    def __init__(self, position, source, header, body):
        self.position = position
        self.source = source  # (name, stream)
        self.header = header
        self.body = body
        self.stage = None
        self.base = None  # the amount in the bank's currency, or a Bad
        self.entered = False
        self.gone = {}  # key -> what is known to be forgotten of it before the event
        self.codes = (header.type,)  # its type, and the pseudo types of the patterns that it completes
        self.env = None


def check_reserved(body, reversal):
    """The keys that every event may have (SEMANTICS 4, decisions 33). nil stands for absent."""
    for key in RESERVED:
        if key in body and body[key] is None:
            del body[key]
    for key in ("ref", "of", "card"):
        if key in body and (not isinstance(body[key], str) or not 1 <= len(body[key].encode()) <= REF_BYTES_MAX):
            raise msgpack.BadBody(key)
    if "stage" in body and body["stage"] not in STAGES:
        raise msgpack.BadBody("stage")
    if "original_amount" in body and not (is_int(body["original_amount"]) and body["original_amount"] >= 0):
        raise msgpack.BadBody("original_amount")
    if "original_currency" in body and not is_int(body["original_currency"]):
        raise msgpack.BadBody("original_currency")
    if "verdict" in body and not isinstance(body["verdict"], str):
        raise msgpack.BadBody("verdict")
    if reversal and "of" not in body:
        raise msgpack.BadBody("a reversal of nothing")


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and INT64_MIN <= value <= INT64_MAX


def body_value(raw, type_):
    """A declared field of a body; BadBody when it is of another type."""
    if type_ == DOUBLE and isinstance(raw, float):
        return raw
    if type_ == DOUBLE and is_int(raw):
        return float(raw)
    if (type_ == STRING and isinstance(raw, str)) or (type_ == BOOL and isinstance(raw, bool)):
        return raw
    if type_ in (INT, TIMESTAMP) and is_int(raw):
        return raw
    raise msgpack.BadBody("a field of another type")


class Model:
    def __init__(self, clock="event"):
        self.clock = clock
        self.now = 0
        self.catalogue = None
        self.customers = {}
        self.accounts = {}
        self.refs = Refs()
        self.windows = Windows(self.refs)
        self.sources = {}  # number -> (name, stream)
        self.counters = Counter()
        self.events_seen = False
        self.legs = set()  # (id, leg) of all messages

    # ---- what is not a frame ----

    def activate(self, catalogue, now=None, store_empty=None):
        if now is not None:
            self.now = max(self.now, now)
        empty = not self.events_seen if store_empty is None else store_empty
        self.refs.activate(catalogue, self.now)
        self.windows.activate(catalogue, self.now, catalogue.starts_empty and empty)
        self.catalogue = catalogue

    def source(self, number, name, stream):
        self.sources[number] = (name.encode(), stream)

    def move_clock(self, time):
        self.now = max(self.now, time)

    def import_line(self, line):
        """A line of what `moment import` takes, as a dict. Refuse is raised for a bad row."""
        if "account" in line:
            self.change_account(line["account"], line.get("set", {}), line.get("unset", []))
            return
        number = line["customer"]
        before = copy.deepcopy(self.customers.get(number))  # a line is applied whole or not at all
        try:
            self.change_customer(number, line.get("set", {}), line.get("unset", []))
            for subscription in line.get("subscriptions", []):
                self.change_subscription(number, subscription)
        except Refuse:
            self.customers.pop(number, None)
            if before is not None:
                self.customers[number] = before
            raise

    # ---- a frame ----

    def frame(self, position, source, frame, now=None):
        header = Header(*HEADER.unpack_from(frame))
        if self.clock == "wall":
            self.now = max(self.now, now)
        elif header.kind == KIND_EVENT and self.catalogue.interest.decide(header) == KEEP:
            self.now = max(self.now, header.time)  # [18, 37]
        if header.kind == KIND_EVENT:
            result = self.event(position, self.sources[source], header, frame[64:])
            self.counters["event", result.outcome] += 1
            self.events_seen = True
            return result
        outcome = self.change(header, frame[64:])
        if outcome is not None:
            self.counters["change", outcome] += 1
        return Result(position, header.kind, outcome, [], [], None)

    # ---- changes, receipts, replies [30 to 32, 34] ----

    def change(self, header, data):
        if header.kind not in (KIND_PROFILE, KIND_SUBSCRIBE, KIND_MANAGE, KIND_RECEIPT, KIND_REPLY):
            return None
        try:
            body = {key: value for key, value in msgpack.decode_body(data).items() if value is not None}  # [33]
            if header.kind == KIND_RECEIPT:
                check((body.get("id"), body.get("leg")) in self.legs)
            if header.kind in (KIND_RECEIPT, KIND_REPLY):
                return "APPLIED"
            if header.kind == KIND_MANAGE:
                raise Refuse("NOT_YET")
            if header.kind == KIND_SUBSCRIBE:
                self.change_subscription(header.customer, body)
            elif header.customer:
                self.change_customer(header.customer, body.get("set", {}), body.get("unset", []))
            else:
                self.change_account(header.account, body.get("set", {}), body.get("unset", []))
        except msgpack.BadBody:
            return "REFUSED"
        except Refuse as refuse:
            return refuse.outcome
        return "APPLIED"

    def change_customer(self, number, set_, unset):
        attributes = self.catalogue.attributes
        check(isinstance(set_, dict) and isinstance(unset, list))
        check(all(isinstance(name, str) and name in attributes for name in unset))
        changes = {}
        for name, raw in set_.items():
            check(name in attributes)
            changes[name] = language.value_of(raw, attributes[name].type)
            check(changes[name] is not None)
        self.forget_provisional(number)
        customer = self.customers.setdefault(number, Customer())
        if customer.profile is None:
            customer.profile = {}
        customer.profile.update(changes)
        for name in unset:
            customer.profile.pop(name, None)

    def change_account(self, number, set_, unset):
        check(isinstance(set_, dict) and isinstance(unset, list))
        names = ("holders", "currency", "alias", "status", "cards")
        check(all(name in names for name in unset))
        record = dict(self.accounts.get(number, {"holders": []}))
        for name, raw in set_.items():
            check(name in names)
            record[name] = getattr(self, "account_" + name)(raw)
        for name in unset:
            record.pop(name, None)
        record.setdefault("holders", [])
        check(self.one_party(record["holders"]))
        self.accounts[number] = record

    @staticmethod
    def account_holders(raw):
        check(isinstance(raw, list) and len(raw) <= HOLDERS_MAX)
        holders = []
        for each in raw:
            check(isinstance(each, dict) and isinstance(each.get("customer"), int) and each["customer"] > 0)
            check(each.get("role") in ROLES)
            holders.append((each["customer"], each["role"]))
        check(len({customer for customer, _ in holders}) == len(holders))
        return holders

    @staticmethod
    def account_currency(raw):
        if isinstance(raw, str):
            check(raw in CURRENCIES)
            return CURRENCIES[raw][0]
        check(raw in EXPONENTS)
        return raw

    @staticmethod
    def account_alias(raw):
        check(isinstance(raw, str))
        return raw

    account_status = account_alias

    @staticmethod
    def account_cards(raw):
        check(isinstance(raw, list) and len(raw) <= CARDS_MAX)
        for each in raw:
            check(isinstance(each, dict) and isinstance(each.get("card"), str))
            check(1 <= len(each["card"].encode()) <= REF_BYTES_MAX)
        return raw

    def one_party(self, holders):
        """[30] Holders of one account share `party`, by default the customer's own number; without a record: none."""
        if "party" not in self.catalogue.attributes:
            return True
        parties = set()
        for number, _ in holders:
            if self.profile(number) is not None:
                parties.add(self.profile(number).get("party", number))
        return len(parties) <= 1

    def change_subscription(self, number, body):
        kinds = self.catalogue.subscriptions
        customer = self.customers.get(number) or Customer()
        identity = body.get("id", body.get("kind"))
        check(isinstance(identity, str) and 1 <= len(identity.encode()) <= NAME_BYTES_MAX)
        old = customer.subscriptions.get(identity)
        kind = body.get("kind", old.kind if old else None)
        check(isinstance(kind, str) and kind in kinds)
        new = Subscription(identity, kind)
        if old and old.kind == kind:
            new.on, new.params, new.accounts, new.channels = old.on, dict(old.params), old.accounts, old.channels
        self.take_fields(new, kinds[kind], body)
        check(old or len(customer.subscriptions) < SUBSCRIPTIONS_MAX)
        if body.get("frequency", "now") != "now" or "at" in body or "recipients" in body:
            raise Refuse("NOT_YET")
        customer.subscriptions[identity] = new
        self.customers[number] = customer

    def take_fields(self, new, rule, body):
        if "on" in body:
            check(isinstance(body["on"], bool))
            new.on = body["on"]
        check(isinstance(body.get("params", {}), dict))
        for name, raw in body.get("params", {}).items():
            check(name in rule.params)
            new.params[name] = self.param(rule.params[name], raw)
        if "accounts" in body:
            accounts = body["accounts"]
            check(isinstance(accounts, list) and len(accounts) <= SUBSCRIPTION_ACCOUNTS_MAX)
            check(all(isinstance(each, int) and each > 0 for each in accounts))
            new.accounts = tuple(accounts)
        if "channels" in body:
            check(isinstance(body["channels"], list) and all(isinstance(each, str) for each in body["channels"]))
            new.channels = tuple(body["channels"])

    def param(self, param, raw):
        value = language.value_of(raw, param.type)
        check(value is not None)
        check(param.least is None or self.at_least(value, param.least))
        check(param.most is None or self.at_least(param.most, value))
        return value

    def at_least(self, value, least):
        if isinstance(value, Money) and value.currency != least.currency:
            value, least = self.catalogue.rates.to_base(*value), self.catalogue.rates.to_base(*least)
            check(type(value) is not Bad and type(least) is not Bad)
        return value >= least

    # ---- an event ----

    def event(self, position, source, header, data):
        event = Event(position, source, header, None)
        outcome, run = self.judge(event, data)
        hits, messages, verdict = [], [], None
        if run is not None:
            if event.env is None:
                self.prepare(event)
            score, reasons = 0, []
            for place in range(len(event.codes)):  # the rules of its type, then those of each pattern that it completes
                self.scope_of_actor(event)
                score += self.run_fraud(event, place, run, hits, reasons)
                if run != "request":
                    self.run_critical(event, place, run, hits, messages)
                    self.run_subscriptions(event, place, run, hits, messages)
            verdict = self.verdict(max(INT32_MIN, min(score, INT32_MAX)), reasons)
        else:
            verdict = Verdict(1, 0, (outcome,))  # [29]
        for hit in hits:
            self.counters["hit", hit.outcome] += 1
            if hit.reason:
                self.counters["suppressed", hit.reason] += 1
        return Result(position, KIND_EVENT, outcome, hits, messages, verdict if header.flags & FLAG_VERDICT else None)

    def judge(self, event, data):
        """(outcome, which rules run), in the order of [18]. None: no rules; "request": fraud only; "counted":
        rules without `stages` and those that list the event's; "listed": only the latter."""
        header, catalogue = event.header, self.catalogue
        reversal = bool(header.flags & FLAG_REVERSAL)
        type_ = catalogue.events.get(header.type)
        try:
            body = msgpack.decode_body(data)
            check_reserved(body, reversal)
            for name, field in (type_.body if type_ else {}).items():
                if body.get(name) is None:
                    body.pop(name, None)
                else:
                    body[name] = body_value(body[name], field)
        except msgpack.BadBody:
            return "BAD_BODY", None
        event.body = body
        event.stage = body.get("stage", "request" if header.flags & FLAG_VERDICT else "posted")  # [11]
        if type_ is None:
            return "UNKNOWN_TYPE", None
        if self.clock == "wall" and header.time > self.now + FUTURE:
            return "FROM_THE_FUTURE", None  # [18] never on the event clock
        event.base = catalogue.rates.to_base(header.amount, header.currency)
        self.forget_provisional(header.customer)
        if not self.remembered(header):
            return self.late(event, {"request": "request", "released": "listed"}.get(event.stage, "counted"))  # [36]
        self.refs.forget_old(self.now)
        outcome, run = self.judge_reference(event, reversal)
        if header.customer and outcome not in ("DUPLICATE_REF", "BAD_BODY"):
            self.customers.setdefault(header.customer, Customer()).heard_now = self.now  # [9]
        return outcome, run

    def remembered(self, header):
        """[35] Does anything stay of the event? By the filter, whether it ran or not."""
        decision = self.catalogue.interest.decide(header)
        if decision != IF_ENROLLED:
            return decision != DROP
        record = self.accounts.get(header.account) if header.account else None
        concerned = [header.customer] + [number for number, _ in (record["holders"] if record else [])]
        return any(number in self.customers and self.customers[number].subscriptions for number in concerned)

    def judge_reference(self, event, reversal):
        header, ref = event.header, None
        if "ref" in event.body:
            ref = self.refs.find(event.body["ref"], self.now)
            part = (event.stage, header.type)
            if ref is not None and part in ref.parts:
                return "DUPLICATE_REF", None  # [12]
            if ref is not None and len(ref.parts) >= PARTS_MAX:
                return "BAD_BODY", None
            if ref is None:
                ref = self.refs.remember(event.body["ref"], self.now, event.position)
            ref.parts.add(part)
        if reversal:
            return self.reversal(event)
        if event.stage == "request":
            return self.late(event, "request")
        if event.stage == "released":
            return self.released(event, ref)
        if ref is not None and ref.entry is not None:
            if event.stage == "posted":
                ref.entry.replace(header.amount, event.base, balance_of(header), header.currency)
            return self.late(event, "listed")  # [14]
        entry = self.enter(event, ref)
        if ref is not None:
            ref.entry = entry
        return self.late(event, "counted")

    def late(self, event, run):
        """[18] What is older than `lateness` keeps its effect and runs no rule."""
        if event.header.time < self.now - self.catalogue.lateness:
            return "TOO_LATE", None
        return "DECIDED", run

    def reversal(self, event):
        """[16]"""
        original = self.refs.find(event.body["of"], self.now)
        entry = original.entry if original else None
        if entry is None or not entry.alive or entry.currency != event.header.currency:
            return "REVERSAL_UNMATCHED", None
        entry.reverse(event.header.amount)
        return self.late(event, None)

    def released(self, event, ref):
        """[15]"""
        entry = ref.entry if ref else None
        if entry is None or not entry.alive or (entry.posted and not READINGS["released_takes_posted"]):
            return "REVERSAL_UNMATCHED", None
        entry.release()
        return self.late(event, "listed")

    # ---- windows ----

    def keys(self, event):
        """[6] parts -> key in the windows; None where the event does not have one of the parts."""
        header, fields = event.header, event.env.event
        have = {"customer": header.customer or None, "account": header.account or None, "card": event.body.get("card"),
                "currency": header.currency}
        keys = {}
        for parts in self.catalogue.keys:
            values = tuple(have[part] if part in have else fields.get(part) for part in parts)
            keys[parts] = None if None in values else (parts, values)
        return keys

    def enter(self, event, ref):
        """The counted event goes into the windows of its keys, once."""
        header = event.header
        event.entered = True
        self.prepare(event)
        entry = Entry()
        entry.time, entry.position = header.time, event.position
        entry.amount = entry.whole_amount = header.amount
        entry.base = entry.whole_base = None if type(event.base) is Bad else event.base
        entry.out_of_range = event.base is RANGE
        entry.balance, entry.currency = balance_of(header), header.currency
        entry.country, entry.mcc = header.country or None, header.mcc or None
        entry.touchpoint, entry.customer = header.touchpoint or None, header.customer
        entry.alive, entry.reversed, entry.posted, entry.released = True, 0, event.stage == "posted", False
        entry.body = {name[5:]: value for name, value in event.env.event.items() if name.startswith("body.")}
        entry.has_ref = ref is not None
        feeds = [
            each
            for each in self.catalogue.aggregates_of[header.type]
            if each.where is None or each.where.run(event.env) is True
        ]
        keys = self.keys(event)
        event.gone = {key: self.windows.gone(key, self.now) for key in keys.values() if key}
        self.windows.enter(keys, feeds, entry, self.now)
        for pattern in self.catalogue.patterns_of[header.type]:
            if keys[pattern.per] and self.windows.completes(pattern, keys[pattern.per], header.time, event.position,
                                                                     self.now):
                event.codes += (pattern.code,)
        return entry

    def forget_provisional(self, number):
        """[9] A customer without a record whose last event is more than 7 days ago has no windows any more."""
        customer = self.customers.get(number)
        if customer is None or customer.profile is not None or customer.heard_now is None:
            return
        if self.now - customer.heard_now > PROVISIONAL_MEMORY:
            self.windows.forget(number)

    # ---- what expressions see ----

    def prepare(self, event):
        header, body = event.header, event.body
        fields = {
            "type": self.catalogue.events[header.type].name,
            "sequence": header.sequence,
            "customer": header.customer,
            "account": header.account,
            "time": header.time,
            "amount": header.amount,
            "balance": header.balance if header.balance != INT64_MIN else NO_DATA,
            "base": event.base,
            "currency": header.currency,
            "country": header.country or NO_DATA,
            "mcc": header.mcc or NO_DATA,
            "touchpoint": header.touchpoint or NO_DATA,
            "stage": event.stage,
        }
        for key in ("ref", "card", "original_amount", "original_currency"):
            fields[key] = body.get(key, NO_DATA)
        for name in self.catalogue.events[header.type].body:
            if name in body:
                fields["body." + name] = body[name]
        env = event.env = Env()
        env.event = fields
        env.account = self.accounts.get(header.account) if header.account else None
        self.scope_of_actor(event)
        env.currency = header.currency
        env.rates = self.catalogue.rates
        env.zone_of = self.catalogue.zone_of
        env.agg = self.aggregate_reader(event)

    def scope_of_actor(self, event):
        event.env.profile = self.profile(event.header.customer)
        event.env.customer = event.env.role = NO_DATA
        event.env.params = {}

    def profile(self, number):
        customer = self.customers.get(number) if number else None
        return customer.profile if customer else None

    def aggregate_reader(self, event):
        """The same values for every holder: those of the event's keys, calendars in its actor's zone [6]."""
        keys, known, zone = self.keys(event), {}, self.catalogue.zone_of(event.env.profile)

        def read(name):
            if name not in known:
                aggregate = self.catalogue.aggregates[name]
                key = keys[aggregate.per]
                gone = event.gone[key] if aggregate.before and key in event.gone else ASK
                known[name] = self.windows.read(aggregate, key, event.header.time, event.position, event.entered, zone, self.now, gone)
            return known[name]

        return read

    # ---- rules ----

    @staticmethod
    def runs(rule, event, run):
        """[13, 14] A rule that lists stages runs on those; one that does not, on counted events, and a fraud
        rule on requests too."""
        if rule.stages is not None:
            return event.stage in rule.stages
        return run in ("counted", "request")

    @staticmethod
    def listens(rule, event, place):
        """Is it the first of the event's type and patterns that the rule names? It runs once."""
        return event.codes[place] in rule.types and rule.types.isdisjoint(event.codes[:place])

    def holds(self, rule, env):
        value = rule.when.run(env)
        if type(value) is Bad:
            self.counters["no_data" if value is NO_DATA else "error", rule.name] += 1
            return False
        return value

    def run_fraud(self, event, place, run, hits, reasons):
        """The sum of the scores; the names of those that scored go to `reasons`."""
        score = 0
        for rule in self.catalogue.fraud_of[event.codes[place]]:
            if self.listens(rule, event, place) and self.runs(rule, event, run) and self.holds(rule, event.env):
                score += rule.score
                reasons += [] if rule.confidential else [rule.name]
                hits.append(Hit(rule.name, "", "SCORED", None, ()))
        return score

    def verdict(self, score, reasons):
        type_ = 2 if score >= self.catalogue.score_decline else 1 if score >= self.catalogue.score_review else 0
        return Verdict(type_, max(0, score), tuple(reasons[:REASONS_MAX]))

    def holders(self, event):
        """[5] [(customer, role)]"""
        header = event.header
        record = self.accounts.get(header.account) if header.account else None
        if record is not None:
            return record["holders"]
        return [(header.customer, "owner")] if header.customer else []

    def run_critical(self, event, place, run, hits, messages):
        for rule in self.catalogue.critical_of[event.codes[place]]:
            if self.listens(rule, event, place) and self.runs(rule, event, run) and self.holds(rule, event.env):
                actor = event.header.customer
                recipients = [actor] if actor else []
                for customer, role in self.holders(event):
                    if role in ("owner", "co_owner") and customer not in recipients:
                        recipients.append(customer)
                hits.append(self.notify(event, rule, None, recipients, messages))

    def run_subscriptions(self, event, place, run, hits, messages):
        kinds = self.catalogue.subscriptions
        for number, role in self.holders(event):
            customer = self.customers.get(number)
            if customer is None or not customer.subscriptions:
                continue
            known = [each for each in customer.subscriptions.values() if each.kind in kinds and each.on]
            for subscription in sorted(known, key=lambda s: (kinds[s.kind].number, s.id.encode())):  # [8]
                rule = kinds[subscription.kind]
                if self.listens(rule, event, place) and self.concerns(event, run, rule, subscription, number, role):
                    self.scope(event, customer, number, role, rule, subscription)
                    if self.holds(rule, event.env):
                        hits.append(self.notify(event, rule, subscription, [number], messages))

    def concerns(self, event, run, rule, subscription, number, role):
        header = event.header
        if not self.runs(rule, event, run):
            return False
        if subscription.accounts and header.account not in subscription.accounts:
            return False
        whom = rule.for_whom or ("own" if role in ("authorised", "delegate") else "all")
        return whom == "all" or header.customer == number

    @staticmethod
    def scope(event, customer, number, role, rule, subscription):
        env = event.env
        env.profile = customer.profile
        env.customer, env.role = number, role
        env.params = {name: subscription.params.get(name, param.initial) for name, param in rule.params.items()}

    # ---- notices, legs, messages ----

    def notify(self, event, rule, subscription, recipients, messages):
        identity = subscription.id if subscription else ""
        if event.header.time < self.now - rule.fresh:
            return Hit(rule.name, identity, "SUPPRESSED", "STALE", ())  # [24]
        if not recipients:
            return Hit(rule.name, identity, "SUPPRESSED", "NO_RECIPIENT", ())
        known = [number for number in recipients if self.profile(number) is not None]
        if not known:
            return Hit(rule.name, identity, "SUPPRESSED", "PROVISIONAL", ())  # [9]
        for number in known:
            self.counters["notice", "created"] += 1
            channel = self.channel(rule, subscription)
            if channel is None:
                self.counters["notice", "UNREACHABLE"] += 1
                continue
            self.counters["leg", "created"] += 1
            messages.append(self.message(event, rule, identity, number, channel))
        return Hit(rule.name, identity, "NOTICED", None, tuple(known))

    def channel(self, rule, subscription):
        """[25]"""
        for wanted in (subscription.channels if subscription else (), rule.channels):
            for channel in wanted:
                if channel in self.catalogue.channels:
                    return channel
        return None

    def message(self, event, rule, identity, recipient, channel):
        header, catalogue = event.header, self.catalogue
        tag, template = catalogue.text_for(rule, self.language(recipient))
        conditions = event.env.profile
        event.env.profile = self.profile(recipient)  # [26]
        words = text.render(template, tag, event.env, catalogue.zone, catalogue.channels[channel])
        event.env.profile = conditions
        body = {
            "id": self.message_id(event, rule, identity, recipient),
            "leg": channel + "/1",
            "recipient": recipient,
            "channel": channel,
            "lang": tag,
            "category": rule.category,
            "text": words,
            "rule": rule.name,
            "catalogue": catalogue.digest.hex(),
        }
        self.legs.add((body["id"], body["leg"]))
        packed = msgpack.encode({key: value for key, value in body.items() if value != ""})
        frame = HEADER.pack(64 + len(packed), 1, KIND_MESSAGE, CATEGORIES[rule.category], 0, recipient, header.account,
                            header.time, header.amount, 0, header.currency, 0, 0, 0, 0)
        return Message(frame + packed, event.position, rule.name, body)

    def language(self, number):
        if "language" not in self.catalogue.attributes:
            return None
        value = self.profile(number).get("language", self.catalogue.attributes["language"].initial)
        return None if type(value) is Bad else value

    @staticmethod
    def message_id(event, rule, identity, recipient):
        """[27]"""
        name, stream = event.source
        return xxh3_128(
            name + b"\0" + stream + event.header.sequence.to_bytes(8, "little") + rule.name.encode() + b"\0"
            + identity.encode() + b"\0" + recipient.to_bytes(8, "little")
        )


def check(condition):
    """What a change may not have refuses the whole of it."""
    if not condition:
        raise Refuse()


def balance_of(header):
    return None if header.balance == INT64_MIN else header.balance
