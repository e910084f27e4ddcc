/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A picture in memory: what a display adapter shows, as whoever looks at it gets it.
 * Threads: the owner's.
 */
#ifndef LODGE_DISPLAY_PICTURE_H
#define LODGE_DISPLAY_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* More than any adapter here can show. */
#define DISPLAY_SIZE_MAX 8192u

struct display_picture {
	uint32_t width, height;
	uint32_t *px;  /* 0x00RRGGBB, line after line without gaps; NULL: not yet */
	uint64_t room; /* pixels there is memory for */
};

/* Give it that size, 1 to DISPLAY_SIZE_MAX each; what was in it is lost. -EINVAL, -ENOMEM. */
int display_picture_size(struct display_picture *pic, uint32_t width, uint32_t height) MUST_CHECK;
/* Nothing is shown: black, in the size it has, or 640 by 480. -ENOMEM. */
int display_picture_blank(struct display_picture *pic) MUST_CHECK;
void display_picture_free(struct display_picture *pic);

static inline uint32_t *display_picture_line(const struct display_picture *pic, uint32_t y)
{
	return pic->px + (uint64_t)y * pic->width;
}

enum display_format { DISPLAY_BY_NAME, DISPLAY_PNG, DISPLAY_PPM };
/*
 * Write it to a file, by name as PNG, or as PPM where that ends in ".ppm". -errno and a sentence; no half
 * file is left.
 */
int display_picture_save(const struct display_picture *pic, const char *path,
			 enum display_format format, struct lodge_err *err) MUST_CHECK;
/* The bytes of such a file, the caller's to free. -ENOMEM, -EIO. */
int display_picture_file(const struct display_picture *pic, enum display_format format,
			 uint8_t **out, size_t *len) MUST_CHECK;

#endif
