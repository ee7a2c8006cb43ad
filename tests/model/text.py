"""text.py: message templates and the words that a customer reads.

A template is text with placeholders {expression} or {expression, format}; formats are money, number, date, time.
Quoting as in ICU MessageFormat: '' is an apostrophe, '{...' up to the next ' is literal, any other ' stands for itself.
What a language does to numbers and dates is the table LANGUAGES, taken from CLDR 42 (ICU 72): minimum grouping
digits as in CLDR, dates by the pattern of skeleton yMMMd, times always HH:MM.
"""
import re
from datetime import datetime, timezone
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import cel
from money import CODES, EXPONENTS
from values import Bad, Money

NBSP = "\u00a0"
NO_VALUE = "\u2013"
CUT = "\u2026"


class Language(NamedTuple):
    decimal: str
    group: str
    minus: str
    group_least: int  # digits in front of the first group mark, at least
    symbol_first: bool
    symbol_space: bool  # a space between symbol and digits; a symbol that ends in a letter always has one
    symbols: dict
    months: tuple
    date: str  # D, M, Y between literals
    time: str  # strftime


ENGLISH = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
SPANISH = "ene feb mar abr may jun jul ago sept oct nov dic".split()
GERMAN = "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.".split()
FRENCH = "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.".split()
LANGUAGES = {
    "en": Language(".", ",", "-", 1, True, False,
                   {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "MXN": "MX$", "BRL": "R$", "CAD": "CA$", "AUD": "A$",
                    "CNY": "CN¥", "INR": "₹", "KRW": "₩", "ILS": "₪", "NZD": "NZ$", "VND": "₫", "TWD": "NT$",
                    "HKD": "HK$", "PHP": "₱", "XAF": "FCFA", "XPF": "CFPF", "XOF": "F\u202fCFA"},
                   ENGLISH, "M D, Y", "%H:%M"),
    "es": Language(",", ".", "-", 2, False, True, {"EUR": "€", "USD": "US$", "VND": "₫"}, SPANISH, "D M Y", "%H:%M"),
    "es-CO": Language(",", ".", "-", 1, True, True, {"COP": "$", "USD": "US$"}, SPANISH, "D de M de Y", "%H:%M"),
    "de": Language(",", ".", "-", 1, False, True,
                   {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "MXN": "MX$", "BRL": "R$", "CAD": "CA$", "CNY": "CN¥",
                    "INR": "₹", "ILS": "₪", "AUD": "AU$"},
                   GERMAN, "D. M Y", "%H:%M"),
    "fr": Language(",", "\u202f", "-", 1, False, True, {"EUR": "€", "USD": "$US", "GBP": "£GB", "MXN": "$MX", "COP": "$CO"},
                   FRENCH, "D M Y", "%H:%M"),
}


def language_of(tag):
    while tag:
        if tag in LANGUAGES:
            return LANGUAGES[tag]
        tag = tag.rpartition("-")[0]
    return LANGUAGES["en"]


# ---- templates ----

def compile_template(template, resolve):
    """[str | (Typed, format, currency getter)]"""
    parts, literal, at = [], "", 0
    while at < len(template):
        if template.startswith("''", at):
            literal, at = literal + "'", at + 2
        elif template[at] == "'" and template[at + 1 : at + 2] in ("{", "}"):
            end = template.find("'", at + 1)
            end = len(template) if end < 0 else end
            literal, at = literal + template[at + 1 : end], end + 1
        elif template[at] == "{":
            end = placeholder_end(template, at)
            parts += [literal, placeholder(template[at + 1 : end], resolve)]
            literal, at = "", end + 1
        else:
            literal, at = literal + template[at], at + 1
    return [part for part in parts + [literal] if part != ""]


def placeholder_end(template, at):
    """The } behind the { at `at`, past strings of the expression."""
    match = re.compile(r"""\{(?:"[^"]*"|'[^']*'|[^"'}])*\}""").match(template, at)
    if match is None:
        raise cel.Refused("a placeholder without an end")
    return match.end() - 1


def placeholder(inside, resolve):
    match = re.fullmatch(r"(.*),\s*(money|number|date|time)\s*", inside, re.DOTALL)
    expression, form = (match[1], match[2]) if match else (inside, "plain")
    return cel.compile_text(expression.strip(), resolve), form


def render(parts, tag, env, zone, characters_max):
    """The text in a language, cut at the channel's length in code points."""
    words = "".join(part if isinstance(part, str) else show(part[0], part[1], tag, env, zone) for part in parts)
    return words if len(words) <= characters_max else words[: characters_max - 1] + CUT


def show(typed, form, tag, env, zone):
    value = typed.run(env)
    if type(value) is Bad:
        return NO_VALUE
    if form == "money":
        if typed.type != cel.MONEY:
            value = Money(value, env.currency if typed.unit == cel.EVENT else env.rates.bank)
        return money(value, tag, env.rates)
    if form == "number":
        return number(value, tag)
    if form == "date":
        return date(value, tag, zone)
    if form == "time":
        return local(value, zone).strftime(language_of(tag).time)
    return plain(value, typed.type)


def plain(value, type_):
    return value if type_ == cel.STRING else cel.CONVERSIONS["string", type_](value)


# ---- numbers, money, dates ----

def grouped(digits, language):
    if len(digits) < 3 + language.group_least:
        return digits
    head = len(digits) % 3
    pieces = ([digits[:head]] if head else []) + [digits[i : i + 3] for i in range(head, len(digits), 3)]
    return language.group.join(pieces)


def number(value, tag):
    language = language_of(tag)
    if isinstance(value, int):
        return (language.minus if value < 0 else "") + grouped(str(abs(value)), language)
    text = f"{abs(value):.3f}".rstrip("0").rstrip(".")
    whole, _, fraction = text.partition(".")
    sign = language.minus if value < 0 else ""
    return sign + grouped(whole, language) + (language.decimal + fraction if fraction else "")


def money(value, tag, rates=None):
    """With `rates`: a currency that they do not have is written as its code in front, in any language."""
    language = language_of(tag)
    if value.currency not in CODES:
        return NO_VALUE
    code = CODES[value.currency]
    exponent = EXPONENTS[value.currency]
    digits = str(abs(value.minor)).rjust(exponent + 1, "0")
    whole, fraction = (digits[:-exponent], digits[-exponent:]) if exponent else (digits, "")
    amount = grouped(whole, language) + (language.decimal + fraction if fraction else "")
    sign = language.minus if value.minor < 0 else ""
    if rates is not None and value.currency != rates.bank and value.currency not in rates.rates:
        return sign + code + NBSP + amount
    symbol = language.symbols.get(code, code)
    space = NBSP if language.symbol_space or symbol[-1].isalpha() else ""
    return sign + (symbol + space + amount if language.symbol_first else amount + space + symbol)


def local(ns, zone):
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).astimezone(ZoneInfo(zone))


def date(ns, tag, zone):
    language = language_of(tag)
    day = local(ns, zone)
    parts = {"D": str(day.day), "M": language.months[day.month - 1], "Y": str(day.year)}
    return re.sub(r"\b[DMY]\b", lambda match: parts[match[0]], language.date)
