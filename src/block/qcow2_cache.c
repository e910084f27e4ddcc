// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables and blocks of refcounts in memory. What is clean goes when there are too many; what is not stays
 * until it has been written to its new place (qcow2_commit.c). Threads: the image's lock is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_int.h"

int q_cache_init(struct q_cache *c, unsigned max)
{
	list_init(&c->lru);
	c->max = max;
	c->hash_size = 64;
	while (c->hash_size < max * 2)
		c->hash_size *= 2;
	c->hash = calloc(c->hash_size, sizeof(struct q_table *));
	return c->hash ? 0 : -ENOMEM;
}

static struct q_table **bucket(struct q_cache *c, uint64_t index)
{
	return &c->hash[index & (c->hash_size - 1)];
}

static void forget(struct q_cache *c, struct q_table *t)
{
	struct q_table **p = bucket(c, t->index);

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	list_del(&t->lru);
	c->count--;
	c->dirty -= t->dirty;
	free(t->data);
	free(t);
}

struct q_table *q_cache_find(struct q_cache *c, uint64_t index)
{
	struct q_table *t = *bucket(c, index);

	while (t && t->index != index)
		t = t->next;
	return t;
}

void q_cache_drop(struct q_cache *c, uint64_t index)
{
	struct q_table *t = q_cache_find(c, index);

	if (t)
		forget(c, t);
}

void q_cache_drop_all(struct q_cache *c)
{
	while (c->hash && !list_empty(&c->lru))
		forget(c, container_of(c->lru.next, struct q_table, lru));
}

void q_cache_free(struct q_cache *c)
{
	q_cache_drop_all(c);
	free(c->hash);
	c->hash = NULL;
}

void q_table_dirty(struct q_cache *c, struct q_table *t)
{
	c->dirty += !t->dirty;
	t->dirty = true;
}

/* Room for one more: the oldest clean ones go. */
static void shrink(struct q_cache *c)
{
	struct list *l = c->lru.next, *next;

	for (; c->count >= c->max && l != &c->lru; l = next) {
		struct q_table *t = container_of(l, struct q_table, lru);

		next = l->next;
		if (!t->dirty && !t->placed)
			forget(c, t);
	}
}

static void touch(struct q_cache *c, struct q_table *t)
{
	list_del(&t->lru);
	list_add_tail(&c->lru, &t->lru);
}

/* A table that is not in memory: from the disk, or an empty one where `off` is 0. */
static int load(struct qcow2 *q, struct q_cache *c, uint64_t index, uint64_t off,
		struct q_table **out)
{
	struct q_table *t, **p;
	int r = 0;

	shrink(c);
	t = calloc(1, sizeof(*t));
	if (t)
		t->data = off ? malloc(q->cluster_size) : calloc(1, q->cluster_size);
	if (!t || !t->data) {
		free(t);
		return -ENOMEM;
	}
	if (off)
		r = blk_file_read(q->b->file, off, t->data, q->cluster_size);
	if (r) {
		free(t->data);
		free(t);
		return r;
	}
	t->index = index;
	p = bucket(c, index);
	t->next = *p;
	*p = t;
	list_add_tail(&c->lru, &t->lru);
	c->count++;
	*out = t;
	return 0;
}

static int get(struct qcow2 *q, struct q_cache *c, uint64_t index, uint64_t off, bool make,
	       struct q_table **out)
{
	int r;

	*out = q_cache_find(c, index);
	if (*out) {
		touch(c, *out);
		return 0;
	}
	if (!off && !make)
		return 0;
	r = load(q, c, index, off, out);
	if (!r && !off)
		q_table_dirty(c, *out);
	return r;
}

int q_l2_get(struct qcow2 *q, uint64_t l1_index, bool make, struct q_table **out)
{
	uint64_t off;

	*out = NULL;
	if (l1_index >= q->h.l1_size)
		return make ? q_corrupt(q, "there is no L1 entry %llu",
					(unsigned long long)l1_index)
			    : 0;
	off = q->l1[l1_index] & Q_OFFSET_MASK;
	if (off % q->cluster_size)
		return q_corrupt(q, "an L2 table at 0x%llx", (unsigned long long)off);
	return get(q, &q->l2, l1_index, off, make, out);
}

int q_refs_get(struct qcow2 *q, uint64_t index, bool make, struct q_table **out)
{
	uint64_t off = index < q->reftable_size ? q->reftable[index] : 0;

	*out = NULL;
	if (off % q->cluster_size)
		return q_corrupt(q, "a block of reference counts at 0x%llx",
				 (unsigned long long)off);
	return get(q, &q->refs, index, off, make, out);
}
