/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a display adapter: a piece of the backing of guest memory, so that a guest which sees it in
 * a window writes it at the speed of RAM. The adapter says what shall be seen where; the board maps it, if
 * nothing else of the machine has its place there.
 *
 * Threads: with the VM lock held; the bytes are shared with running vCPUs: any of them may change between
 * two looks, so no decision hangs on one.
 */
#ifndef LODGE_DEVICES_DISPLAY_VRAM_H
#define LODGE_DEVICES_DISPLAY_VRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/mem.h"

#define VRAM_BYTES_MAX (512ull << 20)

enum vram_window {
	VRAM_WINDOW_BAR,    /* the linear frame buffer */
	VRAM_WINDOW_LEGACY, /* below 1 MiB */
	VRAM_WINDOWS,
};

struct vram {
	struct mem *mem;
	uint64_t off;	/* in its backing */
	uint64_t bytes; /* a power of two */
	/*
	 * Show [at, at + len) of it at `gpa` by this window, and no longer what it showed; len 0: nothing. False:
	 * nothing is seen.
	 */
	bool (*show)(void *opaque, enum vram_window window, gpa_t gpa, uint64_t at, uint64_t len);
	void *opaque;
};

static inline uint8_t *vram_host(const struct vram *v)
{
	return mem_base(v->mem) + v->off;
}

/* After the adapter itself has written [at, at + len). */
static inline void vram_wrote(const struct vram *v, uint64_t at, uint64_t len)
{
	mem_wrote_backing(v->mem, v->off + at, len);
}

static inline bool vram_show(const struct vram *v, enum vram_window window, gpa_t gpa, uint64_t at,
			     uint64_t len)
{
	return v->show && v->show(v->opaque, window, gpa, at, len);
}

#endif
