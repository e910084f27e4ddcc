/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A picture drawn larger or smaller, part by part: parts drawn one after another meet without a seam.
 * Private to src/vnc. Threads: the owner's.
 */
#ifndef LODGE_VNC_SCALE_H
#define LODGE_VNC_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vnc_rect {
	uint32_t x1, y1, x2, y2; /* the last ones are outside */
};

struct vnc_scale {
	uint32_t from_w, from_h; /* of the picture, in dots */
	uint32_t win_w, win_h;	 /* of what it is shown in */
	uint32_t x, y, w, h; /* where it is there: in the middle, as large as fits, in its shape */
};

/* All sizes are 1 to 16384. */
void vnc_scale_fit(struct vnc_scale *s, uint32_t from_w, uint32_t from_h, uint32_t win_w,
		   uint32_t win_h);
/* What of the window depends on that part of the picture. */
struct vnc_rect vnc_scale_part(const struct vnc_scale *s, struct vnc_rect part);
/* Draw that much of the window, which lies in the picture there; `pitch`: dots from line to line. */
void vnc_scale_draw(const struct vnc_scale *s, const uint32_t *from, uint32_t *to, size_t pitch,
		    struct vnc_rect part);
/* The dot of the picture at that place of the window; the nearest one outside. */
void vnc_scale_point(const struct vnc_scale *s, int32_t x, int32_t y, int32_t *px, int32_t *py);

#endif
