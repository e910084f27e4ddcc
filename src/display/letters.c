// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Letters in pictures. The font is the video BIOS' own, which is IBM's of 8 by 16 dots. Kernels have that of 9
 * dots without its last column: the same, but for the letters that IBM's manual calls alternate. Those look like
 * their kin in the BIOS, a dot to a side and narrower, and are told apart from each other by their dots.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Alphanumeric Modes".
 * Threads: any.
 */
#include "display/letters.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"

#define CELL_WIDTH 8u
#define CELL_LINES 16u
#define CODES 256u
#define SLOTS 1024u
/* Dots by which an alternate letter differs from its kin at most, and by how many more from the others. */
#define NEAR_MOST 14u
#define NEAR_LEAD 3u
#define SHIFTS 9u
#define CURSOR_LINES 0xffffull /* the last two */

static const char alternates[] = "0MTVWXYZfmvwx`|~";
#define ALTERNATES (sizeof(alternates) - 1)

/* Lines 0 to 7 and 8 to 15, the first in the highest byte. */
struct glyph {
	uint64_t half[2];
};

struct letters {
	struct glyph font[CODES];
	uint16_t slot[SLOTS]; /* a code and one; 0: free */
	struct glyph near[ALTERNATES][SHIFTS];
};

struct count {
	unsigned exact, near, unknown;
};

/* ---- The font ----------------------------------------------------------------------------------- */

const uint8_t *display_font_in(const uint8_t *rom, size_t len)
{
	/* Letter 0 is blank, 1 a face. */
	static const uint8_t begin[32] = {
		[18] = 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e,
	};

	for (size_t i = 0; i + DISPLAY_FONT_BYTES <= len; i++) {
		if (!memcmp(rom + i, begin, sizeof(begin)))
			return rom + i;
	}
	return NULL;
}

static bool same(struct glyph a, struct glyph b)
{
	return a.half[0] == b.half[0] && a.half[1] == b.half[1];
}

