// SPDX-License-Identifier: GPL-2.0-or-later
/* Sets of clusters for qcow2: a hash of bitmaps of 512. Threads: the image's lock. */
#include <errno.h>
#include <stdlib.h>

#include "block/qcow2_int.h"

static size_t slot_of(const struct q_set *s, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (s->size - 1);

	while (s->slot[i].key && s->slot[i].key != key)
		i = (i + 1) & (s->size - 1);
	return i;
}

bool q_set_has(const struct q_set *s, uint64_t cluster)
{
	const struct q_chunk *c;

	if (!s->used)
		return false;
	c = &s->slot[slot_of(s, cluster / 512 + 1)];
	return c->key && (c->bits[cluster / 64 % 8] >> cluster % 64 & 1);
}

static int grow(struct q_set *s)
{
	struct q_set bigger = {.size = s->size ? s->size * 2 : 64, .used = s->used};

	bigger.slot = calloc(bigger.size, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (size_t i = 0; i < s->size; i++) {
		if (s->slot[i].key)
			bigger.slot[slot_of(&bigger, s->slot[i].key)] = s->slot[i];
	}
	free(s->slot);
	*s = bigger;
	return 0;
}

int q_set_add(struct q_set *s, uint64_t cluster)
{
	struct q_chunk *c;

	if (s->used * 4 >= s->size * 3 && grow(s))
		return -ENOMEM;
	c = &s->slot[slot_of(s, cluster / 512 + 1)];
	s->used += !c->key;
	c->key = cluster / 512 + 1;
	c->bits[cluster / 64 % 8] |= 1ull << cluster % 64;
	return 0;
}

void q_set_del(struct q_set *s, uint64_t cluster)
{
	/* Empty chunks stay: they are few, and the set lives no longer than the image is open. */
	if (s->used)
		s->slot[slot_of(s, cluster / 512 + 1)].bits[cluster / 64 % 8] &=
			~(1ull << cluster % 64);
}

void q_set_free(struct q_set *s)
{
	free(s->slot);
	*s = (struct q_set){NULL, 0, 0};
}

int q_set_merge(struct q_set *a, struct q_set *b)
{
	for (size_t i = 0; i < b->size; i++) {
		struct q_chunk *from = &b->slot[i];
		int r = 0;

		for (unsigned w = 0; from->key && w < 8; w++) {
			for (uint64_t m = from->bits[w]; m && !r; m &= m - 1)
				r = q_set_add(a, (from->key - 1) * 512 + w * 64 +
							 (unsigned)__builtin_ctzll(m));
		}
		if (r)
			return r;
	}
	q_set_free(b);
	return 0;
}
