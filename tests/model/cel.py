"""cel.py: CEL as rules may use it, with three results, money and units (decisions 1 to 3).

Text -> tokens -> tree -> closures, one per node, that take an Env and give a value or a Bad. Types and units are
worked out once, just as far as the meaning needs them: a catalogue is trusted to be valid, so Refused here means
a broken test, but for the cases of test_model.py that refuse on purpose.

A list is a tuple of elements of one type; an element may be a Bad, since `in` and the macros look at each by itself.
Its type is written list(int); list() is the empty one, which goes with any.
"""
import math
import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import geo
import regex
from money import parse_money
from values import (CONVERT, DIVIDE_BY_ZERO, INT64_MAX, INT64_MIN, MODULUS_BY_ZERO, NO_DATA, OVERFLOW, RANGE, Bad,
                    Money, int64, worse)

BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION, MONEY = "bool int double string timestamp duration money".split()
PLAIN, EVENT, BASE = "plain", "event", "base"  # the unit of an int


class Refused(Exception):
    """The expression is not valid, or asks for what is not built yet."""


class Typed(NamedTuple):
    """A compiled expression."""
    type: str
    unit: str
    run: Any  # Env -> value or Bad


class Symbol(NamedTuple):
    type: str
    unit: str
    get: Any


# ---- text -> tokens ----

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
      | (?P<hex>0x[0-9a-fA-F]+)
      | (?P<int>[0-9]+)
      | (?P<string>[rR]?(?:\"\"\"(?s:.*?)(?<!\\)\"\"\"|'''(?s:.*?)(?<!\\)'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op>&&|\|\||<=|>=|==|!=|[-+*/%!<>?:.,()\[\]])""",
    re.VERBOSE,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def tokens_of(text):
    at, tokens = 0, []
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise Refused(f"no token at {text[at:]!r}")
        at = match.end()
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match[0]))
    return tokens + [("end", "")]


def unescape(match):
    body = match[1]
    if body[0] in "xXuU":
        return chr(int(body[1:], 16))
    if body[0] in "0123":
        return chr(int(body, 8))
    return ESCAPES.get(body, body)


def string_of(token):
    raw = token[0] in "rR"
    token = token[1:] if raw else token
    text = token[3:-3] if token[:3] in ('"""', "'''") else token[1:-1]
    if raw:
        return text
    return re.sub(r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", unescape, text)


# ---- tokens -> tree ----

LEVELS = [("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%")]


class Parser:
    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.at = 0

    def peek(self):
        return self.tokens[self.at][1]

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, what):
        if self.peek() == what and self.tokens[self.at][0] in ("op", "name"):
            self.at += 1
            return True
        return False

    def expect(self, what):
        if not self.accept(what):
            raise Refused(f"found {self.peek()!r}, expected {what!r}")

    def whole(self):
        tree = self.expression()
        if self.tokens[self.at][0] != "end":
            raise Refused(f"found {self.peek()!r} behind the expression")
        return tree

    def expression(self):
        condition = self.binary(0)
        if not self.accept("?"):
            return condition
        then = self.binary(0)
        self.expect(":")
        return ("choose", condition, then, self.expression())

    def binary(self, level):
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek() in LEVELS[level] and self.tokens[self.at][0] in ("op", "name"):
            op = self.next()[1]
            left = ("binary", op, left, self.binary(level + 1))
        return left

    def unary(self):
        if self.accept("!"):
            return ("not", self.unary())
        if self.accept("-"):
            kind, text = self.tokens[self.at]
            if kind == "int" or kind == "hex":  # so that the smallest int can be written
                self.tokens[self.at] = (kind, "-" + text)
                return self.member()
            return ("minus", self.unary())
        return self.member()

    def member(self):
        tree = self.primary()
        while True:
            if self.accept("["):
                tree = ("index", tree, self.expression())
                self.expect("]")
                continue
            if not self.accept("."):
                return tree
            kind, name = self.next()
            if kind != "name":
                raise Refused("a name is expected behind the point")
            if self.accept("("):
                tree = ("method", name, tree, self.arguments(")"))
            elif tree[0] == "name":
                tree = ("name", tree[1] + "." + name)
            else:
                raise Refused("no such field")

    def arguments(self, closing):
        items = []
        while not self.accept(closing):
            items.append(self.expression())
            if not self.accept(","):
                self.expect(closing)
                break
        return items

    def primary(self):
        kind, text = self.next()
        if kind == "int" or kind == "hex":
            value = int(text, 16 if kind == "hex" else 10)
            if not INT64_MIN <= value <= INT64_MAX:
                raise Refused("an int that does not fit")
            return ("literal", INT, value)
        if kind == "double":
            return ("literal", DOUBLE, float(text))
        if kind == "string":
            return ("literal", STRING, string_of(text))
        if text in ("true", "false"):
            return ("literal", BOOL, text == "true")
        if text == "(":
            tree = self.expression()
            self.expect(")")
            return tree
        if text == "[":
            return ("list", self.arguments("]"))
        if kind == "name":
            if self.accept("("):
                return ("call", text, self.arguments(")"))
            return ("name", text)
        raise Refused(f"found {text!r}")


