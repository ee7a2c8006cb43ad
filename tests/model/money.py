"""money.py: currencies, rates, the amount in the bank's currency (SEMANTICS 2, decisions 3 and 4).

Amounts are ints in minor units. A rate says: one whole unit of a currency is worth num / 10^decimals whole
units of the bank's currency.
"""
import re
from typing import NamedTuple

from values import NO_DATA, RANGE, Money, half_even, int64

# ISO 4217: code -> (number, minor digits). Those of a European or Latin American bank's day.
CURRENCIES = {
    "AED": (784, 2), "ARS": (32, 2), "AUD": (36, 2), "BGN": (975, 2), "BHD": (48, 3), "BOB": (68, 2),
    "BRL": (986, 2), "CAD": (124, 2), "CHF": (756, 2), "CLP": (152, 0), "CNY": (156, 2), "COP": (170, 2),
    "CRC": (188, 2), "CZK": (203, 2), "DKK": (208, 2), "DOP": (214, 2), "EGP": (818, 2), "EUR": (978, 2),
    "GBP": (826, 2), "GTQ": (320, 2), "HKD": (344, 2), "HUF": (348, 2), "IDR": (360, 2), "ILS": (376, 2),
    "INR": (356, 2), "IQD": (368, 3), "ISK": (352, 0), "JOD": (400, 3), "JPY": (392, 0), "KRW": (410, 0),
    "KWD": (414, 3), "LYD": (434, 3), "MAD": (504, 2), "MXN": (484, 2), "MYR": (458, 2), "NGN": (566, 2),
    "NOK": (578, 2), "NZD": (554, 2), "OMR": (512, 3), "PEN": (604, 2), "PHP": (608, 2), "PLN": (985, 2),
    "PYG": (600, 0), "QAR": (634, 2), "RON": (946, 2), "RSD": (941, 2), "RUB": (643, 2), "SAR": (682, 2),
    "SEK": (752, 2), "SGD": (702, 2), "THB": (764, 2), "TND": (788, 3), "TRY": (949, 2), "TWD": (901, 2),
    "UAH": (980, 2), "USD": (840, 2), "UYU": (858, 2), "VND": (704, 0), "XAF": (950, 0), "XOF": (952, 0),
    "XPF": (953, 0), "ZAR": (710, 2),
}
CODES = {number: code for code, (number, _) in CURRENCIES.items()}
EXPONENTS = {number: exponent for number, exponent in CURRENCIES.values()}

# ISO 3166-1: alpha-2 -> number.
COUNTRIES = {
    "AD": 20, "AE": 784, "AR": 32, "AT": 40, "AU": 36, "BE": 56, "BG": 100, "BO": 68, "BR": 76, "CA": 124,
    "CH": 756, "CL": 152, "CN": 156, "CO": 170, "CR": 188, "CU": 192, "CY": 196, "CZ": 203, "DE": 276,
    "DK": 208, "DO": 214, "EC": 218, "EE": 233, "EG": 818, "ES": 724, "FI": 246, "FR": 250, "GB": 826,
    "GR": 300, "GT": 320, "HK": 344, "HN": 340, "HR": 191, "HU": 348, "ID": 360, "IE": 372, "IL": 376,
    "IN": 356, "IR": 364, "IS": 352, "IT": 380, "JP": 392, "KP": 408, "KR": 410, "KW": 414, "LT": 440,
    "LU": 442, "LV": 428, "MA": 504, "MT": 470, "MX": 484, "MY": 458, "NG": 566, "NL": 528, "NO": 578,
    "NZ": 554, "PA": 591, "PE": 604, "PH": 608, "PL": 616, "PT": 620, "PY": 600, "QA": 634, "RO": 642,
    "RS": 688, "RU": 643, "SA": 682, "SE": 752, "SG": 702, "SI": 705, "SK": 703, "SV": 222, "TH": 764,
    "TN": 788, "TR": 792, "TW": 158, "UA": 804, "US": 840, "UY": 858, "VE": 862, "VN": 704, "ZA": 710,
}


class Rate(NamedTuple):
    num: int
    decimals: int


class Rates:
    def __init__(self, bank, rates):
        self.bank = bank
        self.rates = rates  # currency number -> Rate

    def to_base(self, minor, currency):
        """minor units of the bank's currency; NO_DATA without a rate; RANGE when it does not fit."""
        if currency == self.bank:
            return minor
        rate = self.rates.get(currency)
        if rate is None:
            return NO_DATA
        up = minor * rate.num * 10 ** EXPONENTS[self.bank]
        return int64(half_even(up, 10**rate.decimals * 10 ** EXPONENTS[currency]), RANGE)


def parse_decimal(text):
    """"0.0062" -> Rate(62, 4)."""
    whole, _, fraction = text.partition(".")
    return Rate(int(whole + fraction), len(fraction))


def parse_money(text):
    """"100.50 EUR" -> Money(10050, 978); None when it is not money."""
    match = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))? ([A-Z]{3})", text)
    if match is None or match[4] not in CURRENCIES:
        return None
    number, exponent = CURRENCIES[match[4]]
    fraction = match[3] or ""
    if len(fraction) > exponent:
        return None
    minor = int(match[2] + fraction.ljust(exponent, "0"))
    minor = -minor if match[1] else minor
    return Money(minor, number) if -(1 << 63) <= minor < 1 << 63 else None
