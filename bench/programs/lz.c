// SPDX-License-Identifier: GPL-2.0-or-later
/* A Lempel-Ziv matcher with hash chains over text-like bytes. */
#include <string.h>

#include "bench.h"

#define BYTES 800000u
#define WINDOW 32768u
#define HASH_BITS 13
#define MAX_MATCH 258u
#define MAX_CHAIN 16

static uint8_t text[BYTES + MAX_MATCH];

static void make_text(void)
{
	static const char words[][8] = {"the",	"guest", "of",	  "a",	   "page", "and",
					"host", "reads", "timer", "block", "it",   "port"};
	uint64_t seed = 3;

	for (unsigned n = 0; n < BYTES;) {
		const char *w = words[bench_random(&seed) % 12];

		while (*w && n < BYTES)
			text[n++] = (uint8_t)*w++;
		if (n < BYTES)
			text[n++] = bench_random(&seed) % 16 ? ' ' : '\n';
	}
}

static unsigned match_length(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned n = 0;

	while (n < max && a[n] == b[n])
		n++;
	return n;
}

static unsigned hash3(const uint8_t *p)
{
	uint32_t v = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;

	return v * 2654435761u >> (32 - HASH_BITS);
}

static uint64_t run(void)
{
	static int32_t head[1u << HASH_BITS], prev[WINDOW];
	uint64_t sum = 0;

	make_text();
	memset(head, 0xff, sizeof(head));
	for (uint32_t at = 0; at + 3 < BYTES;) {
		unsigned h = hash3(text + at), best = 0, dist = 0;
		int32_t cand = head[h];

		for (unsigned n = 0; n < MAX_CHAIN && cand >= 0; n++) {
			if (at - (uint32_t)cand >= WINDOW)
				break;
			unsigned len = match_length(text + cand, text + at, MAX_MATCH);

			if (len > best) {
				best = len;
				dist = at - (uint32_t)cand;
			}
			cand = prev[(uint32_t)cand % WINDOW];
		}
		prev[at % WINDOW] = head[h];
		head[h] = (int32_t)at;
		sum = bench_mix(sum, best >= 3 ? (uint64_t)best << 32 | dist : text[at]);
		at += best >= 3 ? best : 1;
	}
	return sum;
}

const struct bench bench_lz = {"lz", "integer", run, 1};
