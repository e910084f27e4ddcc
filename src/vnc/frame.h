/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures into shared memory, and what changed out of it. Private to src/vnc. Threads: the owner's. */
#ifndef LODGE_VNC_FRAME_H
#define LODGE_VNC_FRAME_H

#include "display/source.h"
#include "vnc/vnc_int.h"

/* The VM's side: what differs in `lines` goes into the memory. True: something did. */
bool vnc_frame_put(struct vnc_shared *s, uint8_t *pixels, const struct display_picture *pic,
		   struct display_lines lines);

/* The viewer's side: what it has seen. */
struct vnc_seen {
	uint32_t seq, width, height;
};

/* The size now, whatever the memory says: 1 to DISPLAY_SIZE_MAX each. */
void vnc_frame_size(const struct vnc_shared *s, uint32_t *width, uint32_t *height);
/* `fn` for each rectangle that has changed since; the size is the one seen. */
void vnc_frame_changes(const struct vnc_shared *s, struct vnc_seen *seen,
		       void (*fn)(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2),
		       void *opaque);

#endif
