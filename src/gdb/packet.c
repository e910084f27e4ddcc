// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets of GDB's remote serial protocol. See packet.h. */
#include "gdb/packet.h"

#include <stdlib.h>
#include <string.h>

/* ---- In ----------------------------------------------------------------------------------------- */

static void begin(struct gdb_in *in)
{
	in->len = 0;
	in->too_long = false;
	in->sum = 0;
	in->at = GDB_IN_DATA;
}

static void put(struct gdb_in *in, char c)
{
	if (in->len < GDB_PACKET_MAX)
		in->data[in->len++] = c;
	else
		in->too_long = true;
}

static enum gdb_got between(struct gdb_in *in, char c)
{
	switch (c) {
	case '$':
		begin(in);
		return GDB_GOT_NOTHING;
	case '+':
		return GDB_GOT_ACK;
	case '-':
		return GDB_GOT_NAK;
	case 3:
		return GDB_GOT_INTERRUPT;
	default:
		return GDB_GOT_NOTHING;
	}
}

static enum gdb_got inside(struct gdb_in *in, char c)
{
	if (c == '#') {
		in->at = GDB_IN_SUM1;
		return GDB_GOT_NOTHING;
	}
	if (c == '$') { /* the one before was cut off */
		begin(in);
		return GDB_GOT_NOTHING;
	}
	in->sum = (uint8_t)(in->sum + (uint8_t)c);
	if (in->at == GDB_IN_ESCAPE) {
		put(in, (char)(c ^ 0x20));
		in->at = GDB_IN_DATA;
	} else if (c == '}') {
		in->at = GDB_IN_ESCAPE;
	} else {
		put(in, c);
	}
	return GDB_GOT_NOTHING;
}

static enum gdb_got end(struct gdb_in *in, char c)
{
	int digit = gdb_hex_digit(c);

	if (digit < 0) {
		in->at = GDB_IN_IDLE;
		return GDB_GOT_DAMAGED;
	}
	in->told = (uint8_t)(in->told << 4 | digit);
	if (in->at == GDB_IN_SUM1) {
		in->at = GDB_IN_SUM2;
		return GDB_GOT_NOTHING;
	}
	in->at = GDB_IN_IDLE;
	in->data[in->len] = '\0';
	if (in->told != in->sum)
		return GDB_GOT_DAMAGED;
	return in->too_long ? GDB_GOT_TOO_LONG : GDB_GOT_PACKET;
}

enum gdb_got gdb_in_byte(struct gdb_in *in, char c)
{
	if (in->at == GDB_IN_IDLE)
		return between(in, c);
	if (in->at == GDB_IN_DATA || in->at == GDB_IN_ESCAPE)
		return inside(in, c);
	return end(in, c);
}

/* ---- Out ---------------------------------------------------------------------------------------- */

static bool room(struct gdb_out *out, size_t n)
{
	size_t cap = out->cap ? out->cap : 4096;
	char *p;

	if (out->lost || n > GDB_OUT_MAX - out->len) {
		out->lost = true;
		return false;
	}
	while (cap < out->len + n)
		cap *= 2;
	if (cap == out->cap)
		return true;
	p = realloc(out->p, cap);
	if (!p) {
		out->lost = true;
		return false;
	}
	out->p = p;
	out->cap = cap;
	return true;
}

void gdb_out_raw(struct gdb_out *out, const char *data, size_t len)
{
	if (!len || !room(out, len))
		return;
	memcpy(out->p + out->len, data, len);
	out->len += len;
}

void gdb_out_packet(struct gdb_out *out, const char *data, size_t len)
{
	size_t start = out->len;
	uint8_t sum = 0;
	char *p;

	if (!room(out, 2 * len + 4))
		return;
	p = out->p + out->len;
	*p++ = '$';
	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (c == '$' || c == '#' || c == '}' || c == '*') {
			*p++ = '}';
			sum = (uint8_t)(sum + '}');
			c ^= 0x20;
		}
		*p++ = c;
		sum = (uint8_t)(sum + (uint8_t)c);
	}
	*p++ = '#';
	gdb_put_hex(p, &sum, 1);
	out->len = (size_t)(p + 2 - out->p);
	out->last = out->len - start;
}

void gdb_out_take(struct gdb_out *out, size_t n)
{
	if (n > out->len)
		n = out->len;
	out->len -= n;
	memmove(out->p, out->p + n, out->len);
	if (!out->len && out->cap > 1u << 16)
		gdb_out_free(out);
}

void gdb_out_free(struct gdb_out *out)
{
	free(out->p);
	*out = (struct gdb_out){.lost = out->lost};
}

/* ---- Words ------------------------------------------------------------------------------------- */

int gdb_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool gdb_hex(const char **p, uint64_t *out)
{
	unsigned n = 0;
	int digit;

	for (*out = 0; (digit = gdb_hex_digit((*p)[n])) >= 0; n++) {
		if (n == 16)
			return false;
		*out = *out << 4 | (unsigned)digit;
	}
	*p += n;
	return n;
}

void gdb_put_hex(char *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
}

bool gdb_get_hex(const char *in, size_t in_len, void *bytes, size_t len)
{
	uint8_t *b = bytes;

	if (in_len / 2 < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = gdb_hex_digit(in[2 * i]), lo = gdb_hex_digit(in[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
