#!/usr/bin/python3
"""constructs.py: what a catalogue may say, construct by construct, and random catalogues of those that the engine takes.

    constructs.py --moment build/release/moment              a line per construct: taken, or why not
    constructs.py --seed 1 --out DIR [--without NAME,NAME]   writes DIR/all.yaml, a random catalogue

Each construct has a probe: a small catalogue that `moment check` must either take or refuse as "not yet"; anything else is a
fault. A construct that is refused is left out of the random catalogues, and whoever compares counts it as skipped.
A random catalogue has up to 48 aggregates, patterns and lists, rules with random conditions, and rules that write the value of
every aggregate into a message, so that one wrong number anywhere differs by a byte. Its events are those of traffic.py --rich.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

BODIES = {
    "card.purchase": {"merchant": "string", "lat": "double", "lon": "double", "contactless": "bool", "items": "int", "slip": "timestamp"},
    "card.declined": {"merchant": "string", "reason": "string"},
    "card.refund": {"merchant": "string"},
    "card.reversal": {},
    "card.incremental": {"merchant": "string"},
    "atm.withdrawal": {"lat": "double", "lon": "double"},
    "transfer.out": {"payee": "string"},
    "transfer.in": {"payer": "string"},
    "salary": {},
    "fee": {"reason": "string"},
    "login": {"device": "string"},
    "balance.inquiry": {},
}
CODES = dict(zip(BODIES, (1, 2, 3, 4, 5, 6, 17, 18, 19, 300, 4000, 65535)))
GROUPS = {
    "debit": ["card.purchase", "card.incremental", "atm.withdrawal", "transfer.out", "fee"],
    "credit": ["transfer.in", "salary", "card.refund"],
    "card": ["card.purchase", "card.incremental", "card.declined", "atm.withdrawal"],
}
GROUPS["moves"] = GROUPS["debit"] + GROUPS["credit"]  # a group holds types only
ATTRIBUTES = {"language": "string", "home_country": "int", "limit": "money", "low": "int", "vip": "bool", "factor": "double", "segment": "string",
              "zone": "string"}


def events_yaml():
    lines = ["events:"]
    for name, body in BODIES.items():
        fields = ", ".join(f"{field}: {type_}" for field, type_ in body.items())
        lines.append(f"  {name}: {{ code: {CODES[name]}, history: full, body: {{ {fields} }} }}")
    return "\n".join(lines) + "\n"


def base_yaml(bank):
    groups = "\n".join(f"  {name}: [{', '.join(members)}]" for name, members in GROUPS.items())
    profile = "\n".join(f"  {name}: {{ type: {type_} }}" for name, type_ in ATTRIBUTES.items())
    return (f"bank: {{ {bank} }}\nrates: {{ USD: 0.9173, JPY: 0.006127, KWD: 2.9871 }}\nchannels: {{ push: {{ max: 90 }}, email: {{ max: 20000 }} }}\n"
            + events_yaml() + f"groups:\n{groups}\nprofile:\n{profile}\n")


BANK = "currency: EUR, zone: Europe/Madrid, country: ES, language: en, starts: empty, ref_memory: 2d"


def rule(when):
    return f"fraud: {{ rules: {{ f: {{ events: [card.purchase], when: \"{when}\", score: 1 }} }} }}"


def aggregate(spec):
    return f"aggregates: {{ a: {{ over: [card.purchase], {spec} }} }}"


PROBES = {
    "deviation": aggregate("deviation: base"),
    "distinct": aggregate("distinct: country, within: 1h"),
    "distinct for ever": aggregate("distinct: country"),
    "distinct of a body field": aggregate("distinct: body.merchant, within: 1h"),
    "record": aggregate("last: [time, country]") + "\n" + rule("has(agg.a.time)"),
    "record with body fields": aggregate("last: [time, lat, items]"),
    "record with body strings": aggregate("last: [time, merchant]"),
    "body ints": aggregate("sum: body.items"),
    "keys of several parts": aggregate("count: true, per: [customer, account]"),
    "per currency": aggregate("sum: amount, per: currency"),
    "bounded keys": aggregate("count: true, per: [customer, body.merchant], keys: 3"),
    "calendar": aggregate("count: true, calendar: month"),
    "400 days": aggregate("count: true, within: 400d"),
    "patterns": "patterns: { p: { within: 30m, unless: [fee], steps: [ { events: [login], when: 'has(event.device)', times: 2 }, { events: [fee] } ] } }\n"
                "fraud: { rules: { f: { events: [pattern.p], when: 'true', score: 1 } } }",
    "lists": "lists: { l: [1, country.ES] }\n" + rule("event.country in lists.l"),
    "list values": rule("[1, 2] + [3] == [1, 2, 3] && [1, 2][0] == 1 && size([1, 2]) == 2"),
    "macros": rule("[1, 2].exists(e, e == event.items) || [1].all(e, e > 0) || [1].exists_one(e, e > 0)"),
    "macros over lists": "lists: { l: [1, 2] }\n" + rule("lists.l.exists(e, e == event.items)"),
    "matches": rule("event.merchant.matches('^B[a-z]+$')"),
    "local": rule("local(event.time).getHours() < 3"),
    "geo.km": rule("geo.km(event.lat, event.lon, 40.4, -3.7) < 1.0"),
    "confidential": "fraud: { rules: { f: { events: [any], when: 'true', score: 1, confidential: true } } }",
    "zone names": rule("event.time.getHours('Europe/Madrid') < 3"),
}


def probe(moment, yaml):
    """None: taken; else what `moment check` says."""
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "all.yaml"), "w", encoding="utf-8") as file:
            file.write(base_yaml(BANK) + yaml + "\n")
        done = subprocess.run([moment, "check", directory], text=True, capture_output=True)
    said = (done.stdout + done.stderr).replace(directory + "/", "").strip().splitlines()
    return None if done.returncode == 0 else next((line for line in said if is_not_yet(line)), said[0])


def is_not_yet(words):
    return "not yet" in words or "not built yet" in words


def constructs_of(moment):
    """(names that are taken, {name: why not})"""
    said = {name: probe(moment, yaml) for name, yaml in PROBES.items()}
    return {name for name, why in said.items() if why is None}, {name: why for name, why in said.items() if why is not None}


def members(types):
    names = set()
    for name in types:
        names |= set(BODIES) if name == "any" else members(GROUPS[name]) if name in GROUPS else {name}
    return names


class Expressions:
    """Random expressions over what a rule, text or `where` may name. `body`: fields that may be named."""

    def __init__(self, rng, names, types, aggregates=None, subscription=False, lists=None, pattern=False):
        self.rng, self.names, self.types = rng, names, types
        self.aggregates = aggregates  # {expression: (type, unit)}, None in `where`
        self.subscription, self.lists = subscription, lists or {}
        inside = [set(BODIES[name].items()) for name in members(types)]
        self.body = sorted(set.intersection(*inside) if pattern else set.union(*inside))

    def has(self, construct):
        return construct in self.names

    def of_aggregate(self, type_, unit="plain"):
        return [name for name, kind in (self.aggregates or {}).items() if kind == (type_, unit)]

    def of_body(self, type_):
        return ["event." + field for field, kind in self.body if kind == type_]

    def integer(self, depth=1):
        rng = self.rng
        choices = ["event.country", "event.mcc", "event.touchpoint", "event.currency", "event.customer", "event.account", "profile.low",
                   "profile.home_country", "event.time.getHours()", "event.time.getDayOfWeek()", "event.time.getDayOfMonth('+05:45')",
                   "event.time.getDayOfYear()", "size(event.type)", str(rng.choice([0, 1, 2, 3, 7, 100, 724, 978, 5411, -4]))]
        choices += self.of_body("int") * 3 + self.of_aggregate("int") * 2
        if self.has("zone names"):
            choices += [f"event.time.getHours('{zone}')" for zone in ("Europe/Madrid", "Australia/Lord_Howe", "America/St_Johns")]
            choices += ["event.time.getMinutes('Asia/Kathmandu')", "event.time.getMonth('Pacific/Apia')", "event.time.getDate('America/Havana')"]
        if self.has("local"):
            choices += ["local(event.time).getHours()", "local(event.time).getDayOfWeek()", "local(event.time).getDayOfYear()"]
        if self.has("list values"):
            choices += ["[3, 724, 5][event.touchpoint]", "size([event.country, 2, 3])"]
        if self.aggregates is not None:
            choices += ["account.holders"]
        if depth and rng.random() < 0.4:
            return f"({self.integer(depth - 1)} {rng.choice('+-*/%')} {self.integer(depth - 1)})"
        if depth and rng.random() < 0.1:
            return f"int({self.double(depth - 1)})"
        return rng.choice(choices)

    def minor(self, unit):
        """An amount in minor units: EVENT or BASE."""
        choices = ["event.amount", "event.balance"] if unit == "event" else ["event.base"]
        choices += self.of_aggregate("int", unit) * 2
        amount = self.rng.choice(choices)
        return self.rng.choice([amount, amount, f"{amount} * 2", f"-{amount}", f"{amount} / 3", f"({amount} + {self.rng.choice(choices)})"])

    def double(self, depth=1):
        rng = self.rng
        choices = ["0.5", "2.5", "-1000.25", "profile.factor", "double(event.amount)", "double(event.base)"] + self.of_body("double") * 2
        choices += self.of_aggregate("double") * 3
        if self.has("geo.km") and self.of_body("double"):
            choices += ["geo.km(event.lat, event.lon, 40.4168, -3.7038)"]
            records = sorted({name.rpartition(".")[0] for name in self.of_aggregate("double") if name.endswith((".lat", ".lon"))})
            choices += [f"geo.km(event.lat, event.lon, {name}.lat, {name}.lon)" for name in records
                        if f"{name}.lat" in self.aggregates and f"{name}.lon" in self.aggregates]
        if depth and rng.random() < 0.4:
            return f"({self.double(depth - 1)} {rng.choice('+-*/')} {self.double(depth - 1)})"
        return rng.choice(choices)

    def text(self):
        choices = ["event.type", "event.stage", "event.ref", "event.card", "profile.segment", "profile.language", "'Bar'", "string(event.country)"]
        choices += self.of_body("string") * 3 + self.of_aggregate("string") * 3
        if self.aggregates is not None:
            choices += ["account.alias"]
        return self.rng.choice(choices)

    def timestamp(self):
        choices = ["event.time"] * 2 + self.of_body("timestamp") + self.of_aggregate("timestamp") * 3
        if self.has("local"):
            choices.append("local(event.time)")
        return self.rng.choice(choices)

    def in_list(self):
        rng = self.rng
        choices = [f"{self.integer(0)} in [1, {self.integer(0)}, 724]", "event.touchpoint in [touchpoint.online, touchpoint.web]",
                   f"{self.text()} in ['Bar', 'card.purchase', {self.text()}]", "event.amount in [1000, 5000, event.balance]"]
        for name, type_ in self.lists.items():
            choices += [f"{self.integer(0) if type_ == 'int' else self.text()} in lists.{name}"] * 2
            if self.has("macros over lists"):
                element = "x > " + self.integer(0) if type_ == "int" else "x != " + self.text()
                choices.append(f"lists.{name}.{rng.choice(['exists', 'all', 'exists_one'])}(x, {element})")
        if self.has("macros"):
            inner = f"[{self.integer(0)}, e].exists(f, f > e)" if rng.random() < 0.3 else f"e {rng.choice(['==', '<', '>='])} {self.integer(0)}"
            choices += [f"[{self.integer(0)}, {self.integer(0)}, 2].{rng.choice(['exists', 'all', 'exists_one'])}(e, {inner})"] * 2
        if self.has("list values"):
            choices.append(f"[{self.integer(0)}, 3] + [{self.integer(0)}] != [1, 3, 5]")
        return rng.choice(choices)

    def about_text(self):
        rng = self.rng
        choices = [f"{self.text()} == {self.text()}", f"{self.text()} < {self.text()}", f"{self.text()}.startsWith({rng.choice(['1', '2'])!r})",
                   f"{self.text()}.contains('a')", f"size({self.text()}) > 4", f"{self.text()}.endsWith({self.text()})"]
        if self.has("matches"):
            pattern = rng.choice(["^card[.]", "a+r$", "^[A-Z]", "[0-9]{3}", "(?i)BAR|caf.", "^(.*)o(.*)$", "é|ñ", "^$", "s.?e", r"\\d+", r"^\\w+\\W?\\w*$"])
            choices += [f"{self.text()}.matches('{pattern}')"] * 3
        return rng.choice(choices)

    def about_time(self):
        rng = self.rng
        span = rng.choice(["1s", "10m", "1h", "26h", "240h"])
        return rng.choice([f"{self.timestamp()} - {self.timestamp()} < duration('{span}')", f"{self.timestamp()} > {self.timestamp()} - duration('{span}')",
                           f"{self.timestamp()} <= {self.timestamp()}", f"({self.timestamp()} - {self.timestamp()}).getMinutes() % 7 < 3"])

    def comparison(self):
        rng = self.rng
        op = rng.choice(["<", "<=", ">", ">=", "==", "!="])
        unit = rng.choice(["event", "base"])
        limit = rng.choice([0, 500, 1000, 5000, 20000, 100000])
        choices = [f"{self.integer()} {op} {self.integer()}", f"{self.minor(unit)} {op} {limit}", f"{self.minor(unit)} {op} {self.minor(unit)}",
                   f"{self.double()} {op} {self.double()}", f"event.amount {op} money('{rng.choice(['10 EUR', '20.50 USD', '900 JPY', '3 GBP'])}')"]
        if self.subscription:
            choices += [f"event.amount {op} param.limit", f"event.customer {op} me.customer", "me.role in ['owner', 'guardian']"]
        return rng.choice(choices)

    def boolean(self, depth=2):
        rng = self.rng
        roll = rng.random()
        if depth and roll < 0.30:
            return f"({self.boolean(depth - 1)} {rng.choice(['&&', '||'])} {self.boolean(depth - 1)})"
        if depth and roll < 0.36:
            return f"!({self.boolean(depth - 1)})"
        if depth and roll < 0.42:
            return f"({self.boolean(0)} ? {self.boolean(depth - 1)} : {self.boolean(depth - 1)})"
        if roll < 0.50:
            return f"has({rng.choice([self.integer(0), self.text(), self.timestamp(), 'profile.vip'])})"
        if roll < 0.54:
            return rng.choice(["profile.vip"] + self.of_body("bool") * 2 + self.of_aggregate("bool") * 2)
        return rng.choice([self.comparison] * 3 + [self.in_list, self.in_list, self.about_text, self.about_time])()


SPANS = ["30s", "10m", "90m", "6h", "1d", "3d", "10d"]


class RandomCatalogue:
    def __init__(self, seed, names, aggregates=48):
        self.rng, self.names = random.Random(seed), names
        self.count = aggregates
        self.symbols = {}  # agg.a1 -> (type, unit)
        self.shown = []
        self.lists = {}
        self.bounds = {}

    def has(self, construct):
        return construct in self.names

    def text(self):
        bank = BANK
        if self.rng.random() < 0.3:
            bank = BANK.replace(", starts: empty", "").replace("Europe/Madrid", "America/Havana") + ", lateness: 6h"
        parts = [base_yaml(bank), self.lists_yaml(), self.aggregates_yaml()]
        patterns, listening = self.patterns_yaml()
        return "".join(parts + [patterns] + self.rules_yaml(listening))

    def lists_yaml(self):
        if not self.has("lists"):
            return ""
        self.lists = {"places": "int", "shops": "string", "one": "int"}
        return "lists: { places: [country.ES, 276, 5411, 3, -1], shops: [Bar, 'Shop 24', Café Ñandú, Ana, known], one: [7995] }\n"

    # ---- aggregates ----

    def aggregates_yaml(self):
        lines = ["aggregates:"]
        for number in range(self.count):
            lines.append(f"  a{number}: {{ {self.aggregate('agg.a' + str(number))} }}")
        return "\n".join(lines) + "\n"

    def over(self, field):
        """Types that all declare the body field, or any types."""
        rng = self.rng
        if field:
            having = [name for name, body in BODIES.items() if field in body]
            return rng.sample(having, rng.randint(1, len(having)))
        return rng.choice([["any"], ["debit"], ["moves"], ["card"], ["credit"], ["card.purchase"], ["card.purchase", "login"], ["transfer.out"], ["debit", "credit"]])

    def key(self):
        """(parts, the body field among them)"""
        rng = self.rng
        choices = [(["customer"], None)] * 3 + [(["account"], None), (["card"], None)]
        if self.has("keys of several parts"):
            choices += [(["customer", "account"], None), (["card", "account"], None), (["customer", "currency"], None)]
        if self.has("per currency"):
            choices += [(["currency"], None)]
        if self.has("bounded keys"):
            choices += [(["customer", "body.payee"], "payee"), (["body.merchant", "account"], "merchant"), (["body.payee"], "payee"),
                        (["customer", "body.device"], "device"), (["card", "body.merchant"], "merchant"), (["customer", "body.items"], "items")]
        return rng.choice(choices)

    def per_yaml(self, parts):
        if parts == ["customer"]:
            return ""
        written = parts[0] if len(parts) == 1 else f"[{', '.join(self.rng.sample(parts, len(parts)))}]"
        bound = ""
        if any(part.startswith("body.") for part in parts):
            bound = f", keys: {self.bounds.setdefault(frozenset(parts), self.rng.choice([1, 2, 3, 5, 200]))}"
        return f", per: {written}{bound}"

    def aggregate(self, name):
        rng = self.rng
        parts, key_field = self.key()
        over = self.over(key_field)
        one_currency = "account" in parts or "currency" in parts
        function, mixed = self.function(name, over, one_currency)
        ends = function.startswith("distinct") and not self.has("distinct for ever")
        where = Expressions(rng, self.names, over, lists=self.lists).boolean(1) if rng.random() < 0.3 else None
        options = [f"over: [{', '.join(over)}]", function + self.per_yaml(parts)] + (["mixed: true"] if mixed else [])
        roll = rng.random()
        if roll < 0.15 and self.has("calendar"):
            options.append("calendar: " + rng.choice(["day", "day", "week", "month"]))
        elif roll < 0.75 or ends:
            options.append("within: " + rng.choice(SPANS + (["400d"] if self.has("400 days") else [])))
        if rng.random() < 0.4:
            options.append("before: true")
        if where:
            options.append('where: "' + where.replace("\\", "\\\\").replace('"', '\\"') + '"')
        return ", ".join(options)

    def function(self, name, over, one_currency):
        """("sum: base", mixed?), and notes the symbols."""
        rng = self.rng
        declared = set.intersection(*[set(BODIES[type_].items()) for type_ in members(over)])
        choices = ["count", "count", "number", "number", "last"]
        for function in ("deviation", "distinct", "record"):
            if self.has(function):
                choices += [function] * 2
        function = rng.choice(choices)
        if function == "count":
            return self.note(name, "int", "plain", "count: true"), False
        if function == "distinct":
            fields = ["country", "mcc", "currency", "touchpoint", "customer"]
            if self.has("distinct of a body field"):
                fields += [f"body.{field}" for field, type_ in sorted(declared) if type_ != "double"] * 2
            return self.note(name, "int", "plain", f"distinct: {rng.choice(fields)}"), False
        if function in ("number", "deviation"):
            return self.number(name, "deviation" if function == "deviation" else rng.choice(["sum", "mean", "min", "max"]), declared, one_currency)
        return self.last(name, declared, one_currency, function == "record")

    def note(self, name, type_, unit, written):
        self.symbols[name] = (type_, unit)
        return written

    def number(self, name, function, declared, one_currency):
        rng = self.rng
        fields = ["base", "base", "amount", "balance"]
        if self.has("body ints"):
            fields += [f"body.{field}" for field, type_ in sorted(declared) if type_ == "int"] * 4
        field = rng.choice(fields)
        own = field in ("amount", "balance")
        mixed = own and (not one_currency or rng.random() < 0.2)
        derived = function in ("mean", "deviation")
        unit = "plain" if derived or mixed or field.startswith("body.") else "base" if field == "base" else "event"
        return self.note(name, "double" if derived else "int", unit, f"{function}: {field}"), mixed

    def last(self, name, declared, one_currency, record):
        rng = self.rng
        kinds = {"time": ("timestamp", "plain"), "country": ("int", "plain"), "mcc": ("int", "plain"), "currency": ("int", "plain"),
                 "touchpoint": ("int", "plain"), "customer": ("int", "plain"), "base": ("int", "base"),
                 "amount": ("int", "event" if one_currency else "plain"), "balance": ("int", "event" if one_currency else "plain")}
        if record and self.has("record with body fields"):
            kinds.update({field: (type_, "plain") for field, type_ in declared if type_ != "string" or self.has("record with body strings")})
        if not record:
            field = rng.choice(sorted(kinds))
            mixed = field in ("amount", "balance") and not one_currency
            return self.note(name, *kinds[field], f"last: {field}"), mixed
        fields = rng.sample(sorted(kinds), rng.randint(1, min(5, len(kinds))))
        if {"lat", "lon"} <= set(kinds) and rng.random() < 0.7:
            fields = ["lat", "lon"] + [field for field in fields if field not in ("lat", "lon")]
        for field in fields:
            self.symbols[f"{name}.{field}"] = kinds[field]
        return f"last: [{', '.join(fields)}]", not one_currency and bool({"amount", "balance"} & set(fields))

    # ---- patterns ----

    def patterns_yaml(self):
        """The section, and {pattern.NAME: types of the last step}."""
        if not self.has("patterns"):
            return "", {}
        rng, lines, listening = self.rng, ["patterns:"], {}
        for number in range(3):
            parts, key_field = rng.choice([(["customer"], None), (["account"], None), self.key()])
            steps = []
            for _ in range(rng.choice([1, 2, 2, 3])):
                events = self.over(key_field)
                when = Expressions(rng, self.names, events, lists=self.lists).boolean(0) if rng.random() < 0.5 else None
                written = f"{{ events: [{', '.join(events)}]" + (f", times: {rng.choice([2, 3])}" if rng.random() < 0.25 else "")
                if when:
                    written += ', when: "' + when.replace("\\", "\\\\").replace('"', '\\"') + '"'
                steps.append(written + " }")
            unless = f", unless: [{', '.join(self.over(key_field))}]" if rng.random() < 0.5 else ""
            lines.append(f"  p{number}: {{ within: {rng.choice(['5m', '1h', '1d', '3d'])}{self.per_yaml(parts)}{unless}, steps: [ {', '.join(steps)} ] }}")
            listening[f"pattern.p{number}"] = events
        return "\n".join(lines) + "\n", listening

    # ---- rules ----

    def quoted(self, expression):
        return '"' + expression.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def watchers(self):
        """(rules, messages): the value of each aggregate in a text."""
        rules, messages = [], []
        shown = [self.placeholder(name, *kind) for name, kind in self.symbols.items()]
        for number, first in enumerate(range(0, len(shown), 24)):
            rules.append(f"  w{number}: {{ events: [any], when: 'true', repeat: every, fresh: 400d, channels: [email], message: w{number} }}")
            messages.append(f"  w{number}: {{ en: \"{' '.join(shown[first:first + 24])}\" }}")
        return rules, messages

    @staticmethod
    def placeholder(name, type_, unit):
        if unit != "plain":
            return f"{{{name}, money}}"
        return {"double": f"{{string({name})}}", "timestamp": f"{{string({name})}}"}.get(type_, f"{{{name}}}")

    def rules_yaml(self, listening):
        rng = self.rng
        critical, messages = self.watchers()
        fraud, subscriptions = [], []
        for number in range(16):
            events = self.over(None)
            when = Expressions(rng, self.names, events, self.symbols, lists=self.lists).boolean(3)
            critical.append(f"  c{number}: {{ events: [{', '.join(events)}], when: {self.quoted(when)}, repeat: every, fresh: 400d, channels: [push], message: hit }}")
        for number in range(12):
            events = self.over(None)
            when = Expressions(rng, self.names, events, self.symbols, lists=self.lists).boolean(2)
            fraud.append(f"    f{number}: {{ events: [{', '.join(events)}], when: {self.quoted(when)}, score: {rng.choice([1, 5, 20, 40, -3])}"
                         + (", confidential: true" if self.has("confidential") and rng.random() < 0.2 else "") + " }")
        for number, (pattern, types) in enumerate(listening.items()):
            when = Expressions(rng, self.names, types, self.symbols, lists=self.lists, pattern=True).boolean(0) if rng.random() < 0.4 else "true"
            events = rng.choice([[pattern], [pattern, "login"]]) if when == "true" else [pattern]
            critical.append(f"  p{number}: {{ events: [{', '.join(events)}], when: {self.quoted(when)}, repeat: every, fresh: 400d, channels: [push], message: hit }}")
            fraud.append(f"    q{number}: {{ events: [{pattern}], when: 'true', score: 9 }}")
        for name, types in (("large", ["debit"]), ("watch_account", ["any"]), ("income", ["moves"])):
            when = Expressions(rng, self.names, types, self.symbols, subscription=True, lists=self.lists).boolean(3)
            params = "limit: { type: money, default: '80 EUR' }, threshold: { type: money, default: '10 EUR' }, often: { type: bool, default: true }"
            subscriptions.append(f"  {name}: {{ events: [{', '.join(types)}], params: {{ {params} }}, when: {self.quoted(when)}, repeat: every, for: all, fresh: 400d,"
                                 f" channels: [email], message: mine }}")
        rng.shuffle(critical)
        messages += ["  hit: { en: \"{event.type} {event.amount, money}\", es: \"{event.type}\" }", "  mine: { en: \"{me.customer} {me.role} {event.sequence}\" }"]
        return ["critical:\n", "\n".join(critical), "\nfraud:\n  thresholds: { review: 40, decline: 80 }\n  rules:\n", "\n".join(fraud),
                "\nsubscriptions:\n", "\n".join(subscriptions), "\nmessages:\n", "\n".join(messages), "\n"]


def random_catalogue(seed, names):
    return RandomCatalogue(seed, names).text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moment")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--without", default="")
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.moment:
        for name, yaml in PROBES.items():
            print(f"{name}: {probe(options.moment, yaml) or 'taken'}")
    if options.seed is not None:
        os.makedirs(options.out, exist_ok=True)
        with open(os.path.join(options.out, "all.yaml"), "w", encoding="utf-8") as file:
            file.write(random_catalogue(options.seed, set(PROBES) - set(options.without.split(","))))


if __name__ == "__main__":
    sys.exit(main())
