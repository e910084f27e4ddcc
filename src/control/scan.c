// SPDX-License-Identifier: GPL-2.0-or-later
/* Cutting a client's bytes into JSON values. Threads: the owner's. */
#include "control/scan.h"

#include <string.h>

#define RESYNC '\xff'

void scan_init(struct scan *s)
{
	*s = (struct scan){.text = MON_BUF(SCAN_BYTES_MAX)};
}

void scan_free(struct scan *s)
{
	mon_buf_free(&s->text);
}

void scan_next(struct scan *s)
{
	mon_buf_clear(&s->text);
	*s = (struct scan){.text = s->text};
	s->text.lost = false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void keep(struct scan *s, char c)
{
	if (!s->too_deep && !s->text.lost)
		mon_buf_put(&s->text, &c, 1);
}

/* Single quotes become double ones, and what that changes about the two inside. */
static void in_string(struct scan *s, char c)
{
	if (s->escaped) {
		s->escaped = false;
		if (c != '\'')
			keep(s, '\\');
		keep(s, c);
	} else if (c == '\\') {
		s->escaped = true;
	} else if (c == s->quote) {
		s->quote = 0;
		keep(s, '"');
	} else {
		if (c == '"')
			keep(s, '\\');
		keep(s, c);
	}
}

static enum scan_result in_value(struct scan *s, char c)
{
	if (s->quote) {
		in_string(s, c);
		return SCAN_MORE;
	}
	if (c == '"' || c == '\'') {
		s->quote = c;
		keep(s, '"');
		return SCAN_MORE;
	}
	if (c == '{' || c == '[')
		s->too_deep |= ++s->depth > SCAN_DEPTH_MAX;
	keep(s, c);
	if ((c != '}' && c != ']') || --s->depth)
		return SCAN_MORE;
	return s->too_deep ? SCAN_TOO_DEEP : s->text.lost ? SCAN_TOO_LONG : SCAN_VALUE;
}

enum scan_result scan_byte(struct scan *s, char c)
{
	if (c == RESYNC) {
		bool begun = s->depth || s->stray;

		scan_next(s);
		return begun ? SCAN_STRAY : SCAN_MORE;
	}
	if (s->depth || c == '{' || c == '[') {
		s->stray = false;
		return in_value(s, c);
	}
	/* One complaint a line, or a word that ends in white space. */
	if (!is_space(c)) {
		s->stray = true;
		return SCAN_MORE;
	}
	return s->stray ? SCAN_STRAY : SCAN_MORE;
}
