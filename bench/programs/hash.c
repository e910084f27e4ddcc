// SPDX-License-Identifier: GPL-2.0-or-later
/* A chained hash table with strings as keys: insert, look up, count. */
#include "bench.h"

#define BUCKETS 4096u
#define KEYS 12000u

struct entry {
	struct entry *next;
	uint32_t hash, count;
	char key[16];
};

static struct entry *table[BUCKETS];
static struct entry pool[KEYS];
static uint32_t used;

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static struct entry *intern(const char *key)
{
	uint32_t h = hash_of(key);
	struct entry *e;

	for (e = table[h % BUCKETS]; e; e = e->next) {
		if (e->hash == h && same(e->key, key))
			return e;
	}
	e = &pool[used++];
	for (unsigned i = 0; i < sizeof(e->key); i++) {
		e->key[i] = key[i];
		if (!key[i])
			break;
	}
	e->hash = h;
	e->count = 0;
	e->next = table[h % BUCKETS];
	table[h % BUCKETS] = e;
	return e;
}

static void make_key(char *key, uint64_t n)
{
	*key++ = 'k';
	do {
		*key++ = (char)('a' + n % 26);
		n /= 26;
	} while (n);
	*key = '\0';
}

uint64_t bench_hash(uint32_t work)
{
	uint64_t seed = 7, sum = 0;
	char key[16];

	used = 0;
	for (unsigned i = 0; i < BUCKETS; i++)
		table[i] = 0;
	for (unsigned n = 0; n < work; n++) {
		make_key(key, bench_random(&seed) % KEYS * 7919);
		sum = bench_mix(sum, ++intern(key)->count);
	}
	return bench_mix(sum, used);
}
