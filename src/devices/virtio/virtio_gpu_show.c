// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What virtio-gpu shows: a part of a resource, and the cursor; or the VGA, as long as the driver has said nothing.
 * See virtio_gpu_int.h.
 *
 * A picture changes where the driver says so (RESOURCE_FLUSH), and nowhere else: a screen on which nothing happens
 * costs nothing.
 *
 * Source: virtio 1.2 §5.7.6.8, §5.7.6.10. Threads: with the VM lock held; `look` without.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/virtio/virtio_gpu_int.h"

/* ---- Pixels -------------------------------------------------------------------------------------- */

/*
 * Of each format, by its number in the specification: the byte each colour is in, and the fourth, which is alpha in a
 * cursor whatever the format's name says: Linux has all of its pictures in B8G8R8X8.
 */
static const struct format {
	uint8_t number, r, g, b, a;
} formats[] = {
	{1, 2, 1, 0, 3},   /* B8G8R8A8 */
	{2, 2, 1, 0, 3},   /* B8G8R8X8 */
	{3, 1, 2, 3, 0},   /* A8R8G8B8 */
	{4, 1, 2, 3, 0},   /* X8R8G8B8 */
	{67, 0, 1, 2, 3},  /* R8G8B8A8 */
	{68, 3, 2, 1, 0},  /* X8B8G8R8 */
	{121, 3, 2, 1, 0}, /* A8B8G8R8 */
	{134, 0, 1, 2, 3}, /* R8G8B8X8 */
};

static const struct format *format_of(uint32_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].number == number)
			return &formats[i];
	}
	return NULL;
}

bool gpu_format_ok(uint32_t format)
{
	return format_of(format);
}

void gpu_convert(uint32_t *out, const uint8_t *in, uint32_t n, uint8_t format, uint32_t mask)
{
	const struct format *f = format_of(format);

	/* The two that guests use. */
	if (f->b == 0) {
		for (uint32_t i = 0; i < n; i++)
			out[i] = ld_le32(in + GPU_PIXEL_BYTES * (size_t)i) & mask;
		return;
	}
	for (uint32_t i = 0; i < n; i++, in += GPU_PIXEL_BYTES)
		out[i] = ((uint32_t)in[f->a] << 24 | (uint32_t)in[f->r] << 16 |
			  (uint32_t)in[f->g] << 8 | in[f->b]) &
			 mask;
}

/* ---- What has changed ---------------------------------------------------------------------------- */

static bool some(const struct display_lines *l)
{
	return l->first <= l->last;
}

/* Lines [y, y + n) of the picture; what of it lies outside is left out. */
static void changed_lines(struct virtio_gpu *g, int64_t y, uint64_t n)
{
	int64_t first = y < 0 ? 0 : y, last = y + (int64_t)n - 1;

	if (last > UINT32_MAX)
		last = UINT32_MAX;
	if (first > last)
		return;
	if (some(&g->dirty)) {
		first = first < g->dirty.first ? first : g->dirty.first;
		last = last > g->dirty.last ? last : g->dirty.last;
	}
	g->dirty = (struct display_lines){(uint32_t)first, (uint32_t)last};
}

void gpu_show_all(struct virtio_gpu *g)
{
	g->dirty = DISPLAY_ALL_LINES;
}

void gpu_set_scanout(struct virtio_gpu *g, const struct gpu_resource *r,
		     const struct gpu_rect *rect)
{
	g->enabled = 1;
	g->shown = r ? r->id : 0;
	g->scanout = r ? *rect : (struct gpu_rect){0};
	gpu_show_all(g);
}

void gpu_flush(struct virtio_gpu *g, const struct gpu_resource *r, const struct gpu_rect *rect)
{
	const struct gpu_rect *s = &g->scanout;

	if (g->shown != r->id || !rect->width || !rect->height)
		return;
	if (rect->x >= s->x + s->width || rect->x + rect->width <= s->x ||
	    rect->y >= s->y + s->height || rect->y + rect->height <= s->y)
		return;
	changed_lines(g, (int64_t)rect->y - s->y, rect->height);
}

/* ---- Cursor -------------------------------------------------------------------------------------- */

static void cursor_changed(struct virtio_gpu *g)
{
	if (g->has_cursor)
		changed_lines(g, g->cursor_y, DISPLAY_CURSOR_SIZE);
}

void gpu_move_cursor(struct virtio_gpu *g, int32_t x, int32_t y)
{
	if (x == g->cursor_x && y == g->cursor_y)
		return;
	cursor_changed(g);
	g->cursor_x = x;
	g->cursor_y = y;
	cursor_changed(g);
}

