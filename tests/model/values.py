"""values.py: what an expression can give (SEMANTICS 3).

A value is a plain Python bool, int, float, str or a Money. The other two results are one class, Bad, with a
rank: no data is 1, an error is 2, and where two meet the worse one wins (decisions 1).
"""
from typing import NamedTuple

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1


class Bad:
    """No data or an error."""

    __slots__ = ("name", "rank")

    def __init__(self, name, rank):
        self.name = name
        self.rank = rank

    def __repr__(self):
        return self.name


class Money(NamedTuple):
    minor: int
    currency: int  # ISO 4217 numeric


NO_DATA = Bad("NO_DATA", 1)
OVERFLOW = Bad("OVERFLOW", 2)
DIVIDE_BY_ZERO = Bad("DIVIDE_BY_ZERO", 2)
MODULUS_BY_ZERO = Bad("MODULUS_BY_ZERO", 2)
RANGE = Bad("RANGE", 2)
CONVERT = Bad("CONVERT", 2)


def worse(*results):
    """The worst of several results, of which at least one is no value; the first of equals."""
    worst = None
    for result in results:
        if type(result) is Bad and (worst is None or result.rank > worst.rank):
            worst = result
    return worst


def int64(number, error=OVERFLOW):
    return number if INT64_MIN <= number <= INT64_MAX else error


def half_even(numerator, denominator):
    """numerator / denominator rounded half to even; denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient
