"""catalogue.py: a directory of YAML files -> what the model walks through. Trusts that `moment check` passed.

YAML is read as 1.2's core schema has it: only true/false, decimal ints and null are anything else than text, so that
`NO` stays a country and `0.0062` an exact decimal.
"""
import glob
import os
import re
from typing import Any, NamedTuple, Optional

import yaml

import cel
import text
from cel import BASE, BOOL, DOUBLE, DURATION, EVENT, INT, MONEY, PLAIN, STRING, TIMESTAMP, Refused, Symbol
from interest import Interest
from money import COUNTRIES, CURRENCIES, Rates, parse_decimal, parse_money
from values import NO_DATA

SECOND = 10**9
DURATION_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND,
                  "w": 7 * 86400 * SECOND}
TOUCHPOINTS = ["", "pos", "online", "atm", "branch", "app", "web", "call_centre", "batch", "social", "messaging",
               "email", "letter"]
CATEGORIES = {"critical": 1, "regulatory": 2, "alert": 3, "service": 4, "collections": 5, "advice": 6, "offer": 7}
STAGES = ("request", "authorised", "posted", "released")
ROLES = ("owner", "co_owner", "authorised", "guardian", "delegate")
# Names of ISO 18245 codes that a catalogue may write as mcc.NAME.
MCC = {"gambling": 7995}

EVENT_FIELDS = {
    "type": (STRING, PLAIN), "sequence": (INT, PLAIN), "customer": (INT, PLAIN), "account": (INT, PLAIN),
    "time": (TIMESTAMP, PLAIN), "amount": (INT, EVENT), "balance": (INT, EVENT), "base": (INT, BASE),
    "currency": (INT, PLAIN), "country": (INT, PLAIN), "mcc": (INT, PLAIN), "touchpoint": (INT, PLAIN),
    "stage": (STRING, PLAIN), "ref": (STRING, PLAIN), "card": (STRING, PLAIN), "original_amount": (INT, PLAIN),
    "original_currency": (INT, PLAIN),
}
ACCOUNT_FIELDS = {"currency": INT, "alias": STRING, "status": STRING, "holders": INT}
AGGREGATE_FUNCTIONS = ("count", "sum", "mean", "min", "max", "last")


class EventType(NamedTuple):
    name: str
    code: int
    body: dict  # field -> type
    full: bool


class Attribute(NamedTuple):
    type: str
    initial: Any


class Aggregate(NamedTuple):
    name: str
    function: str
    field: Optional[str]
    per: str
    within: Optional[int]  # ns; None = for ever
    before: bool
    types: frozenset  # codes
    where: Any  # Typed or None
    identity: str  # of its definition: its state survives a reload exactly when this stays
    mixed: bool


class Param(NamedTuple):
    type: str
    initial: Any
    least: Any
    most: Any


class Rule(NamedTuple):
    name: str
    section: str
    number: int
    types: frozenset
    when: Any
    stages: Optional[frozenset]
    score: int
    category: Optional[str]
    fresh: Optional[int]
    message: Optional[str]
    channels: tuple
    for_whom: Optional[str]
    params: dict


class Loader(yaml.SafeLoader):
    pass


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), "tf")
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^[-+]?(0|[1-9][0-9]*)$"), "-+0123456789")
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])


def parse_span(text_):
    """"10m", "90d", "1h30m" -> ns."""
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d|w)", str(text_))
    if not parts or "".join(n + u for n, u in parts) != text_:
        raise Refused(f"no duration: {text_!r}")
    return sum(int(number) * DURATION_UNITS[unit] for number, unit in parts)


def read_files(directory):
    """[section document, ...] by file name, byte order."""
    names = sorted(glob.glob(os.path.join(directory, "*.yaml")), key=os.fsencode)
    return [yaml.load(open(name, encoding="utf-8"), Loader) or {} for name in names]


def value_of(raw, type_):
    """A default, parameter or attribute as written in YAML, JSON or a frame; None when it is no `type_`."""
    if type_ == BOOL:
        return raw if isinstance(raw, bool) else None
    if isinstance(raw, bool):
        return None
    if type_ in (INT, TIMESTAMP) and isinstance(raw, int):
        return raw if -(1 << 63) <= raw < 1 << 63 else None
    if type_ == DOUBLE and isinstance(raw, (int, float)):
        return float(raw)
    if not isinstance(raw, str):
        return None
    if type_ == STRING:
        return raw if len(raw.encode()) <= 1024 else None
    if type_ == MONEY:
        return parse_money(raw)
    if type_ == TIMESTAMP:
        return cel.parse_timestamp(raw)
    if type_ == DURATION:
        try:
            return parse_span(raw)
        except Refused:
            return None
    return None


def yaml_value(raw, type_):
    """The same for what stands in a catalogue, where a constant may stand too."""
    if type_ == DOUBLE and isinstance(raw, str):
        raw = float(raw)
    if type_ == INT and isinstance(raw, str):
        symbol = constant(*raw.split("."))
        raw = symbol.get(None) if symbol else None
    value = value_of(raw, type_)
    if value is None:
        raise Refused(f"{raw!r} is no {type_}")
    return value


