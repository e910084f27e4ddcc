// SPDX-License-Identifier: GPL-2.0-or-later
/* SHA-256 in plain C. Source: FIPS 180-4 §6.2; the constants are computed from their definition. */
#include "bench.h"

static uint32_t k[64], h0[8];

static uint32_t rotr(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

/* The first 32 bits of the fraction of the `root`-th root (2 or 3) of p, in integers (§4.2.2). */
static uint32_t root_fraction(uint32_t p, unsigned root)
{
	uint64_t r = 0;

	for (int bit = 35; bit >= 0; bit--) {
		unsigned __int128 t = r | 1ull << bit, power = t * t;

		if (root == 3)
			power *= t;
		if (power <= (unsigned __int128)p << 32 * root)
			r = (uint64_t)t;
	}
	return (uint32_t)r;
}

static void constants(void)
{
	unsigned n = 0;

	for (uint32_t p = 2; n < 64; p++) {
		uint32_t d = 2;

		while (d * d <= p && p % d)
			d++;
		if (d * d <= p)
			continue;
		if (n < 8)
			h0[n] = root_fraction(p, 2);
		k[n++] = root_fraction(p, 3);
	}
}

static void block(uint32_t h[8], const uint32_t in[16])
{
	uint32_t w[64], v[8];

	for (unsigned t = 0; t < 64; t++) {
		if (t < 16) {
			w[t] = in[t];
			continue;
		}
		uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = w[t - 16] + s0 + w[t - 7] + s1;
	}
	for (unsigned i = 0; i < 8; i++)
		v[i] = h[i];
	for (unsigned t = 0; t < 64; t++) {
		uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
		uint32_t ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t t1 = v[7] + s1 + ch + k[t] + w[t];
		uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
		uint32_t maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);

		for (unsigned i = 7; i; i--)
			v[i] = v[i - 1];
		v[4] += t1;
		v[0] = t1 + s0 + maj;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

static uint64_t run(void)
{
	uint32_t h[8], in[16];
	uint64_t seed = 4;

	constants();
	for (unsigned i = 0; i < 8; i++)
		h[i] = h0[i];
	for (unsigned n = 0; n < 50000; n++) {
		for (unsigned i = 0; i < 16; i++)
			in[i] = (uint32_t)bench_random(&seed);
		block(h, in);
	}
	return (uint64_t)h[0] << 32 | h[7];
}

const struct bench bench_sha256 = {"sha256", "integer", run, 1};
