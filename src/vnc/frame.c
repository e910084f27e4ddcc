// SPDX-License-Identifier: GPL-2.0-or-later
/* The shared picture. See frame.h and vnc_int.h. Threads: one writer; any number of readers. */
#include "vnc/frame.h"

#include <string.h>

#include "base/range.h"

static bool put_tile(uint8_t *pixels, const struct display_picture *pic, uint32_t x, uint32_t y)
{
	size_t len = (size_t)min_u64(VNC_TILE_W, pic->width - x) * 4;
	uint32_t end = (uint32_t)min_u64(y + VNC_TILE_H, pic->height);
	bool changed = false;

	for (; y < end; y++) {
		const uint32_t *from = display_picture_line(pic, y) + x;
		uint8_t *to = pixels + ((uint64_t)y * pic->width + x) * 4;

		if (!changed && !memcmp(to, from, len))
			continue;
		changed = true;
		memcpy(to, from, len);
	}
	return changed;
}

bool vnc_frame_put(struct vnc_shared *s, uint8_t *pixels, const struct display_picture *pic,
		   struct display_lines lines)
{
	uint64_t size = (uint64_t)pic->width << 32 | pic->height;
	bool whole = size != atomic_load_explicit(&s->size, memory_order_relaxed), any = whole;
	uint32_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed) + 1;

	seq += !seq;
	if (whole)
		lines = DISPLAY_ALL_LINES;
	if (lines.last < lines.first || lines.first >= pic->height)
		return false;
	lines.last = (uint32_t)min_u64(lines.last, pic->height - 1);
	for (uint32_t r = lines.first / VNC_TILE_H; r <= lines.last / VNC_TILE_H; r++) {
		for (uint32_t c = 0; c * VNC_TILE_W < pic->width; c++) {
			if (!put_tile(pixels, pic, c * VNC_TILE_W, r * VNC_TILE_H) && !whole)
				continue;
			any = true;
			atomic_store_explicit(&s->tile[r * VNC_COLS + c], seq,
					      memory_order_relaxed);
		}
	}
	if (!any)
		return false;
	atomic_store_explicit(&s->size, size, memory_order_release);
	atomic_store_explicit(&s->seq, seq, memory_order_release);
	return true;
}

void vnc_frame_size(const struct vnc_shared *s, uint32_t *width, uint32_t *height)
{
	uint64_t size = atomic_load_explicit(&s->size, memory_order_acquire);

	*width = (uint32_t)(size >> 32);
	*height = (uint32_t)size;
	if (!*width || !*height || *width > DISPLAY_SIZE_MAX || *height > DISPLAY_SIZE_MAX) {
		*width = 640;
		*height = 480;
	}
}

/* Changed tiles of one row, joined where they touch. */
static void row_changes(const struct vnc_shared *s, const struct vnc_seen *seen, uint32_t r,
			void (*fn)(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2,
				   uint32_t y2),
			void *opaque)
{
	uint32_t y2 = (uint32_t)min_u64((r + 1) * VNC_TILE_H, seen->height);
	uint32_t cols = (seen->width + VNC_TILE_W - 1) / VNC_TILE_W, first = UINT32_MAX;

	for (uint32_t c = 0; c <= cols; c++) {
		bool is = c < cols && (int32_t)(atomic_load_explicit(&s->tile[r * VNC_COLS + c],
								     memory_order_relaxed) -
						seen->seq) > 0;

		if (is && first == UINT32_MAX)
			first = c;
		if (!is && first != UINT32_MAX) {
			fn(opaque, first * VNC_TILE_W, r * VNC_TILE_H,
			   (uint32_t)min_u64(c * VNC_TILE_W, seen->width), y2);
			first = UINT32_MAX;
		}
	}
}

void vnc_frame_changes(const struct vnc_shared *s, struct vnc_seen *seen,
		       void (*fn)(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2),
		       void *opaque)
{
	uint32_t seq = atomic_load_explicit(&s->seq, memory_order_acquire);

	if (seq == seen->seq)
		return;
	for (uint32_t r = 0; r * VNC_TILE_H < seen->height; r++)
		row_changes(s, seen, r, fn, opaque);
	seen->seq = seq;
}
