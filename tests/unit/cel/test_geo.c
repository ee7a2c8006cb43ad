// needs: user/cel/geo.c
/*
 * test_geo.c: distances against the C library in long double: off by less than a millionth of a metre before
 * rounding, anywhere, and the same bits from every compiler (a hash over a million distances).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cel/geo.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool terms(double lat1, double lon1, double lat2, double lon2, double *a, double *f)
{
	double lat_near, lat_far, cosines, lon_near, lon_far;
	bool good = geo_lat_near(lat1, lat2, &lat_near);

	good = geo_lat_far(lat1, lat2, &lat_far) && good;
	good = geo_lat_cos(lat1, lat2, &cosines) && good;
	good = geo_lon_near(lon1, lon2, &lon_near) && good;
	good = geo_lon_far(lon1, lon2, &lon_far) && good;
	*a = lat_near + cosines * lon_near;
	*f = lat_far + cosines * lon_far;
	return good;
}

static double metres(double lat1, double lon1, double lat2, double lon2)
{
	double a, f;

	assert_true(terms(lat1, lon1, lat2, lon2, &a, &f));
	return geo_metres(a, f);
}

static double km(double lat1, double lon1, double lat2, double lon2)
{
	double a, f;

	assert_true(terms(lat1, lon1, lat2, lon2, &a, &f));
	return geo_km(a, f);
}

/* The angle from the vectors of both places, which is good everywhere in 64 bits. */
static long double metres_slow(long double lat1, long double lon1, long double lat2, long double lon2)
{
	const long double degree = 3.14159265358979323846264338327950288L / 180;
	long double turn = fmodl(lon1, 360) - fmodl(lon2, 360), cross[3];
	long double p = lat1 * degree, q = lat2 * degree, l = turn * degree;
	/* lon1 = l, lon2 = 0 */
	long double v[3] = { cosl(p) * cosl(l), cosl(p) * sinl(l), sinl(p) };
	long double w[3] = { cosl(q), 0, sinl(q) };

	cross[0] = v[1] * w[2] - v[2] * w[1];
	cross[1] = v[2] * w[0] - v[0] * w[2];
	cross[2] = v[0] * w[1] - v[1] * w[0];
	return 6371008.8L * atan2l(sqrtl(cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2]),
				   v[0] * w[0] + v[1] * w[1] + v[2] * w[2]);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 11;
}

/* -most to most */
static double random_double(uint64_t *seed, double most)
{
	return ((double)random_next(seed) / 0x1p52 - 1.0) * most;
}

static void distances_are_off_by_less_than_a_millionth_of_a_metre(void **state)
{
	const char *env = getenv("GEO_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 20261122;
	long double worst = 0;

	(void)state;
	print_message("seed %" PRIu64 " (GEO_SEED)\n", seed);
	for (int i = 0; i < 300000; i++) {
		double lat1 = random_double(&seed, 90), lon1 = random_double(&seed, i % 3 ? 180 : 2000);
		double lat2 = random_double(&seed, 90), lon2 = random_double(&seed, 180);
		double step = pow(10, -(double)(random_next(&seed) % 9));
		if (i % 4 == 1) { /* neighbours */
			lat2 = fmin(90, fmax(-90, lat1 + random_double(&seed, step)));
			lon2 = lon1 + random_double(&seed, step);
		} else if (i % 4 == 2) { /* the other end of the earth */
			lat2 = fmin(90, fmax(-90, -lat1 + random_double(&seed, step)));
			lon2 = lon1 + 180 + random_double(&seed, step);
		} else if (i % 16 == 3) {
			lat1 = i % 32 == 3 ? 90 : -90;
		}
		long double slow = metres_slow(lat1, lon1, lat2, lon2);
		long double off = fabsl(metres(lat1, lon1, lat2, lon2) - slow);
		if (!(off < 1e-6L))
			fail_msg("%.17g %.17g %.17g %.17g: off by %Lg of %Lg", lat1, lon1, lat2, lon2, off,
				 slow);
		worst = off > worst ? off : worst;
	}
	print_message("worst of 300000: %Lg m\n", worst);
}

static void places_that_are_known_have_their_distance(void **state)
{
	(void)state;
	assert_true(km(0, 0, 0, 0) == 0.0);
	assert_true(km(40.4168, -3.7038, 40.4168, -3.7038) == 0.0);
	assert_true(km(0, 0, 0, 180) == 20015.114); /* half of the circumference */
	assert_true(km(90, 0, -90, 123) == 20015.114);
	assert_true(km(0, 0, 0, 90) == 10007.557);
	assert_true(km(90, 5, 90, 77) == 0.0); /* one pole, whatever the longitude */
	assert_true(km(0, 179.5, 0, -179.5) == 111.195);
	assert_true(km(40.4168, -3.7038, 41.3874, 2.1686) == km(41.3874, 2.1686, 40.4168, -3.7038));
	assert_true(km(10, 20, 30, 40) == km(10, 20 + 360, 30, 40 - 720));
}

static void longitudes_wrap_and_latitudes_do_not(void **state)
{
	static const double good[] = { 180, -180, 181, 540, -1e6, 1e18, 1.7976931348623157e308, -0.0 };
	static const double bad[] = {
		90.00000000000001, -90.00000000000001, 1e300, INFINITY, -INFINITY, NAN
	};
	double a, f;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		double rest = (double)fmodl(good[i], 360);
		assert_true(terms(1, good[i], 2, 3, &a, &f));
		assert_true(km(1, good[i], 2, 3) == km(1, rest, 2, 3));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(terms(bad[i], 1, 2, 3, &a, &f));
		assert_false(terms(1, 2, bad[i], 3, &a, &f));
		geo_km(a, f); /* of nothing, in a column: any number, but no trap */
		if (isfinite(bad[i]))
			continue;
		assert_false(terms(1, bad[i], 2, 3, &a, &f));
		assert_false(terms(1, 2, 3, bad[i], &a, &f));
	}
}

/* The bits, which gcc and clang at -O0 and -O3 -march=native have to agree on. */
static void distances_are_the_same_from_every_compiler(void **state)
{
	uint64_t seed = 7, hash = 14695981039346656037u;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		double lat1 = random_double(&seed, 90), lon1 = random_double(&seed, 400);
		double lat2 = random_double(&seed, 90), lon2 = random_double(&seed, 180), m;
		uint64_t bits;
		m = metres(lat1, lon1, lat2, lon2);
		memcpy(&bits, &m, sizeof bits);
		hash = (hash ^ bits) * 1099511628211u;
	}
	if (hash != UINT64_C(0xa827693f48819982))
		fail_msg("hash %#" PRIx64, hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_are_off_by_less_than_a_millionth_of_a_metre),
		cmocka_unit_test(places_that_are_known_have_their_distance),
		cmocka_unit_test(longitudes_wrap_and_latitudes_do_not),
		cmocka_unit_test(distances_are_the_same_from_every_compiler),
	};

	return cmocka_run_group_tests_name("cel_geo", tests, NULL, NULL);
}
