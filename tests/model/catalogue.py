"""catalogue.py: a directory of YAML files -> what the model walks through. Trusts that `moment check` passed.

YAML is read as 1.2's core schema has it: only true/false, decimal ints and null are anything else than text, so that
`NO` stays a country and `0.0062` an exact decimal.
"""
import glob
import os
import re
from typing import Any, NamedTuple, Optional
from zoneinfo import available_timezones

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
ZONES = available_timezones()
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
AGGREGATE_FUNCTIONS = ("count", "sum", "mean", "min", "max", "last", "deviation", "distinct")
# What an aggregate takes of an event besides its body fields.
AGGREGATE_FIELDS = ("amount", "base", "balance", "time", "country", "mcc", "currency", "touchpoint", "customer")
KEY_PARTS = ("customer", "account", "card", "currency")  # and body.x
CALENDAR_REACH = {"day": 3 * DURATION_UNITS["d"], "week": 9 * DURATION_UNITS["d"], "month": 33 * DURATION_UNITS["d"]}  # and zones change
WITHIN_MAX = 400 * DURATION_UNITS["d"]
PATTERN_CODES = 1 << 16  # the pseudo types pattern.NAME have numbers behind all codes


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
    function: str  # "step": of a pattern, without a value
    fields: tuple  # "amount", "body.x"; one, several of a record, or none for count
    record: bool  # `last` of a list of fields: agg.NAME.FIELD
    per: tuple  # the parts of the key, in one order
    within: Optional[int]  # ns; None = for ever, or calendar
    calendar: Optional[str]
    before: bool
    types: frozenset  # codes
    where: Any  # Typed or None
    identity: str  # of its definition: its state survives a reload exactly when this stays
    mixed: bool

    @property
    def field(self):
        return self.fields[0] if self.fields else None

    @property
    def reach(self):
        """The longest that it looks back, ns; None = for ever."""
        return self.within if self.calendar is None else CALENDAR_REACH[self.calendar]