# ---- arithmetic ----

def divide_int(x, y):
    if y == 0:
        return DIVIDE_BY_ZERO
    quotient = abs(x) // abs(y)
    return int64(quotient if (x < 0) == (y < 0) else -quotient)


def modulo_int(x, y):
    if y == 0:
        return MODULUS_BY_ZERO
    if x == INT64_MIN and y == -1:
        return OVERFLOW
    rest = abs(x) % abs(y)
    return -rest if x < 0 else rest


def divide_double(x, y):
    if y != 0:
        return x / y
    if x == 0 or math.isnan(x) or math.isnan(y):
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


INT_ARITHMETIC = {
    "+": lambda x, y: int64(x + y),
    "-": lambda x, y: int64(x - y),
    "*": lambda x, y: int64(x * y),
    "/": divide_int,
    "%": modulo_int,
}
DOUBLE_ARITHMETIC = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": divide_double,
}
COMPARE = {
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
}


def strict(function, *arguments):
    """Evaluates all arguments; the worse result of them, else the function's (decisions 1)."""
    if len(arguments) == 2:
        left, right = arguments

        def two(env):
            x = left(env)
            y = right(env)
            if type(x) is Bad or type(y) is Bad:
                return worse(x, y)
            return function(x, y)

        return two

    def many(env):
        values = [argument(env) for argument in arguments]
        bad = worse(*values)
        return function(*values) if bad is None else bad

    return many


# ---- money ----

def money_of(typed):
    """How an operand of a comparison with money becomes (minor, currency)."""
    if typed.type == MONEY:
        return typed.run
    if typed.type != INT or typed.unit == PLAIN:
        raise Refused(f'{typed.type} against money: write money("100 EUR")')
    run, unit = typed.run, typed.unit

    def get(env):
        minor = run(env)
        if type(minor) is Bad:
            return minor
        return Money(minor, env.currency if unit == EVENT else env.rates.bank)

    return get


def compare_money(op, left, right):
    left, right, compare = money_of(left), money_of(right), COMPARE[op]

    def run(env):
        x, y = left(env), right(env)
        if type(x) is Bad or type(y) is Bad:
            return worse(x, y)
        if x.currency == y.currency:
            return compare(x.minor, y.minor)
        x, y = env.rates.to_base(*x), env.rates.to_base(*y)
        if type(x) is Bad or type(y) is Bad:
            return worse(x, y)
        return compare(x, y)

    return run


# ---- time ----

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text):
    """"1h30m", "-2.5s" -> ns; None."""
    match = re.fullmatch(r"([-+]?)((?:[0-9]*\.?[0-9]+(?:ns|us|µs|ms|h|m|s))+|0)", text)
    if match is None:
        return None
    total = 0
    for whole, fraction, unit in re.findall(r"([0-9]*)(?:\.([0-9]+))?(ns|us|µs|ms|h|m|s)", match[2]):
        total += int(whole or 0) * UNITS[unit]
        total += int(fraction or 0) * UNITS[unit] // 10 ** len(fraction)
    total = -total if match[1] == "-" else total
    return total if INT64_MIN <= total <= INT64_MAX else None


