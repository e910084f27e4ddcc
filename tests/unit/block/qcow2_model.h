/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of what survives: sectors that say who wrote them, and what each may hold. */
#ifndef QCOW2_MODEL_H
#define QCOW2_MODEL_H

#include "qcow2_env.h"

#define SECTORS 8192u /* each holds its number and a version */

enum { ZEROS = 1u << 31, FLUSHED = 0xffffffffu };

/* Sectors [first, first + count) become `version`; or, count 0, everything before is safe. */
struct message {
	uint32_t first, count, version;
};

static void stamp(uint8_t *p, uint32_t sector, uint32_t version)
{
	memset(p, 0, 512);
	if (version & ZEROS)
		return;
	for (unsigned i = 0; i < 512; i += 8) {
		memcpy(p + i, &sector, 4);
		memcpy(p + i + 4, &version, 4);
	}
}

/* What each sector may hold: `safe`, or any version in its list since. */
struct model {
	uint32_t safe[SECTORS];
	struct message *since;
	size_t count, room;
};

static void note(struct model *m, const struct message *msg)
{
	if (!msg->count) {
		for (size_t i = 0; i < m->count; i++) {
			for (uint32_t s = 0; s < m->since[i].count; s++)
				m->safe[m->since[i].first + s] = m->since[i].version;
		}
		m->count = 0;
		return;
	}
	if (m->count == m->room) {
		m->room = m->room ? m->room * 2 : 256;
		m->since = realloc(m->since, m->room * sizeof(*m->since));
	}
	m->since[m->count++] = *msg;
}

static bool is(const uint8_t *data, uint32_t sector, uint32_t version)
{
	uint8_t want[512];

	stamp(want, sector, version);
	return !memcmp(data, want, 512);
}

/* Every sector of the image holds something it may hold. */
static void verify(struct model *m, const char *path)
{
	struct blk *b = env_open(path, "qcow2", true);
	uint8_t *data = malloc(SECTORS * 512), torn = 0;

	assert_int_equal(blk_read(b, 0, data, SECTORS * 512), 0);
	assert_int_equal(blk_close(b), 0);
	for (uint32_t s = 0; s < SECTORS; s++) {
		bool ok = is(data + s * 512, s, m->safe[s]);

		for (size_t i = 0; i < m->count && !ok; i++) {
			if (m->since[i].first <= s && s < m->since[i].first + m->since[i].count)
				ok = is(data + s * 512, s, m->since[i].version);
		}
		if (!ok)
			fprintf(stderr, "sector %u: flushed was version 0x%x, there is 0x%x\n", s,
				m->safe[s], *(uint32_t *)(void *)(data + s * 512 + 4));
		torn |= !ok;
	}
	free(data);
	assert_false(torn);
}

static void create(const char *path, uint64_t *rnd)
{
	struct lodge_err err = {""};
	struct q_create c = {.path = path,
			     .version = rnd_below(rnd, 4) ? 3 : 2,
			     .size = SECTORS * 512,
			     .cluster_size = 512ull << rnd_below(rnd, 9),
			     .refcount_bits = 16};

	c.lazy_refcounts = c.version == 3 && rnd_below(rnd, 2);
	c.ext_l2 = c.version == 3 && c.cluster_size >= 16384 && rnd_below(rnd, 2);
	if (q_create(&c, &err))
		fail_msg("%s", err.msg);
}

static void model_start(struct model *m)
{
	m->count = 0;
	for (uint32_t s = 0; s < SECTORS; s++)
		m->safe[s] = ZEROS;
}

#endif
