/*
 * geo: the great-circle distance of two places on a sphere of 6,371,008.8 m, in steps over two doubles each.
 *
 * With a = sin^2(dlat/2) + cos(lat1) cos(lat2) sin^2(dlon/2), the haversine of the angle, and f = 1 - a from
 * its own terms, sin^2((lat1+lat2)/2) + cos(lat1) cos(lat2) cos^2(dlon/2), the distance is 2 R atan2(sqrt a,
 * sqrt f). It is exact at both ends: neighbours need a, opposite places need f. Own polynomials and the
 * correctly rounded sqrt and floor only, so every CPU and compiler gives the same bits; off by less than 1e-6
 * m.
 *
 * False: a latitude beyond 90 degrees, or what is not finite. Longitudes wrap.
 */
#ifndef CEL_GEO_H
#define CEL_GEO_H

#include <stdbool.h>

bool geo_lat_near(double lat1, double lat2, double *out); /* sin^2((lat1 - lat2) / 2) */
bool geo_lat_far(double lat1, double lat2, double *out);  /* sin^2((lat1 + lat2) / 2) */
bool geo_lat_cos(double lat1, double lat2, double *out);  /* cos(lat1) cos(lat2) */
bool geo_lon_near(double lon1, double lon2, double *out); /* sin^2((lon1 - lon2) / 2) */
bool geo_lon_far(double lon1, double lon2, double *out);  /* cos^2((lon1 - lon2) / 2) */
double geo_metres(double a, double f);			  /* not rounded, for tests */
double geo_km(double a, double f);			  /* whole metres / 1000.0 */

#endif