def parse_timestamp(text):
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[-+]\d\d:\d\d)", text)
    if match is None:
        return None
    try:
        seconds = int(datetime(*map(int, match.groups()[:6]), tzinfo=timezone.utc).timestamp())
    except ValueError:
        return None
    zone = match[8]
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    ns = seconds * 10**9 + int((match[7] or "").ljust(9, "0"))
    return ns if INT64_MIN <= ns <= INT64_MAX else None


def string_timestamp(ns):
    seconds, fraction = divmod(ns, 10**9)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def string_duration(ns):
    seconds, fraction = divmod(abs(ns), 10**9)
    text = f"{seconds}" + (f".{fraction:09d}".rstrip("0") if fraction else "") + "s"
    return "-" + text if ns < 0 else text


def local(ns, zone="UTC"):
    if re.fullmatch(r"[-+]?\d\d:\d\d", zone):
        sign = -1 if zone[0] == "-" else 1
        hours, minutes = zone.lstrip("+-").split(":")
        ns += sign * (int(hours) * 3600 + int(minutes) * 60) * 10**9
        zone = "UTC"
    seconds = ns // 10**9
    return datetime.fromtimestamp(seconds, timezone.utc).astimezone(ZoneInfo(zone))


TIME_ACCESSORS = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
}
DURATION_ACCESSORS = {
    "getHours": lambda d: divide_int(d, UNITS["h"]),
    "getMinutes": lambda d: divide_int(d, UNITS["m"]),
    "getSeconds": lambda d: divide_int(d, UNITS["s"]),
    "getMilliseconds": lambda d: modulo_int(divide_int(d, UNITS["ms"]), 1000),
}
STRING_METHODS = {
    "startsWith": lambda s, t: s.startswith(t),
    "endsWith": lambda s, t: s.endswith(t),
    "contains": lambda s, t: t in s,
}


# ---- conversions ----

def int_of_double(x):
    return int(x) if -(2.0**63) < x < 2.0**63 else RANGE


def int_of_string(s):
    return int64(int(s), RANGE) if re.fullmatch(r"[-+]?[0-9]+", s) else CONVERT


def double_of_string(s):
    return float(s) if re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", s) else CONVERT


def bool_of_string(s):
    if s in ("1", "t", "true", "TRUE", "True"):
        return True
    return False if s in ("0", "f", "false", "FALSE", "False") else CONVERT