static unsigned slot_of(struct glyph g)
{
	uint64_t h = (g.half[0] ^ g.half[1] * 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93;

	return (unsigned)(h >> 54) % SLOTS;
}

/* The letter's code, or -1. */
static int look_up(const struct letters *l, struct glyph g)
{
	for (unsigned i = slot_of(g); l->slot[i]; i = (i + 1) % SLOTS) {
		if (same(l->font[l->slot[i] - 1], g))
			return l->slot[i] - 1;
	}
	return -1;
}

/* Of letters that look the same, the first that comes stays. */
static void enter(struct letters *l, unsigned code)
{
	unsigned i = slot_of(l->font[code]);

	if (look_up(l, l->font[code]) >= 0)
		return;
	while (l->slot[i])
		i = (i + 1) % SLOTS;
	l->slot[i] = (uint16_t)(code + 1);
}

static struct glyph moved_sideways(struct glyph g, int by)
{
	const uint64_t all_but_last = 0xfefefefefefefefe, all_but_first = 0x7f7f7f7f7f7f7f7f;

	for (unsigned i = 0; i < 2 && by; i++)
		g.half[i] = by < 0 ? g.half[i] << 1 & all_but_last : g.half[i] >> 1 & all_but_first;
	return g;
}

static struct glyph moved_down(struct glyph g, int by)
{
	struct glyph out = g;

	if (by > 0) {
		out.half[1] = g.half[1] >> 8 | g.half[0] << 56;
		out.half[0] = g.half[0] >> 8;
	} else if (by < 0) {
		out.half[0] = g.half[0] << 8 | g.half[1] >> 56;
		out.half[1] = g.half[1] << 8;
	}
	return out;
}

static void load(struct letters *l, const uint8_t *font)
{
	memset(l, 0, sizeof(*l));
	for (unsigned i = 0; i < CODES * CELL_LINES; i++) {
		uint64_t *half = &l->font[i / CELL_LINES].half[i / 8 % 2];

		*half = *half << 8 | font[i];
	}
	for (unsigned i = ' '; i < 0x7f; i++)
		enter(l, i);
	for (unsigned i = 0; i < CODES; i++)
		enter(l, i);
	for (unsigned i = 0; i < ALTERNATES; i++) {
		for (unsigned k = 0; k < SHIFTS; k++)
			l->near[i][k] = moved_sideways(
				moved_down(l->font[(uint8_t)alternates[i]], (int)(k / 3) - 1),
				(int)(k % 3) - 1);
	}
}

/* ---- Cells -------------------------------------------------------------------------------------- */

/* Dots of another colour than the first one; false: of two others. */
static bool take_cell(const struct display_picture *pic, unsigned col, unsigned row,
		      struct glyph *g)
{
	const uint32_t *px = display_picture_line(pic, row * CELL_LINES) + col * CELL_WIDTH;
	uint32_t first = *px, other = first;

	for (unsigned y = 0; y < CELL_LINES; y++, px += pic->width) {
		uint64_t line = 0;

		for (unsigned x = 0; x < CELL_WIDTH; x++) {
			if (px[x] != first && other == first)
				other = px[x];
			if (px[x] != first && px[x] != other)
				return false;
			line = line << 1 | (px[x] != first);
		}
		g->half[y / 8] = g->half[y / 8] << 8 | line;
	}
	return true;
}

static unsigned distance(struct glyph a, struct glyph b)
{
	return (unsigned)(__builtin_popcountll(a.half[0] ^ b.half[0]) +
			  __builtin_popcountll(a.half[1] ^ b.half[1]));
}

static int look_near(const struct letters *l, struct glyph g)
{
	unsigned best = ~0u, second = ~0u, which = 0;

	for (unsigned i = 0; i < ALTERNATES; i++) {
		unsigned d = ~0u;

		for (unsigned k = 0; k < SHIFTS; k++)
			d = (unsigned)min_u64(d, distance(l->near[i][k], g));
		if (d < best) {
			second = best;
			best = d;
			which = i;
		} else if (d < second) {
			second = d;
		}
	}
	return best <= NEAR_MOST && second - best >= NEAR_LEAD ? (uint8_t)alternates[which] : -1;
}

static int read_glyph(const struct letters *l, struct glyph g, struct count *n)
{
	struct glyph inverse = {{~g.half[0], ~g.half[1]}};
	int code = look_up(l, g);

	if (code < 0)
		code = look_up(l, inverse);
	if (code >= 0) {
		n->exact += code != ' ' && code != 0;
		return code;
	}
	code = look_near(l, g);
	n->near += code >= 0;
	n->unknown += code < 0;
	return code;
}

/* A cursor is two lines below a letter, or the letter's colours changed. */
static uint8_t read_cell(const struct letters *l, const struct display_picture *pic, unsigned col,
			 unsigned row, struct display_text *text, struct count *n)
{
	struct glyph g = {{0, 0}};
	int code = ' ';

	if (!take_cell(pic, col, row, &g)) {
		n->unknown++;
		return ' ';
	}
	if ((g.half[1] & CURSOR_LINES) == CURSOR_LINES) {
		struct glyph above = {{g.half[0], g.half[1] & ~CURSOR_LINES}};

		code = look_up(l, above);
		if (code < 0)
			code = look_near(l, above);
		if (code >= 0) {
			text->cursor_col = (uint16_t)col;
			text->cursor_row = (uint16_t)row;
			n->exact += code != ' ' && code != 0;
			return (uint8_t)code;
		}
	}
	code = read_glyph(l, g, n);
	return code < 0 ? ' ' : (uint8_t)code;
}

int display_letters(const struct display_picture *pic, const uint8_t *font,
		    struct display_text *text)
{
	struct count n = {0};
	struct letters l;

	load(&l, font);
	text->cols = (uint16_t)min_u64(pic->width / CELL_WIDTH, DISPLAY_TEXT_COLS);
	text->rows = (uint16_t)min_u64(pic->height / CELL_LINES, DISPLAY_TEXT_ROWS);
	text->cursor_col = 0;
	text->cursor_row = text->rows;
	for (unsigned y = 0; y < text->rows; y++) {
		for (unsigned x = 0; x < text->cols; x++)
			text->cell[y * text->cols + x] = read_cell(&l, pic, x, y, text, &n);
	}
	return n.exact && n.exact >= n.unknown + n.near / 4 ? 0 : -ENODATA;
}