void gpu_set_cursor(struct virtio_gpu *g, const struct gpu_resource *r, uint32_t hot_x,
		    uint32_t hot_y)
{
	cursor_changed(g);
	g->has_cursor = r && r->width == DISPLAY_CURSOR_SIZE && r->height == DISPLAY_CURSOR_SIZE;
	if (!g->has_cursor)
		return;
	/* As it is now: the resource may be drawn on, or go. */
	gpu_convert(g->cursor, gpu_line(g, r, 0), ARRAY_SIZE(g->cursor), r->format, ~0u);
	g->hot_x = hot_x < DISPLAY_CURSOR_SIZE ? hot_x : 0;
	g->hot_y = hot_y < DISPLAY_CURSOR_SIZE ? hot_y : 0;
	cursor_changed(g);
}

/* ---- For whoever looks --------------------------------------------------------------------------- */

static bool is_vga(const struct virtio_gpu *g)
{
	return g->has_vga && !g->enabled;
}

static void look(void *opaque)
{
	struct virtio_gpu *g = opaque;

	if (g->has_vga)
		g->vga.source.look(g->vga.source.opaque);
}

static struct display_lines changed(void *opaque)
{
	struct virtio_gpu *g = opaque;
	struct display_lines lines = g->dirty;

	g->dirty = DISPLAY_NO_LINES;
	if (is_vga(g)) {
		struct display_lines vga = g->vga.source.changed(g->vga.source.opaque);

		return some(&lines) ? DISPLAY_ALL_LINES : vga;
	}
	return lines;
}

static int draw_lines(void *opaque, struct display_picture *pic, struct display_lines *lines)
{
	struct virtio_gpu *g = opaque;
	const struct gpu_resource *r = gpu_find(g, g->shown);
	const struct gpu_rect *s = &g->scanout;
	uint32_t end;
	int err;

	if (is_vga(g) || !r || !pic->px || pic->width != s->width || pic->height != s->height)
		*lines = DISPLAY_ALL_LINES;
	if (is_vga(g))
		return g->vga.source.draw(g->vga.source.opaque, pic);
	if (!r)
		return display_picture_blank(pic);
	err = display_picture_size(pic, s->width, s->height);
	end = (uint32_t)min_u64(lines->last + 1ull, s->height);
	for (uint32_t y = lines->first; !err && y < end; y++) {
		const uint8_t *in = gpu_line(g, r, s->y + y) + (size_t)s->x * GPU_PIXEL_BYTES;

		gpu_convert(display_picture_line(pic, y), in, s->width, r->format, 0xffffff);
	}
	return err;
}

static int draw(void *opaque, struct display_picture *pic)
{
	struct display_lines lines = DISPLAY_ALL_LINES;

	return draw_lines(opaque, pic, &lines);
}

static int text(void *opaque, struct display_text *t)
{
	struct virtio_gpu *g = opaque;

	return is_vga(g) ? g->vga.source.text(g->vga.source.opaque, t) : -ENODATA;
}

static bool cursor(void *opaque, struct display_cursor *c)
{
	struct virtio_gpu *g = opaque;

	if (!g->has_cursor || !g->shown)
		return false;
	c->x = g->cursor_x;
	c->y = g->cursor_y;
	c->hot_x = g->hot_x;
	c->hot_y = g->hot_y;
	memcpy(c->px, g->cursor, sizeof(c->px));
	return true;
}

/* ---- Life ---------------------------------------------------------------------------------------- */

void gpu_show_init(struct virtio_gpu *g)
{
	g->source = (struct display_source){
		.look = look,
		.changed = changed,
		.draw = draw,
		.draw_lines = draw_lines,
		.text = text,
		.cursor = cursor,
		.resize = gpu_resize,
		.opaque = g,
	};
	gpu_show_all(g);
}

void gpu_show_reset(struct virtio_gpu *g)
{
	gpu_set_scanout(g, NULL, NULL);
	g->enabled = 0;
	g->has_cursor = 0;
	g->cursor_x = g->cursor_y = 0;
	g->hot_x = g->hot_y = 0;
	memset(g->cursor, 0, sizeof(g->cursor));
}

int gpu_show_loaded(struct virtio_gpu *g)
{
	const struct gpu_resource *r = gpu_find(g, g->shown);
	const struct gpu_rect *s = &g->scanout;

	gpu_show_all(g);
	if (g->enabled > 1 || g->has_cursor > 1 || g->hot_x >= DISPLAY_CURSOR_SIZE ||
	    g->hot_y >= DISPLAY_CURSOR_SIZE)
		return -EINVAL;
	if (!g->shown)
		return s->x | s->y | s->width | s->height ? -EINVAL : 0;
	return !r || !g->enabled || !s->width || !s->height || s->width > DISPLAY_SIZE_MAX ||
			       s->height > DISPLAY_SIZE_MAX || !gpu_rect_in(s, r->width, r->height)
		       ? -EINVAL
		       : 0;
}