def string_of_double(x):
    """The shortest digits that give it back; written out from 0.0001 to below 1e21, else with an exponent."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "+Inf" if x > 0 else "-Inf"
    if x == 0:
        return "-0" if math.copysign(1.0, x) < 0 else "0"
    sign, digits, exponent = Decimal(repr(x)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    scale = len(digits) + exponent - 1  # of the first digit
    if -4 <= scale < 21:
        words = f"{Decimal(repr(x)).normalize():f}".lstrip("-")
    else:
        words = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{scale:+03d}"
    return "-" * sign + words


def or_convert(value):
    return CONVERT if value is None else value


CONVERSIONS = {
    ("int", INT): lambda x: x,
    ("int", DOUBLE): int_of_double,
    ("int", STRING): int_of_string,
    ("int", TIMESTAMP): lambda t: t // 10**9,
    ("double", DOUBLE): lambda x: x,
    ("double", INT): float,
    ("double", STRING): double_of_string,
    ("string", STRING): lambda s: s,
    ("string", INT): str,
    ("string", DOUBLE): string_of_double,
    ("string", BOOL): lambda b: "true" if b else "false",
    ("string", TIMESTAMP): string_timestamp,
    ("string", DURATION): string_duration,
    ("bool", BOOL): lambda b: b,
    ("bool", STRING): bool_of_string,
    ("timestamp", TIMESTAMP): lambda t: t,
    ("timestamp", STRING): lambda s: or_convert(parse_timestamp(s)),
    ("timestamp", INT): lambda i: int64(i * 10**9, RANGE),
    ("duration", DURATION): lambda d: d,
    ("duration", STRING): lambda s: or_convert(parse_duration(s)),
}


# ---- tree -> closures ----

def list_of(type_):
    return f"list({type_})"


def element_type(type_):
    """int of list(int), "" of list(); None when it is no list."""
    return type_[5:-1] if type_.startswith("list(") else None


def equal(x, y):
    """== of two values; of lists, element by element: different when two elements are, else the worse of them."""
    if type(x) is not tuple:
        return x == y
    if len(x) != len(y):
        return False
    results = [worse(a, b) if type(a) is Bad or type(b) is Bad else equal(a, b) for a, b in zip(x, y)]
    if any(result is False for result in results):
        return False
    bad = worse(*results)
    return True if bad is None else bad


def any_of(results):
    """|| over many: true when one is, else the worst that is no value, else false."""
    if any(result is True for result in results):
        return True
    bad = worse(*results)
    return False if bad is None else bad


def all_of(results):
    if any(result is False for result in results):
        return False
    bad = worse(*results)
    return True if bad is None else bad


def one_of(results):
    """Looks at all of them: one that is no value makes the whole none."""
    bad = worse(*results)
    return sum(results) == 1 if bad is None else bad


MACROS = {"exists": any_of, "all": all_of, "exists_one": one_of}


class Compiler:
    def __init__(self, resolve):
        self.resolve = resolve  # dotted name -> Symbol, or None
        self.variables = []  # (name, Symbol) of the macros around, the innermost last

    def compile(self, tree):
        return getattr(self, "node_" + tree[0])(*tree[1:])

    def node_literal(self, type_, value):
        return Typed(type_, PLAIN, lambda env: value)

    def node_name(self, name):
        symbol = next((symbol for variable, symbol in reversed(self.variables) if variable == name), None)
        symbol = symbol or self.resolve(name)
        if symbol is None:
            raise Refused(f"nothing is called {name}")
        return Typed(*symbol)

    def node_not(self, tree):
        operand = self.wanted(tree, BOOL)
        return Typed(BOOL, PLAIN, strict(lambda x: not x, operand.run))

    def node_minus(self, tree):
        operand = self.compile(tree)
        if operand.type in (INT, DURATION):
            return Typed(operand.type, operand.unit, strict(lambda x: int64(-x), operand.run))
        if operand.type == DOUBLE:
            return Typed(DOUBLE, PLAIN, strict(lambda x: -x, operand.run))
        raise Refused(f"- of {operand.type}")

    def wanted(self, tree, type_):
        typed = self.compile(tree)
        if typed.type != type_:
            raise Refused(f"found {typed.type}, expected {type_}")
        return typed

    def node_choose(self, condition, then, other):
        condition = self.wanted(condition, BOOL)
        then, other = self.compile(then), self.compile(other)
        if element_type(then.type) == "" and element_type(other.type) is not None:
            then = then._replace(type=other.type)
        elif element_type(other.type) == "" and element_type(then.type) is not None:
            other = other._replace(type=then.type)
        if then.type != other.type or {then.unit, other.unit} == {EVENT, BASE}:
            raise Refused("both sides of ?: need one type and one unit")
        unit = then.unit if then.unit != PLAIN else other.unit
        choose, yes, no = condition.run, then.run, other.run

        def run(env):
            chosen = choose(env)
            if type(chosen) is Bad:
                return chosen
            return yes(env) if chosen else no(env)

        return Typed(then.type, unit, run)

    def node_binary(self, op, left, right):
        if op in ("&&", "||"):
            return self.logic(op == "||", left, right)
        if op == "in":
            return self.membership(left, right)
        left, right = self.compile(left), self.compile(right)
        if op in COMPARE:
            return Typed(BOOL, PLAIN, self.comparison(op, left, right))
        return self.arithmetic(op, left, right)

    def logic(self, decides, left, right):
        left, right = self.wanted(left, BOOL).run, self.wanted(right, BOOL).run

        def run(env):
            x = left(env)
            if x is decides:
                return decides
            y = right(env)
            if y is decides:
                return decides
            if type(x) is Bad or type(y) is Bad:
                return worse(x, y)
            return not decides

        return Typed(BOOL, PLAIN, run)

    def membership(self, tree, items):
        left, right = self.compile(tree), self.compile(items)
        inside = element_type(right.type)
        if inside is None:
            raise Refused("in needs a list")
        value = [None]  # the element that is compared
        element = Typed(inside or left.type, right.unit, lambda env: value[0])
        same, alone, elements = self.comparison("==", left, element), left.run, right.run

        def run(env):
            members = elements(env)
            if type(members) is Bad:
                return worse(alone(env), members)
            results = []
            for value[0] in members:
                results.append(same(env))
            if any(result is True for result in results):
                return True
            bad = worse(alone(env), *results)
            return False if bad is None else bad

        return Typed(BOOL, PLAIN, run)

    def comparison(self, op, left, right):
        if MONEY in (left.type, right.type):
            return compare_money(op, left, right)
        lists = element_type(left.type) is not None and element_type(right.type) is not None
        if left.type != right.type and not (lists and "" in (element_type(left.type), element_type(right.type))):
            raise Refused(f"{left.type} {op} {right.type}")
        if lists and op not in ("==", "!="):
            raise Refused(f"lists have no order: {op}")
        if lists:
            same = strict(equal, left.run, right.run)
            return same if op == "==" else strict(lambda x: not x, same)
        if {left.unit, right.unit} == {EVENT, BASE}:
            raise Refused("minor units of the event's currency against the bank's")
        return strict(COMPARE[op], left.run, right.run)

    def arithmetic(self, op, left, right):
        types = (left.type, right.type)
        if types == (INT, INT):
            return Typed(INT, self.unit(op, left.unit, right.unit), strict(INT_ARITHMETIC[op], left.run, right.run))
        if types == (DOUBLE, DOUBLE) and op in DOUBLE_ARITHMETIC:
            return Typed(DOUBLE, PLAIN, strict(DOUBLE_ARITHMETIC[op], left.run, right.run))
        if types == (STRING, STRING) and op == "+":
            return Typed(STRING, PLAIN, strict(lambda x, y: x + y, left.run, right.run))
        if element_type(left.type) is not None and op == "+" and element_type(right.type) is not None:
            if left.type != right.type and "list()" not in types:
                raise Refused(f"{left.type} + {right.type}")
            longer = right if left.type == "list()" else left
            return Typed(longer.type, longer.unit, strict(lambda x, y: x + y, left.run, right.run))
        result = {
            (TIMESTAMP, "-", TIMESTAMP): DURATION,
            (TIMESTAMP, "+", DURATION): TIMESTAMP,
            (DURATION, "+", TIMESTAMP): TIMESTAMP,
            (TIMESTAMP, "-", DURATION): TIMESTAMP,
            (DURATION, "+", DURATION): DURATION,
            (DURATION, "-", DURATION): DURATION,
        }.get((left.type, op, right.type))
        if result is None:
            raise Refused(f"{left.type} {op} {right.type}")
        return Typed(result, PLAIN, strict(INT_ARITHMETIC[op], left.run, right.run))

    @staticmethod
    def unit(op, left, right):
        if {left, right} == {EVENT, BASE}:
            raise Refused("minor units of the event's currency with the bank's")
        if op in "+-":
            return left if left != PLAIN else right
        if PLAIN not in (left, right):
            return PLAIN  # a ratio, or a product of two amounts: no amount any more
        return left if left != PLAIN else (right if op == "*" else PLAIN)

    def node_list(self, items):
        items = [self.compile(item) for item in items]
        types, units = {item.type for item in items}, {item.unit for item in items}
        if len(types) > 1 or {EVENT, BASE} <= units:
            raise Refused("the elements of a list are of one type")
        runs = [item.run for item in items]
        unit = next((unit for unit in units if unit != PLAIN), PLAIN)
        return Typed(list_of(types.pop() if types else ""), unit, lambda env: tuple(run(env) for run in runs))

    def node_index(self, target, place):
        target, place = self.compile(target), self.wanted(place, INT)
        inside = element_type(target.type)
        if not inside:
            raise Refused(f"{target.type}[..]")
        take = lambda items, at: items[at] if 0 <= at < len(items) else RANGE
        return Typed(inside, target.unit, strict(take, target.run, place.run))

    def macro(self, name, target, variable, body):
        target = self.compile(target)
        inside = element_type(target.type)
        if inside is None or variable[0] != "name" or "." in variable[1]:
            raise Refused(f"{name} needs a list and the name of an element")
        value = [None]
        self.variables.append((variable[1], Symbol(inside or INT, target.unit, lambda env: value[0])))
        holds = self.wanted(body, BOOL).run
        self.variables.pop()
        combine, elements = MACROS[name], target.run

        def run(env):
            members = elements(env)
            if type(members) is Bad:
                return members
            results = []
            for element in members:
                outer, value[0] = value[0], element
                results.append(holds(env))
                value[0] = outer
            return combine(results)

        return Typed(BOOL, PLAIN, run)

    def node_call(self, name, arguments):
        if name == "has" and len(arguments) == 1:
            return self.has(self.compile(arguments[0]).run)
        if name == "money" and len(arguments) == 1 and arguments[0][:2] == ("literal", STRING):
            value = parse_money(arguments[0][2])
            if value is None:
                raise Refused("no money")
            return Typed(MONEY, PLAIN, lambda env: value)
        if len(arguments) != 1:
            raise Refused(f"{name} of {len(arguments)}")
        argument = self.compile(arguments[0])
        if name == "local" and argument.type == TIMESTAMP:
            return Typed(TIMESTAMP, PLAIN, local_reading(argument.run))
        if name == "size" and (argument.type == STRING or element_type(argument.type) is not None):
            return Typed(INT, PLAIN, strict(len, argument.run))
        if (name, argument.type) not in CONVERSIONS:
            raise Refused(f"{name}({argument.type})")
        return Typed(name, PLAIN, strict(CONVERSIONS[name, argument.type], argument.run))

    @staticmethod
    def has(operand):
        def run(env):
            value = operand(env)
            if value is NO_DATA:
                return False
            return value if type(value) is Bad else True

        return Typed(BOOL, PLAIN, run)

    def node_method(self, name, target, arguments):
        if (name, target) == ("km", ("name", "geo")):
            runs = [self.wanted(argument, DOUBLE).run for argument in arguments]
            if len(runs) != 4:
                raise Refused("geo.km(lat, lon, lat, lon)")
            return Typed(DOUBLE, PLAIN, strict(geo.km, *runs))
        if name in MACROS and len(arguments) == 2:
            return self.macro(name, target, *arguments)
        if name == "matches":
            return self.matches(target, arguments)
        target, arguments = self.compile(target), [self.compile(argument) for argument in arguments]
        runs = [target.run] + [argument.run for argument in arguments]
        types = [argument.type for argument in arguments]
        if target.type == STRING and name in STRING_METHODS and types == [STRING]:
            return Typed(BOOL, PLAIN, strict(STRING_METHODS[name], *runs))
        if name == "size" and not types and (target.type == STRING or element_type(target.type) is not None):
            return Typed(INT, PLAIN, strict(len, *runs))
        if target.type == TIMESTAMP and types in ([], [STRING]):
            if name == "getMilliseconds":
                return Typed(INT, PLAIN, strict(lambda t, *zone: t // 10**6 % 1000, *runs))
            if name in TIME_ACCESSORS:
                access = TIME_ACCESSORS[name]
                return Typed(INT, PLAIN, strict(lambda t, *zone: access(local(t, *zone)), *runs))
        if target.type == DURATION and name in DURATION_ACCESSORS and not types:
            return Typed(INT, PLAIN, strict(DURATION_ACCESSORS[name], *runs))
        raise Refused(f"{target.type}.{name}")


    def matches(self, target, arguments):
        target = self.wanted(target, STRING)
        if len(arguments) != 1 or arguments[0][:2] != ("literal", STRING):
            raise Refused("matches takes one pattern that is written out")
        try:
            pattern = regex.compile_pattern(arguments[0][2])
        except regex.NotSo as problem:
            raise Refused(f"matches: {problem}") from None
        return Typed(BOOL, PLAIN, strict(lambda text: pattern.search(text) is not None, target.run))


def local_reading(run):
    """The timestamp whose UTC reading is the local time in the zone of the profile in scope."""
    def get(env):
        ns = run(env)
        if type(ns) is Bad:
            return ns
        there = local(ns, env.zone_of(env.profile))
        return int64(ns + int(there.utcoffset().total_seconds()) * 10**9, RANGE)

    return get


class Env:
    """What a compiled expression reads. A name that has no value is NO_DATA there, never missing."""

    __slots__ = ("event", "profile", "account", "customer", "role", "params", "agg", "currency", "rates",
                 "zone_of")


def compile_text(text, resolve, want=None):
    typed = Compiler(resolve).compile(Parser(text).whole())
    if want is not None and typed.type != want:
        raise Refused(f"found {typed.type}, expected {want}")
    return typed
