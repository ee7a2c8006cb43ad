"""geo.py: geo.km, the great circle on a sphere of R = 6,371,008.8 m, in decimal numbers of 40 digits.

The angle between two places is worked out by the haversine, sin and cos as power series, the arc sine by Newton's steps;
no double takes part before the metres are rounded. Nobody's last bit matters: 40 digits are some 25 more than a metre
on this sphere needs.
"""
import decimal
import functools
import math
from decimal import Decimal

from values import RANGE

CONTEXT = decimal.Context(prec=40, rounding=decimal.ROUND_HALF_EVEN)
RADIUS = Decimal("6371008.8")
PI = Decimal("3.141592653589793238462643383279502884197169399375105820974944")
TINY = Decimal("1e-38")


def power_series(first, x, number):
    """first - first x^2 / (number (number + 1)) + ..: the sine from (x, 2), the cosine from (1, 1)."""
    total = term = first
    while abs(term) > TINY:
        term = -term * x * x / (number * (number + 1))
        total, number = total + term, number + 2
    return total


def sin(x):
    return power_series(x, x, 2)


def cos(x):
    return power_series(Decimal(1), x, 1)


def arc_sine(y):
    """y in [0, 1]. Near 1 by the complement, where the sine is steep enough for Newton's steps."""
    if y > Decimal("0.75"):
        return PI / 2 - arc_sine((1 - y * y).sqrt())
    x = Decimal(math.asin(float(y)))
    for _ in range(3):
        x -= (sin(x) - y) / cos(x)
    return x


def metres(lat1, lon1, lat2, lon2):
    """Exact decimals of degrees -> metres, not rounded."""
    turn = PI / 180
    haversine = lambda angle: sin(angle / 2) ** 2
    across = haversine(((lon2 - lon1) % 360) * turn)
    h = haversine((lat2 - lat1) * turn) + cos(lat1 * turn) * cos(lat2 * turn) * across
    return 2 * RADIUS * arc_sine(min(Decimal(1), h).sqrt())


@functools.lru_cache(maxsize=4096)
def km(*degrees):
    """Of four doubles lat, lon, lat, lon: the nearest whole metre / 1000.0; RANGE for a place that is none."""
    if not all(map(math.isfinite, degrees)) or abs(degrees[0]) > 90 or abs(degrees[2]) > 90:
        return RANGE
    with decimal.localcontext(CONTEXT):
        return float(metres(*map(Decimal, degrees)).to_integral_value(decimal.ROUND_HALF_EVEN)) / 1000.0
