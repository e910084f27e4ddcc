// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A picture drawn larger or smaller. See scale.h. Whole multiples repeat dots; other sizes mix the four nearest ones.
 * Threads: the owner's.
 */
#include "vnc/scale.h"

#include <string.h>

#include "base/range.h"

#define ONE 65536 /* of fixed point: 16 bits behind the point */

void vnc_scale_fit(struct vnc_scale *s, uint32_t from_w, uint32_t from_h, uint32_t win_w,
		   uint32_t win_h)
{
	s->from_w = from_w;
	s->from_h = from_h;
	s->win_w = win_w;
	s->win_h = win_h;
	s->w = win_w;
	s->h = (uint32_t)((uint64_t)win_w * from_h / from_w);
	if (s->h > win_h) {
		s->h = win_h;
		s->w = (uint32_t)((uint64_t)win_h * from_w / from_h);
	}
	s->w += !s->w;
	s->h += !s->h;
	s->x = (win_w - s->w) / 2;
	s->y = (win_h - s->h) / 2;
}

/* Dots first to last - 1 of `from` reach so far into `size`; one more on each side where they are mixed. */
static void stretch(uint32_t *first, uint32_t *last, uint32_t from, uint32_t size)
{
	uint64_t a = *first ? *first - 1 : 0, b = min_u64((uint64_t)*last + 1, from);

	*first = (uint32_t)(a * size / from);
	*last = (uint32_t)((b * size + from - 1) / from);
}

struct vnc_rect vnc_scale_part(const struct vnc_scale *s, struct vnc_rect p)
{
	if (s->w != s->from_w || s->h != s->from_h) {
		stretch(&p.x1, &p.x2, s->from_w, s->w);
		stretch(&p.y1, &p.y2, s->from_h, s->h);
	}
	return (struct vnc_rect){p.x1 + s->x, p.y1 + s->y, p.x2 + s->x, p.y2 + s->y};
}

static void copy_lines(const struct vnc_scale *s, const uint32_t *from, uint32_t *to, size_t pitch,
		       const struct vnc_rect *p)
{
	for (uint32_t y = p->y1; y < p->y2; y++)
		memcpy(to + y * pitch + p->x1,
		       from + (size_t)(y - s->y) * s->from_w + (p->x1 - s->x),
		       (size_t)(p->x2 - p->x1) * 4);
}

static void repeat(const struct vnc_scale *s, const uint32_t *from, uint32_t *to, size_t pitch,
		   const struct vnc_rect *p)
{
	uint32_t times = s->w / s->from_w;

	for (uint32_t y = p->y1; y < p->y2; y++) {
		const uint32_t *line = from + (size_t)((y - s->y) / times) * s->from_w;

		for (uint32_t x = p->x1; x < p->x2; x++)
			to[y * pitch + x] = line[(x - s->x) / times];
	}
}

/* From the middle of one dot of `size` to the next, among `from`: 32 bits behind the point. */
static int64_t step(uint32_t from, uint32_t size)
{
	return (int64_t)(((uint64_t)from << 32) / size);
}

/* Where the middle of dot `i` lies, 16 bits behind the point; in the range of dots there are. */
static uint32_t place(uint32_t i, int64_t by, uint32_t from)
{
	int64_t at = (by * i + by / 2 - (1ll << 31)) >> 16;

	return (uint32_t)(at < 0 ? 0 : min_u64((uint64_t)at, (uint64_t)(from - 1) * ONE));
}

/* `t` of 256 parts of b, the rest of a. */
static inline uint32_t mix(uint32_t a, uint32_t b, uint32_t t)
{
	uint32_t rb = ((a & 0xff00ff) * (256 - t) + (b & 0xff00ff) * t) >> 8 & 0xff00ff;
	uint32_t g = ((a & 0x00ff00) * (256 - t) + (b & 0x00ff00) * t) >> 8 & 0x00ff00;

	return rb | g;
}

static void smooth(const struct vnc_scale *s, const uint32_t *from, uint32_t *to, size_t pitch,
		   const struct vnc_rect *p)
{
	int64_t by_x = step(s->from_w, s->w), by_y = step(s->from_h, s->h);

	for (uint32_t y = p->y1; y < p->y2; y++) {
		uint32_t py = place(y - s->y, by_y, s->from_h), ty = py / (ONE / 256) % 256;
		const uint32_t *a = from + (size_t)(py / ONE) * s->from_w;
		const uint32_t *b = ty ? a + s->from_w : a;

		for (uint32_t x = p->x1; x < p->x2; x++) {
			uint32_t px = place(x - s->x, by_x, s->from_w), tx = px / (ONE / 256) % 256;
			uint32_t i = px / ONE, k = i + !!tx;

			to[y * pitch + x] = mix(mix(a[i], a[k], tx), mix(b[i], b[k], tx), ty);
		}
	}
}

void vnc_scale_draw(const struct vnc_scale *s, const uint32_t *from, uint32_t *to, size_t pitch,
		    struct vnc_rect p)
{
	if (s->w == s->from_w && s->h == s->from_h)
		copy_lines(s, from, to, pitch, &p);
	else if (s->w % s->from_w == 0 && s->from_h * (s->w / s->from_w) == s->h)
		repeat(s, from, to, pitch, &p);
	else
		smooth(s, from, to, pitch, &p);
}

static int32_t dot(int32_t at, uint32_t start, uint32_t size, uint32_t from)
{
	int64_t in = (int64_t)at - start;

	in = in < 0 ? 0 : (int64_t)min_u64((uint64_t)in, size - 1);
	return (int32_t)(in * from / size);
}

void vnc_scale_point(const struct vnc_scale *s, int32_t x, int32_t y, int32_t *px, int32_t *py)
{
	*px = dot(x, s->x, s->w, s->from_w);
	*py = dot(y, s->y, s->h, s->from_h);
}
