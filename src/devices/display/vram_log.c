// SPDX-License-Identifier: GPL-2.0-or-later
/* What of an adapter's picture may have changed. See vram_log.h. */
#include "devices/display/vram_log.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"

int vram_log_init(struct vram_log *log, const struct vram *vram)
{
	uint64_t pages = vram->bytes >> PAGE_BITS;

	*log = (struct vram_log){.vram = vram, .from = UINT64_MAX, .all = true};
	log->bits = calloc((pages + 63) / 64, sizeof(*log->bits));
	return log->bits ? 0 : -ENOMEM;
}

void vram_log_free(struct vram_log *log)
{
	free(log->bits);
	log->bits = NULL;
}

void vram_log_look(struct vram_log *log)
{
	const struct vram *v = log->vram;
	uint64_t words = ((v->bytes >> PAGE_BITS) + 63) / 64;

	if (!mem_take_dirty(v->mem, v->off, v->bytes, log->bits))
		return;
	for (uint64_t i = 0; i < words; i++) {
		uint64_t w = log->bits[i];

		if (!w)
			continue;
		log->from =
			min_u64(log->from, (i * 64 + (unsigned)__builtin_ctzll(w)) << PAGE_BITS);
		log->to =
			max_u64(log->to, (i * 64 + 64 - (unsigned)__builtin_clzll(w)) << PAGE_BITS);
	}
}

struct display_lines vram_log_lines(struct vram_log *log, const struct dispi_mode *m,
				    uint64_t bytes)
{
	uint64_t from = log->from, to = log->to, end;
	bool all = log->all;

	log->from = UINT64_MAX;
	log->to = 0;
	log->all = false;
	if (all)
		return DISPLAY_ALL_LINES;
	if (!m)
		return from < bytes ? DISPLAY_ALL_LINES : DISPLAY_NO_LINES;
	end = m->start + (uint64_t)m->height * m->stride;
	from = max_u64(from, m->start);
	to = min_u64(to, end);
	if (from >= to)
		return DISPLAY_NO_LINES;
	return (struct display_lines){(uint32_t)((from - m->start) / m->stride),
				      (uint32_t)((to - 1 - m->start) / m->stride)};
}