def constant(space, name):
    """country.ES, currency.EUR, touchpoint.pos, mcc.gambling; None."""
    if space == "country":
        number = COUNTRIES.get(name)
    elif space == "currency":
        number = CURRENCIES[name][0] if name in CURRENCIES else None
    elif space == "touchpoint":
        number = TOUCHPOINTS.index(name) if name in TOUCHPOINTS[1:] else None
    else:
        number = MCC.get(name) if space == "mcc" else None
    return None if number is None else Symbol(INT, PLAIN, lambda env: number)


class Catalogue:
    def __init__(self, documents, digest=bytes(16), directory=None):
        """documents: the files' contents in order; digest: 16 bytes, high then low half big-endian, as messages
        show it."""
        self.digest = digest
        self.documents = documents
        self.read_bank(self.section("bank"))
        self.read_events(self.section("events"), self.section("groups"))
        self.attributes = {}
        for name, spec in self.section("profile").items():
            initial = yaml_value(spec["default"], spec["type"]) if "default" in spec else NO_DATA
            self.attributes[name] = Attribute(spec["type"], initial)
        self.channels = {name: (spec or {}).get("max", 1 << 30) for name, spec in self.section("channels").items()}
        self.aggregates = {}
        for name, spec in self.section("aggregates").items():
            self.aggregates[name] = self.aggregate(name, spec)
        self.read_fraud()
        self.critical = self.read_rules("critical", self.section("critical"))
        self.subscriptions = self.read_rules("subscription", self.section("subscriptions"))
        self.read_messages(self.section("messages"))
        self.index_rules()
        self.interest = Interest(self, directory)

    def section(self, name):
        merged = {}
        for document in self.documents:
            merged.update(document.get(name) or {})
        return merged

    # ---- bank, events, groups ----

    def read_bank(self, bank):
        number = CURRENCIES[bank["currency"]][0]
        rates = {CURRENCIES[code][0]: parse_decimal(str(rate)) for code, rate in self.section("rates").items()}
        self.rates = Rates(number, rates)
        self.zone = bank.get("zone", "UTC")
        self.lateness = parse_span(bank.get("lateness", "24h"))
        self.ref_memory = parse_span(bank.get("ref_memory", "35d"))
        self.refs_max = int((bank.get("memory") or {}).get("refs", 4 << 20))
        self.starts_empty = bank.get("starts") == "empty"
        self.bank_language = bank.get("language", "en")

    def read_events(self, events, groups):
        self.events = {}
        self.codes = {}
        self.fields = {}
        for name, spec in events.items():
            body = dict(spec.get("body") or {})
            self.fields.update(body)
            event = EventType(name, spec["code"], body, spec.get("history", "full") == "full")
            self.events[event.code] = event
            self.codes[name] = event.code
        self.groups = {name: self.types(members) for name, members in groups.items()}
        self.groups["any"] = frozenset(self.codes.values())

    def types(self, names):
        if isinstance(names, str):
            names = [names]
        codes = set()
        for name in names:
            if name in self.codes:
                codes.add(self.codes[name])
            else:
                codes |= self.groups[name]
        return frozenset(codes)

    # ---- what names mean ----

    def resolver(self, section, params=None):
        def resolve(name):
            space, _, rest = name.partition(".")
            if space == "event":
                return self.event_symbol(rest)
            if space == "profile" and rest in self.attributes:
                return self.profile_symbol(rest)
            if space in ("country", "currency", "touchpoint", "mcc"):
                return constant(space, rest)
            if section == "where":
                return None
            if space == "account" and rest in ACCOUNT_FIELDS:
                return Symbol(ACCOUNT_FIELDS[rest], PLAIN, account_getter(rest))
            if space == "agg" and rest in self.aggregates:
                return self.aggregate_symbol(self.aggregates[rest])
            if section == "subscription" and space == "me":
                return {"customer": Symbol(INT, PLAIN, lambda env: env.customer),
                        "role": Symbol(STRING, PLAIN, lambda env: env.role)}.get(rest)
            if space == "param" and params and rest in params:
                return Symbol(params[rest].type, PLAIN, lambda env: env.params[rest])
            return None

        return resolve

    def event_symbol(self, field):
        if field in EVENT_FIELDS:
            type_, unit = EVENT_FIELDS[field]
            return Symbol(type_, unit, lambda env: env.event[field])
        if field in self.fields:
            key = "body." + field
            return Symbol(self.fields[field], PLAIN, lambda env: env.event.get(key, NO_DATA))
        return None

    def profile_symbol(self, name):
        type_, initial = self.attributes[name]

        def get(env):
            if env.profile is None:  # nobody, or no record: the catalogue's defaults do not apply (decisions 7)
                return NO_DATA
            return env.profile.get(name, initial)

        return Symbol(type_, PLAIN, get)

    @staticmethod
    def aggregate_symbol(aggregate):
        function, field = aggregate.function, aggregate.field
        type_ = DOUBLE if function == "mean" else TIMESTAMP if field == "time" else INT
        unit = PLAIN
        if type_ == INT and field == "base":
            unit = BASE
        if type_ == INT and field in ("amount", "balance") and aggregate.per == "account" and not aggregate.mixed:
            unit = EVENT
        name = aggregate.name
        return Symbol(type_, unit, lambda env: env.agg(name))

    # ---- aggregates ----

    def aggregate(self, name, spec):
        functions = [function for function in AGGREGATE_FUNCTIONS if function in spec]
        if len(functions) != 1:
            raise Refused(f"aggregate {name}: one function")
        function = functions[0]
        field = None if function == "count" else spec[function]
        types = self.types(spec["over"])
        where = cel.compile_text(spec["where"], self.resolver("where"), BOOL) if "where" in spec else None
        within = parse_span(spec["within"]) if "within" in spec else None
        per = spec.get("per", "customer")
        before, mixed = bool(spec.get("before")), bool(spec.get("mixed"))
        identity = repr((function, field, per, within, before, mixed, sorted(types), spec.get("where")))
        return Aggregate(name, function, field, per, within, before, types, where, identity, mixed)

    # ---- rules ----

    def read_fraud(self):
        fraud = self.section("fraud")
        rules = {}
        for document in self.documents:
            part = document.get("fraud") or {}
            rules.update(part.get("rules") or {})
        thresholds = fraud.get("thresholds") or {}
        self.score_review = thresholds.get("review", (1 << 31) - 1)
        self.score_decline = thresholds.get("decline", (1 << 31) - 1)
        self.fraud = self.read_rules("fraud", rules)

    def read_rules(self, section, specs):
        rules = [self.rule(section, number, name, spec) for number, (name, spec) in enumerate(specs.items())]
        return {rule.name: rule for rule in rules}

    def rule(self, section, number, name, spec):
        params = {key: self.param(each) for key, each in (spec.get("params") or {}).items()}
        when = cel.compile_text(str_of(spec.get("when", "true")), self.resolver(section, params), BOOL)
        default_category = {"fraud": None, "critical": "critical", "subscription": "alert"}[section]
        default_fresh = {"fraud": None, "critical": "10m", "subscription": "2h"}[section]
        fresh = spec.get("fresh", default_fresh)
        stages = spec.get("stages")
        return Rule(name, section, number, self.types(spec["events"]), when,
                    None if stages is None else frozenset([stages] if isinstance(stages, str) else stages),
                    spec.get("score", 0), spec.get("category", default_category),
                    None if fresh is None else parse_span(fresh), spec.get("message"),
                    tuple(spec.get("channels") or self.channels), spec.get("for"), params)

    @staticmethod
    def param(spec):
        type_ = spec["type"]
        value = lambda key, none: yaml_value(spec[key], type_) if key in spec else none
        return Param(type_, value("default", NO_DATA), value("min", None), value("max", None))

    # ---- messages ----

    def read_messages(self, messages):
        """Texts are compiled per rule that uses them: a parameter's meaning is the rule's."""
        self.messages = messages
        self.languages = []
        for variants in messages.values():
            for tag in variants:
                if tag not in self.languages:
                    self.languages.append(tag)
        self.texts = {}
        for rules in (self.critical, self.subscriptions):
            for rule in rules.values():
                resolve = self.resolver(rule.section, rule.params)
                for tag, template in messages[rule.message].items():
                    self.texts[rule.section, rule.name, tag] = text.compile_template(template, resolve)

    def language_chain(self, wanted):
        """es-CO -> es -> the bank's."""
        chain = []
        while wanted:
            chain.append(wanted)
            wanted = wanted.rpartition("-")[0]
        return chain + [self.bank_language]

    def text_for(self, rule, wanted):
        """(language, template) of a rule's message for a recipient who wants a language or None."""
        for tag in self.language_chain(wanted):
            template = self.texts.get((rule.section, rule.name, tag))
            if template is not None:
                return tag, template
        raise Refused(f"message {rule.message} has no text in {self.bank_language}")

    # ---- by event type ----

    def index_rules(self):
        self.fraud_of, self.critical_of, self.aggregates_of = {}, {}, {}
        for code in self.events:
            self.fraud_of[code] = [rule for rule in self.fraud.values() if code in rule.types]
            self.critical_of[code] = [rule for rule in self.critical.values() if code in rule.types]
            self.aggregates_of[code] = [each for each in self.aggregates.values() if code in each.types]


def str_of(raw):
    return "true" if raw is True else "false" if raw is False else str(raw)


def account_getter(field):
    def get(env):
        if env.account is None:
            return NO_DATA
        if field == "holders":
            return len(env.account["holders"])
        return env.account.get(field, NO_DATA)

    return get


def load(directory, digest=bytes(16)):
    return Catalogue(read_files(directory), digest, directory)


def load_text(*texts, digest=bytes(16)):
    return Catalogue([yaml.load(each, Loader) or {} for each in texts], digest)