class Pattern(NamedTuple):
    name: str
    code: int  # of its pseudo type
    per: tuple
    steps: tuple  # (Aggregate, times)
    unless: Optional[Aggregate]
    within: int


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
    confidential: bool  # fraud: scores, and no verdict names it


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
        self.read_lists(self.section("lists"))
        self.aggregates = {}
        self.keys = {}  # parts -> how many of one owner, 0 = any number
        for name, spec in self.section("aggregates").items():
            self.aggregates[name] = self.aggregate(name, spec)
        self.read_patterns(self.section("patterns"))
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
        self.pattern_codes = {f"pattern.{name}": PATTERN_CODES + number for number, name in enumerate(self.section("patterns"))}

    def types(self, names):
        if isinstance(names, str):
            names = [names]
        codes = set()
        for name in names:
            if name in self.codes:
                codes.add(self.codes[name])
            elif name.startswith("pattern."):
                codes.add(self.pattern_codes[name])
            else:
                codes |= self.groups[name]
        return frozenset(codes)

    def read_lists(self, lists):
        """lists.NAME: ints or strings; a constant may stand for an int."""
        self.lists = {}
        for name, raw in lists.items():
            values = [self.list_value(each) for each in raw]
            assert len({type(value) for value in values}) <= 1, name
            self.lists[name] = (INT if values and isinstance(values[0], int) else STRING, tuple(sorted(set(values))))

    @staticmethod
    def list_value(raw):
        if isinstance(raw, str) and raw.split(".")[0] in ("country", "currency", "touchpoint", "mcc") and raw.count(".") == 1:
            symbol = constant(*raw.split("."))
            return raw if symbol is None else symbol.get(None)
        return raw

    def zone_of(self, profile):
        """The zone of who has this record: its attribute `zone` if that names one, else the bank's."""
        if profile is None or "zone" not in self.attributes:
            return self.zone
        name = profile.get("zone", self.attributes["zone"].initial)
        return name if name in ZONES else self.zone

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
            if space == "lists" and rest in self.lists:
                type_, values = self.lists[rest]
                return Symbol(cel.list_of(type_), PLAIN, lambda env: values)
            if section == "where":
                return None
            if space == "account" and rest in ACCOUNT_FIELDS:
                return Symbol(ACCOUNT_FIELDS[rest], PLAIN, account_getter(rest))
            if space == "agg" and rest.partition(".")[0] in self.aggregates:
                return self.aggregate_symbol(self.aggregates[rest.partition(".")[0]], rest.partition(".")[2])
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

    def aggregate_symbol(self, aggregate, part):
        """agg.NAME, or agg.NAME.PART of a record."""
        names = [field.removeprefix("body.") for field in aggregate.fields]
        if aggregate.record != bool(part) or (part and part not in names):
            raise Refused(f"agg.{aggregate.name}: a record has parts and nothing else has")
        place = names.index(part) if part else 0
        type_, unit = self.aggregate_type(aggregate, aggregate.fields[place] if aggregate.fields else None)
        name = aggregate.name
        if part:
            return Symbol(type_, unit, lambda env: env.agg(name)[place])
        return Symbol(type_, unit, lambda env: env.agg(name))

    def aggregate_type(self, aggregate, field):
        if aggregate.function in ("mean", "deviation"):
            return DOUBLE, PLAIN
        if aggregate.function in ("count", "distinct"):
            return INT, PLAIN
        if field.startswith("body."):
            return self.fields[field[5:]], PLAIN
        if field == "base":
            return INT, BASE
        one_currency = "account" in aggregate.per or "currency" in aggregate.per
        if field in ("amount", "balance") and one_currency and not aggregate.mixed:
            return INT, EVENT
        return TIMESTAMP if field == "time" else INT, PLAIN

    # ---- aggregates and patterns ----

    def aggregate(self, name, spec):
        functions = [function for function in AGGREGATE_FUNCTIONS if function in spec]
        if len(functions) != 1:
            raise Refused(f"aggregate {name}: one function")
        function = functions[0]
        named = [] if function == "count" else spec[function]
        fields = tuple(self.field_name(each) for each in (named if isinstance(named, list) else [named]))
        record = isinstance(named, list) and function == "last"
        types = self.types(spec["over"])
        where = cel.compile_text(str_of(spec["where"]), self.resolver("where"), BOOL) if "where" in spec else None
        within = parse_span(spec["within"]) if "within" in spec else None
        if within is not None and within > WITHIN_MAX:
            raise Refused(f"aggregate {name}: at most 400d")
        calendar = spec.get("calendar")
        if calendar is not None and (within is not None or calendar not in ("day", "week", "month")):
            raise Refused(f"aggregate {name}: calendar: {calendar}")
        per = self.key(spec.get("per", "customer"), spec.get("keys"))
        before, mixed = bool(spec.get("before")), bool(spec.get("mixed"))
        bank = (self.rates.bank if "base" in fields else None, self.zone if calendar else None)
        identity = repr((function, fields, record, per, within, calendar, before, mixed, sorted(types), spec.get("where"), bank))
        return Aggregate(name, function, fields, record, per, within, calendar, before, types, where, identity, mixed)

    def field_name(self, name):
        """"amount" as it is; "lat" and "body.lat" are the body field."""
        if name in AGGREGATE_FIELDS:
            return name
        if name.removeprefix("body.") in self.fields:
            return "body." + name.removeprefix("body.")
        raise Refused(f"nothing is called {name}")

    def key(self, per, keys_max):
        """The parts in one order, whatever the order in which they are written; notes how many keys an owner may have."""
        parts = set(per) if isinstance(per, list) else {"customer", "currency"} if per == "currency" else {per}
        parts = tuple(sorted(parts, key=lambda part: (KEY_PARTS.index(part) if part in KEY_PARTS else 4, part)))
        bounded = any(part.startswith("body.") for part in parts)
        if bounded != (keys_max is not None):
            raise Refused("keys: n stands with body fields, and only there")
        if self.keys.setdefault(parts, keys_max or 0) != (keys_max or 0):
            raise Refused(f"per {parts} with different keys")
        return parts

    def read_patterns(self, patterns):
        self.patterns = {}
        for name, spec in patterns.items():
            per, within = self.key(spec.get("per", "customer"), spec.get("keys")), parse_span(spec["within"])
            step = lambda types, when, place: Aggregate(
                f"pattern.{name}.{place}", "step", (), False, per, within, None, False, self.types(types),
                None if when is None else cel.compile_text(str_of(when), self.resolver("where"), BOOL),
                repr(("step", per, within, sorted(self.types(types)), when)), False)
            steps = tuple((step(each["events"], each.get("when"), place), int(each.get("times", 1)))
                          for place, each in enumerate(spec["steps"]))
            unless = step(spec["unless"], None, "unless") if "unless" in spec else None
            self.patterns[name] = Pattern(name, self.pattern_codes["pattern." + name], per, steps, unless, within)
        parts = [step for pattern in self.patterns.values() for step, _ in pattern.steps]
        parts += [pattern.unless for pattern in self.patterns.values() if pattern.unless]
        self.windowed = list(self.aggregates.values()) + parts

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
                    tuple(spec.get("channels") or self.channels), spec.get("for"), params, bool(spec.get("confidential")))

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
        self.fraud_of, self.critical_of, self.aggregates_of, self.patterns_of = {}, {}, {}, {}
        for code in list(self.events) + list(self.pattern_codes.values()):
            self.fraud_of[code] = [rule for rule in self.fraud.values() if code in rule.types]
            self.critical_of[code] = [rule for rule in self.critical.values() if code in rule.types]
            self.aggregates_of[code] = [each for each in self.windowed if code in each.types]
            self.patterns_of[code] = [each for each in self.patterns.values() if code in each.steps[-1][0].types]


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
