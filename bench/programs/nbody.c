// SPDX-License-Identifier: GPL-2.0-or-later
/* Bodies that attract each other: scalar double-precision additions, products, divisions, roots. */
#include <math.h>
#include <string.h>

#include "bench.h"

#define BODIES 8

struct body {
	double x, y, z, vx, vy, vz, mass;
};

static void attract(struct body *a, struct body *b, double dt)
{
	double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
	double d2 = dx * dx + dy * dy + dz * dz + 0.01, f = dt / (d2 * sqrt(d2));

	a->vx -= dx * b->mass * f;
	a->vy -= dy * b->mass * f;
	a->vz -= dz * b->mass * f;
	b->vx += dx * a->mass * f;
	b->vy += dy * a->mass * f;
	b->vz += dz * a->mass * f;
}

uint64_t bench_nbody(uint32_t work)
{
	struct body b[BODIES];
	uint64_t seed = 8, sum = 0;

	for (unsigned i = 0; i < BODIES; i++) {
		double *v = &b[i].x;

		for (unsigned k = 0; k < 6; k++)
			v[k] = (double)(bench_random(&seed) % 1000) / 500 - 1;
		b[i].mass = 0.1 + (double)(bench_random(&seed) % 100) / 100;
	}
	for (uint32_t step = 0; step < work; step++) {
		for (unsigned i = 0; i < BODIES; i++) {
			for (unsigned k = i + 1; k < BODIES; k++)
				attract(&b[i], &b[k], 0.0001);
		}
		for (unsigned i = 0; i < BODIES; i++) {
			b[i].x += b[i].vx * 0.0001;
			b[i].y += b[i].vy * 0.0001;
			b[i].z += b[i].vz * 0.0001;
		}
	}
	for (unsigned i = 0; i < BODIES; i++) {
		uint64_t bits;

		memcpy(&bits, &b[i].x, 8);
		sum = bench_mix(sum, bits);
	}
	return sum;
}
