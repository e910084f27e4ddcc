/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of an adapter's picture may have changed: pages of its memory that were written, registers.
 * Threads: vram_log_look() by one thread, without the VM lock; the rest with it.
 */
#ifndef LODGE_DEVICES_DISPLAY_VRAM_LOG_H
#define LODGE_DEVICES_DISPLAY_VRAM_LOG_H

#include "devices/display/dispi.h"
#include "devices/display/vram.h"
#include "display/source.h"

struct vram_log {
	const struct vram *vram;
	uint64_t *bits; /* a bit a page, of the last look */
	uint64_t from,
		to; /* bytes of memory that were written, by pages, until vram_log_lines(); the looker's */
	bool all; /* registers were written */
};

/* `vram` is borrowed. -ENOMEM. */
int vram_log_init(struct vram_log *log, const struct vram *vram) MUST_CHECK;
void vram_log_free(struct vram_log *log);
void vram_log_look(struct vram_log *log);
/* A register that the picture depends on was written. */
static inline void vram_log_all(struct vram_log *log)
{
	log->all = true;
}
/* Lines of a frame buffer with mode `m`; NULL: of a picture that any of the first `bytes` may show anywhere. */
struct display_lines vram_log_lines(struct vram_log *log, const struct dispi_mode *m,
				    uint64_t bytes);

#endif
