// SPDX-License-Identifier: GPL-2.0-or-later
/* WebSockets. See ws.h. Source: RFC 6455; RFC 3174 (SHA-1); RFC 4648 §4 (base64). Threads: the owner's. */
#include "vnc/ws.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* ---- The greeting ------------------------------------------------------------------------------- */

#define BLOCK 64u

static uint32_t turn_left(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* One block into the five words. */
static void sha1_block(uint32_t h[5], const uint8_t *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (unsigned t = 0; t < 80; t++)
		w[t] = t < 16 ? ld_be32(p + 4 * t)
			      : turn_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (unsigned t = 0; t < 80; t++) {
		static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
		uint32_t f = t < 20   ? (b & c) | (~b & d)
			     : t < 40 ? b ^ c ^ d
			     : t < 60 ? (b & c) | (b & d) | (c & d)
				      : b ^ c ^ d;
		uint32_t next = turn_left(a, 5) + f + e + w[t] + k[t / 20];

		e = d;
		d = c;
		c = turn_left(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* Of less than two blocks. */
static void sha1(const char *text, size_t len, uint8_t out[20])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t buf[2 * BLOCK] = {0};
	size_t total = len < BLOCK - 8 ? BLOCK : 2 * BLOCK;

	memcpy(buf, text, len);
	buf[len] = 0x80;
	st_be64(buf + total - 8, 8 * (uint64_t)len);
	for (size_t at = 0; at < total; at += BLOCK)
		sha1_block(h, buf + at);
	for (unsigned i = 0; i < 5; i++)
		st_be32(out + 4 * i, h[i]);
}

static void base64(const uint8_t *p, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = min_u64(len - i, 3);
		uint32_t x = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (n > 2 ? p[i + 2] : 0);

		for (unsigned d = 0; d < 4; d++)
			*out++ = d <= n ? digits[x >> (18 - 6 * d) & 63] : '=';
	}
	*out = '\0';
}

void ws_accept(const char *key, char out[WS_ACCEPT_CHARS + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[WS_KEY_CHARS + sizeof(guid)];
	uint8_t digest[20];

	memcpy(text, key, WS_KEY_CHARS);
	memcpy(text + WS_KEY_CHARS, guid, sizeof(guid));
	sha1(text, sizeof(text) - 1, digest);
	base64(digest, sizeof(digest), out);
}

/* ---- Frames ------------------------------------------------------------------------------------- */

static bool is_control(uint8_t op)
{
	return op & 8;
}

/* The length of the head, as far as it can be known. */
static unsigned head_bytes(const struct ws_in *w)
{
	unsigned len = w->have >= 2 ? w->head[1] & 0x7f : 0;

	return w->have < 2 ? 2 : 6 + (len == 127 ? 8 : len == 126 ? 2 : 0);
}

/* A whole head. 0, or why it is none. */
static unsigned begin_frame(struct ws_in *w)
{
	bool fin = w->head[0] & 0x80;
	uint64_t len = w->head[1] & 0x7f;
	unsigned n = head_bytes(w);

	w->op = w->head[0] & 0xf;
	if (len == 126)
		len = ld_be16(w->head + 2);
	else if (len == 127)
		len = ld_be64(w->head + 2);
	if (w->head[0] & 0x70)
		return WS_PROTOCOL; /* extensions that were not agreed on */
	if (is_control(w->op) ? w->op > WS_PONG || !fin || len > WS_CONTROL_MAX : w->op > WS_BINARY)
		return WS_PROTOCOL;
	if (len > WS_FRAME_MAX)
		return WS_TOO_BIG;
	if (!is_control(w->op)) {
		if (w->in_message != (w->op == WS_CONTINUED))
			return WS_PROTOCOL;
		w->in_message = !fin;
	}
	memcpy(w->mask, w->head + n - 4, 4);
	w->left = len;
	w->at = w->control_len = 0;
	w->in_frame = true;
	return 0;
}

/* The frame has come whole. */
static enum ws_what end_frame(struct ws_in *w)
{
	w->in_frame = false;
	w->have = 0;
	return w->op == WS_CLOSE ? WS_GOT_CLOSE : w->op == WS_PING ? WS_GOT_PING : WS_GOT_NOTHING;
}

/* As much of a frame as there is. */
static size_t take_payload(struct ws_in *w, uint8_t *buf, size_t len)
{
	size_t n = (size_t)min_u64(len, w->left);

	for (size_t i = 0; i < n; i++)
		buf[i] ^= w->mask[w->at++ % 4];
	w->left -= n;
	if (is_control(w->op)) {
		memcpy(w->control + w->control_len, buf, n);
		w->control_len += (unsigned)n;
	}
	return n;
}

enum ws_what ws_next(struct ws_in *w, uint8_t *buf, size_t len, size_t *used, uint8_t **data,
		     size_t *data_len, unsigned *code)
{
	*used = 0;
	while (*used < len) {
		enum ws_what got;
		size_t n;

		if (!w->in_frame) {
			w->head[w->have++] = buf[(*used)++];
			if (w->have == 2 && !(w->head[1] & 0x80)) {
				*code = WS_PROTOCOL; /* not masked */
				return WS_GOT_BAD;
			}
			if (w->have < head_bytes(w))
				continue;
			*code = begin_frame(w);
			if (*code)
				return WS_GOT_BAD;
		}
		n = take_payload(w, buf + *used, len - *used);
		*data = buf + *used;
		*data_len = n;
		*used += n;
		got = w->left ? WS_GOT_NOTHING : end_frame(w);
		if (got != WS_GOT_NOTHING)
			return got;
		if (n && !is_control(w->op))
			return WS_GOT_DATA;
	}
	return WS_GOT_NOTHING;
}

size_t ws_head(uint8_t out[WS_HEAD_MAX], enum ws_op op, size_t len)
{
	out[0] = (uint8_t)(0x80 | op);
	if (len < 126) {
		out[1] = (uint8_t)len;
		return 2;
	}
	if (len <= 0xffff) {
		out[1] = 126;
		st_be16(out + 2, (uint16_t)len);
		return 4;
	}
	out[1] = 127;
	st_be64(out + 2, len);
	return 10;
}
