/*
 * geo.c: distances on a sphere (geo.h) without a function of the C library that differs between CPUs.
 *
 * In: degrees. Out: a term of the formula, or kilometres. Everything is reduced to sines of 0 to 90 degrees,
 * by subtractions that are exact or nearly so, and those to Taylor series over 0 to 45 degrees, whose first
 * term left out is below 1e-18. The arc tangent is split at eighths, so seven terms are enough.
 */
#include "geo.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define RADIANS 0.017453292519943295
#define HALF_PI 1.5707963267948966
#define DIAMETER_M 12742017.6

/* x from 0 to pi/4 */
static double sine(double x)
{
	double y = x * x;
	double sum = 1.0 / 355687428096000.0;

	sum = -1.0 / 1307674368000.0 + y * sum;
	sum = 1.0 / 6227020800.0 + y * sum;
	sum = -1.0 / 39916800.0 + y * sum;
	sum = 1.0 / 362880.0 + y * sum;
	sum = -1.0 / 5040.0 + y * sum;
	sum = 1.0 / 120.0 + y * sum;
	sum = -1.0 / 6.0 + y * sum;
	return x + x * y * sum;
}

static double cosine(double x)
{
	double y = x * x;
	double sum = 1.0 / 20922789888000.0;

	sum = -1.0 / 87178291200.0 + y * sum;
	sum = 1.0 / 479001600.0 + y * sum;
	sum = -1.0 / 3628800.0 + y * sum;
	sum = 1.0 / 40320.0 + y * sum;
	sum = -1.0 / 720.0 + y * sum;
	sum = 1.0 / 24.0 + y * sum;
	sum = -1.0 / 2.0 + y * sum;
	return 1.0 + y * sum;
}

/* The sine of 0 to 90 degrees */
static double sine_degrees(double x)
{
	return x <= 45.0 ? sine(x * RADIANS) : cosine((90.0 - x) * RADIANS);
}

static double square(double x)
{
	return x * x;
}

static bool latitudes_good(double a, double b)
{
	return fabs(a) <= 90.0 && fabs(b) <= 90.0; /* false for NaN */
}

bool geo_lat_near(double lat1, double lat2, double *out)
{
	*out = square(sine_degrees(fabs(lat1 - lat2) / 2));
	return latitudes_good(lat1, lat2);
}

bool geo_lat_far(double lat1, double lat2, double *out)
{
	*out = square(sine_degrees(fabs(lat1 + lat2) / 2));
	return latitudes_good(lat1, lat2);
}

bool geo_lat_cos(double lat1, double lat2, double *out)
{
	*out = sine_degrees(90.0 - fabs(lat1)) * sine_degrees(90.0 - fabs(lat2));
	return latitudes_good(lat1, lat2);
}

/* What is left of m x 2^e, a double of 2^53 or more, after whole turns. */
static double turns_take(double lon)
{
	uint64_t bits;
	uint32_t rest;

	memcpy(&bits, &lon, sizeof bits);
	rest = (uint32_t)(((bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52) % 360);
	for (uint64_t e = bits >> 52 & 0x7FF; e > 1075; e--)
		rest = rest * 2 % 360;
	return rest;
}

/* A longitude from 0 on, as -180 to 180; exact: what is subtracted is a multiple of the last bit. */
static double wrap_positive(double lon)
{
	if (lon <= 180.0)
		return lon;
	double rest = lon < 0x1p53 ? lon - 360.0 * floor(lon / 360.0) : turns_take(lon);
	if (rest < 0.0) /* the quotient was rounded up to a whole number */
		rest += 360.0;
	return rest > 180.0 ? rest - 360.0 : rest;
}

static double wrap(double lon)
{
	return lon < 0.0 ? -wrap_positive(-lon) : wrap_positive(lon);
}

/* The difference of two longitudes, 0 to 180 */
static double apart(double lon1, double lon2)
{
	double difference = fabs(wrap(lon1) - wrap(lon2));

	return difference > 180.0 ? 360.0 - difference : difference;
}

static bool longitudes_good(double a, double b)
{
	return fabs(a) <= 1.7976931348623157e308 && fabs(b) <= 1.7976931348623157e308;
}

bool geo_lon_near(double lon1, double lon2, double *out)
{
	*out = square(sine_degrees(apart(lon1, lon2) / 2));
	return longitudes_good(lon1, lon2);
}

bool geo_lon_far(double lon1, double lon2, double *out)
{
	*out = square(sine_degrees((180.0 - apart(lon1, lon2)) / 2));
	return longitudes_good(lon1, lon2);
}

/* The arc tangent of y / x for 0 <= y <= x, 0 < x */
static double arc_tangent(double y, double x)
{
	static const double at_eighth[] = { 0.0,
					    0.12435499454676144,
					    0.24497866312686414,
					    0.35877067027057225,
					    0.4636476090008061,
					    0.5585993153435624,
					    0.6435011087932844,
					    0.7188299996216245,
					    0.7853981633974483 };
	double eighth = floor(y / x * 8.0 + 0.5);
	if (!(eighth >= 0.0 && eighth <= 8.0)) /* of what is no angle, in a column of which nobody reads it */
		return 0.0;
	double c = eighth / 8.0, u = (y - c * x) / (x + c * y);
	double v = u * u, sum = 1.0 / 13.0;

	sum = -1.0 / 11.0 + v * sum;
	sum = 1.0 / 9.0 + v * sum;
	sum = -1.0 / 7.0 + v * sum;
	sum = 1.0 / 5.0 + v * sum;
	sum = -1.0 / 3.0 + v * sum;
	return at_eighth[(int)eighth] + (u + u * v * sum);
}

double geo_metres(double a, double f)
{
	double near = sqrt(a), far = sqrt(f);

	return DIAMETER_M * (near <= far ? arc_tangent(near, far) : HALF_PI - arc_tangent(far, near));
}

double geo_km(double a, double f)
{
	return floor(geo_metres(a, f) + 0.5) / 1000.0;
}
