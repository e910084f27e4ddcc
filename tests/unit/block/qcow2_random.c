// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random operations on a qcow2 image and on bytes in memory, compared; now and then qemu-img looks at it.
 * Run: make t T=block/qcow2_random; a failure says LODGE_SEED=…, which replays it; LODGE_COUNT is the
 * number of operations (make check-images: 100,000).
 */
#include <pthread.h>

#include "qcow2_env.h"

#define SNAPSHOTS 4

struct life {
	uint64_t rnd, size, cluster;
	struct blk *b;
	uint8_t *shadow, *buf;
	uint64_t room;
	bool has_snapshots, wide;
	struct {
		bool used;
		uint8_t *bytes;
		uint64_t size;
	} snap[SNAPSHOTS];
};

static void fail_at(const struct life *l, const char *what, uint64_t off)
{
	fprintf(stderr, "%s differs at 0x%llx (cluster 0x%llx, size 0x%llx)\n", what,
		(unsigned long long)off, (unsigned long long)l->cluster,
		(unsigned long long)l->size);
	fail();
}

static void compare(struct life *l, uint64_t off, uint64_t len)
{
	assert_int_equal(blk_read(l->b, off, l->buf, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (l->buf[i] != l->shadow[off + i])
			fail_at(l, "what was read", off + i);
	}
}

/* A range: often aligned, often small, sometimes of many clusters. */
static void pick(struct life *l, uint64_t *off, uint64_t *len)
{
	static const uint32_t most[] = {512, 4096, 65536, 300000, 2000000};
	uint64_t unit = rnd_below(&l->rnd, 3) ? 512 : 1;

	if (!rnd_below(&l->rnd, 4))
		unit = l->cluster;
	*off = align_down(rnd_below(&l->rnd, l->size), unit);
	*len = 1 + rnd_below(&l->rnd, most[rnd_below(&l->rnd, ARRAY_SIZE(most))]);
	if (unit > 1)
		*len = align_up(*len, unit);
	*len = min_u64(*len, l->size - *off);
}

static void op_write(struct life *l)
{
	uint64_t off, len;

	pick(l, &off, &len);
	rnd_fill(&l->rnd, l->shadow + off, len);
	if (len > 1000 && rnd_below(&l->rnd, 2)) {
		struct iovec iov[3] = {{l->shadow + off, 300},
				       {l->shadow + off + 300, 212},
				       {l->shadow + off + 512, len - 512}};

		assert_int_equal(blk_pwritev(l->b, off, iov, 3), 0);
		return;
	}
	assert_int_equal(blk_write(l->b, off, l->shadow + off, len), 0);
}

static void op_read(struct life *l)
{
	uint64_t off, len;

	pick(l, &off, &len);
	compare(l, off, len);
}

static void op_zero(struct life *l)
{
	uint64_t off, len;

	pick(l, &off, &len);
	memset(l->shadow + off, 0, len);
	assert_int_equal(blk_zero(l->b, off, len, rnd_below(&l->rnd, 2)), 0);
	compare(l, off, len);
}

/* Bytes that were discarded are what they were, or zero. */
static void op_discard(struct life *l)
{
	uint64_t off, len;

	pick(l, &off, &len);
	assert_int_equal(blk_discard(l->b, off, len), 0);
	assert_int_equal(blk_read(l->b, off, l->buf, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (l->buf[i] && l->buf[i] != l->shadow[off + i])
			fail_at(l, "what was discarded", off + i);
	}
	memcpy(l->shadow + off, l->buf, len);
}

static void op_packed(struct life *l)
{
	uint64_t off = align_down(rnd_below(&l->rnd, l->size), l->cluster);
	uint8_t *in = calloc(2, l->cluster), *out = in + l->cluster;
	uint64_t len = min_u64(l->cluster, l->size - off);
	struct q_packer *packer = q_packer_new(l->b);
	long n;

	assert_non_null(packer);
	rnd_fill(&l->rnd, in, rnd_below(&l->rnd, len));
	n = q_pack(packer, in, out);
	q_packer_free(packer);
	assert_true(n >= 0);
	if (n) {
		memcpy(l->shadow + off, in, len);
		assert_int_equal(q_write_compressed(l->b, off, out, n), 0);
	}
	free(in);
}

static void op_flush(struct life *l)
{
	assert_int_equal(blk_flush(l->b), 0);
}

static void op_reopen(struct life *l)
{
	assert_int_equal(blk_close(l->b), 0);
	if (!rnd_below(&l->rnd, 8))
		env_check_clean("a.qcow2");
	l->b = env_open(env_path("a.qcow2"), "qcow2", false);
	assert_int_equal(blk_size(l->b), l->size);
}

static void op_resize(struct life *l)
{
	struct lodge_err err = {""};
	uint64_t size = align_up(1 + rnd_below(&l->rnd, l->room), 512);
	int r = blk_resize(l->b, size, &err);

	if (r == -ENOTSUP && l->has_snapshots)
		return; /* version 2 */
	assert_int_equal(r, 0);
	if (size > l->size)
		memset(l->shadow + l->size, 0, size - l->size);
	l->size = size;
	assert_int_equal(blk_size(l->b), size);
}

static void op_snapshot(struct life *l)
{
	struct lodge_err err = {""};
	unsigned i = (unsigned)rnd_below(&l->rnd, SNAPSHOTS);
	char name[] = {(char)('w' + i), '\0'};

	if (!l->wide)
		return;
	if (!l->snap[i].used) {
		l->snap[i].used = l->has_snapshots = true;
		l->snap[i].bytes = malloc(l->size);
		l->snap[i].size = l->size;
		memcpy(l->snap[i].bytes, l->shadow, l->size);
		assert_int_equal(q_snapshot_create(l->b, name, &err), 0);
	} else if (rnd_below(&l->rnd, 2)) {
		l->size = l->snap[i].size;
		memcpy(l->shadow, l->snap[i].bytes, l->size);
		assert_int_equal(q_snapshot_apply(l->b, name, &err), 0);
		compare(l, 0, l->size);
	} else {
		l->snap[i].used = false;
		free(l->snap[i].bytes);
		assert_int_equal(q_snapshot_delete(l->b, name, &err), 0);
	}
}

static const struct {
	void (*op)(struct life *);
	unsigned weight;
} ops[] = {
	{op_write, 40}, {op_read, 20},	{op_zero, 8},	{op_discard, 8},  {op_packed, 8},
	{op_flush, 8},	{op_reopen, 3}, {op_resize, 2}, {op_snapshot, 4},
};

/* An image of random shape. */
static void begin(struct life *l, uint64_t seed)
{
	struct lodge_err err = {""};
	struct q_create c = {.path = env_path("a.qcow2"), .version = 3};

	*l = (struct life){.rnd = seed};
	l->cluster = 512ull << rnd_below(&l->rnd, 13);
	if (l->cluster > 65536 && rnd_below(&l->rnd, 2))
		l->cluster = 65536;
	l->room = l->cluster < 4096 ? 2 << 20 : 12 << 20;
	l->size = align_up(1 + rnd_below(&l->rnd, l->room), 512);
	if (!rnd_below(&l->rnd, 4))
		c.version = 2;
	c.size = l->size;
	c.cluster_size = l->cluster;
	c.refcount_bits = c.version == 2 ? 16 : 1u << rnd_below(&l->rnd, 7);
	c.lazy_refcounts = c.version == 3 && rnd_below(&l->rnd, 2);
	c.zstd = c.version == 3 && rnd_below(&l->rnd, 2);
	c.ext_l2 = c.version == 3 && l->cluster >= 16384 && rnd_below(&l->rnd, 2);
	c.prealloc = rnd_below(&l->rnd, 5) ? Q_PREALLOC_OFF : Q_PREALLOC_METADATA;
	l->wide = c.refcount_bits >= 8;
	l->shadow = calloc(1, l->room + 4096);
	l->buf = malloc(l->room + 4096);
	if (rnd_below(&l->rnd, 2)) {
		uint64_t n = align_up(1 + rnd_below(&l->rnd, l->room), 512);

		rnd_fill(&l->rnd, l->buf, n);
		env_dump(env_path("base.raw"), l->buf, n);
		memcpy(l->shadow, l->buf, min_u64(n, l->size));
		c.backing_name = "base.raw";
		c.backing_format = "raw";
		c.prealloc = Q_PREALLOC_OFF;
	}
	if (q_create(&c, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		fail();
	}
	l->b = env_open(c.path, "qcow2", false);
}

static void end(struct life *l)
{
	int r;

	compare(l, 0, l->size);
	assert_int_equal(blk_close(l->b), 0);
	env_check_clean("a.qcow2");
	env_dump(env_path("shadow.raw"), l->shadow, l->size);
	r = env_run("qemu-img compare -f qcow2 -F raw a.qcow2 shadow.raw");
	if (r)
		env_show();
	assert_int_equal(r, 0);
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		if (!l->snap[i].used)
			continue;
		/* qemu-img shows a snapshot with the size of today. */
		if (l->snap[i].size == l->size) {
			env_dump(env_path("shadow.raw"), l->snap[i].bytes, l->snap[i].size);
			assert_int_equal(
				env_run("qemu-img convert -U -f qcow2 -l snapshot.name=%c -O "
					"raw a.qcow2 snap.raw && cmp snap.raw shadow.raw",
					'w' + i),
				0);
		}
		free(l->snap[i].bytes);
	}
	free(l->shadow);
	free(l->buf);
}

static void live(uint64_t seed, uint64_t count)
{
	struct life l;
	unsigned total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	begin(&l, seed);
	for (uint64_t n = 0; n < count; n++) {
		unsigned w = (unsigned)rnd_below(&l.rnd, total), i = 0;

		while (w >= ops[i].weight)
			w -= ops[i++].weight;
		if (getenv("LODGE_TRACE"))
			fprintf(stderr, "op %llu: %u\n", (unsigned long long)n, i);
		ops[i].op(&l);
		if (getenv("LODGE_TRACE"))
			compare(&l, 0, l.size);
	}
	end(&l);
}

static void operations_when_random_expect_the_bytes_of_the_shadow(void **state)
{
	uint64_t seed = env_u64("LODGE_SEED", (uint64_t)time(NULL) << 20);
	uint64_t left = env_u64("LODGE_COUNT", 4000);

	for (; left; seed++) {
		uint64_t n = min_u64(left, 250);

		fprintf(stderr, "LODGE_SEED=%llu LODGE_COUNT=%llu\n", (unsigned long long)seed,
			(unsigned long long)n);
		live(seed, n);
		left -= n;
	}
}

/* ---- Several threads --------------------------------------------------------------------------- */

#define THREADS 4
#define SECTORS 4096

struct worker {
	struct blk *b;
	unsigned me;
	uint64_t rnd, count;
	uint8_t *
		shadow; /* all of the image; this thread's sectors are those of its number modulo THREADS */
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t buf[512];

	for (uint64_t n = 0; n < w->count; n++) {
		uint64_t s = rnd_below(&w->rnd, SECTORS / THREADS) * THREADS + w->me;
		uint8_t *mine = w->shadow + s * 512;

		switch (rnd_below(&w->rnd, 10)) {
		case 0:
			if (blk_flush(w->b))
				return "flush";
			break;
		case 1:
			memset(mine, 0, 512);
			if (blk_zero(w->b, s * 512, 512, true))
				return "zero";
			break;
		case 2:
		case 3:
			if (blk_read(w->b, s * 512, buf, 512) || memcmp(buf, mine, 512))
				return "read";
			break;
		default:
			rnd_fill(&w->rnd, mine, 512);
			if (blk_write(w->b, s * 512, mine, 512))
				return "write";
		}
	}
	return NULL;
}

static void threads_when_they_share_clusters_expect_no_lost_write(void **state)
{
	for (unsigned shape = 0; shape < 4; shape++) {
		struct q_create c = {.path = env_path("t.qcow2"),
				     .version = 3,
				     .size = SECTORS * 512,
				     .cluster_size = shape & 1 ? 65536 : 4096,
				     .refcount_bits = 16,
				     .ext_l2 = shape == 3};
		uint8_t *shadow = calloc(SECTORS, 512);
		struct worker w[THREADS];
		pthread_t id[THREADS];
		struct lodge_err err;
		void *why;

		assert_int_equal(q_create(&c, &err), 0);
		for (unsigned i = 0; i < THREADS; i++) {
			w[i] = (struct worker){.b = i ? w[0].b : env_open(c.path, "qcow2", false),
					       .me = i,
					       .rnd = time(NULL) * 16 + i,
					       .count = env_u64("LODGE_COUNT", 4000) / 4,
					       .shadow = shadow};
			pthread_create(&id[i], NULL, work, &w[i]);
		}
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(id[i], &why);
			if (why)
				fprintf(stderr, "shape %u, thread %u: %s\n", shape, i, (char *)why);
			assert_null(why);
		}
		assert_int_equal(blk_close(w[0].b), 0);
		env_check_clean("t.qcow2");
		env_dump(env_path("shadow.raw"), shadow, SECTORS * 512);
		assert_int_equal(env_run("qemu-img compare t.qcow2 shadow.raw"), 0);
		free(shadow);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations_when_random_expect_the_bytes_of_the_shadow),
		cmocka_unit_test(threads_when_they_share_clusters_expect_no_lost_write),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
