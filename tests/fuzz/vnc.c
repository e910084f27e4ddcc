// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the processes of viewers and the VM's process tell each other, both ways: any message to the VM gives events
 * that devices take, and as many releases as presses; any shared memory gives a viewer sizes and rectangles inside
 * the picture, which a window scales; a browser's request; and what a client says before encryption.
 * Run: make t T=fuzz/vnc
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnc/frame.h"
#include "vnc/scale.h"
#include "vnc/told.h"
#include "vnc/vencrypt.h"

static int down[INPUT_KEYS], buttons[INPUT_BUTTONS];

static void input(void *opaque, const struct input_event *ev, unsigned n)
{
	(void)opaque;
	for (unsigned i = 0; i < n; i++) {
		if (ev[i].kind == INPUT_KEY) {
			if (!ev[i].code || ev[i].code >= INPUT_KEYS ||
			    (!ev[i].down && !down[ev[i].code]))
				abort();
			down[ev[i].code] = ev[i].down;
		} else if (ev[i].kind == INPUT_BUTTON) {
			if (ev[i].code >= INPUT_BUTTONS)
				abort();
			buttons[ev[i].code] = ev[i].down;
		} else if (ev[i].kind == INPUT_REL) {
			if (ev[i].code > INPUT_Y || ev[i].value < -(int)DISPLAY_SIZE_MAX ||
			    ev[i].value > (int)DISPLAY_SIZE_MAX)
				abort();
		} else if (ev[i].kind != INPUT_ABS || ev[i].code > INPUT_Y || ev[i].value < 0 ||
			   ev[i].value > INPUT_ABS_MAX) {
			abort();
		}
	}
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void resize(void *opaque, uint32_t width, uint32_t height)
{
	(void)opaque;
	if (!width || !height || width > DISPLAY_SIZE_MAX || height > DISPLAY_SIZE_MAX)
		abort();
}

static void messages(const uint8_t *data, size_t size)
{
	static const struct vnc_screen screen = {.input = input,
						 .power_button = nothing,
						 .reset = nothing,
						 .resize = resize,
						 .quit = nothing};
	struct vnc_told t = {.width = 640, .height = 480};

	if (size > 4) {
		t.width = data[0] * 40u;
		t.height = data[1] * 40u;
	}
	memset(down, 0, sizeof(down));
	memset(buttons, 0, sizeof(buttons));
	/* The beginning of each message is the input's; the text behind it means nothing here. */
	for (size_t at = 2; at + 8 <= size; at += 8) {
		struct vnc_msg m = {0};

		memcpy(&m, data + at, 8);
		memcpy(&m.x, data + at, 4);
		memcpy(&m.y, data + at + 2, 4);
		if (data[at + 1] == 0xff) {
			vnc_told_message(&t, &m, data[at], false, &screen);
			continue;
		}
		m.kind %= 16;
		m.slot %= VNC_VIEWERS_MAX + 1;
		vnc_told_message(&t, &m, sizeof(m), data[at] & 0x80, &screen);
		if (t.lookers > VNC_VIEWERS_MAX)
			abort();
	}
	vnc_told_gone(&t, false, &screen);
	vnc_told_gone(&t, true, &screen);
	for (unsigned k = 0; k < INPUT_KEYS; k++) {
		if (down[k] || t.count[k])
			abort();
	}
	for (unsigned b = 0; b < INPUT_BUTTONS; b++) {
		if (buttons[b])
			abort();
	}
}

static void rectangle(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	const struct vnc_seen *seen = opaque;

	if (x1 >= x2 || y1 >= y2 || x2 > seen->width || y2 > seen->height)
		abort();
}

/* A small part of a small picture, drawn at some size. */
static void scale(const uint8_t *data, size_t size)
{
	static uint32_t from[32 * 32], to[64 * 64];
	struct vnc_scale s;
	struct vnc_rect p;
	int32_t x, y;

	if (size < 8)
		return;
	vnc_scale_fit(&s, data[0] % 32 + 1u, data[1] % 32 + 1u, data[2] % 64 + 1u,
		      data[3] % 64 + 1u);
	p.x1 = data[4] % s.from_w;
	p.y1 = data[5] % s.from_h;
	p.x2 = p.x1 + 1 + data[6] % (s.from_w - p.x1);
	p.y2 = p.y1 + 1 + data[7] % (s.from_h - p.y1);
	p = vnc_scale_part(&s, p);
	if (p.x1 > p.x2 || p.y1 > p.y2 || p.x2 > s.win_w || p.y2 > s.win_h)
		abort();
	vnc_scale_draw(&s, from, to, 64, p);
	vnc_scale_point(&s, (int8_t)data[0] * 100, (int8_t)data[7], &x, &y);
	if (x < 0 || y < 0 || (uint32_t)x >= s.from_w || (uint32_t)y >= s.from_h)
		abort();
}

static void negotiation(const uint8_t *data, size_t size)
{
	struct vencrypt v;
	size_t want;

	vencrypt_begin(&v, VENCRYPT_X509_NONE);
	while ((want = vencrypt_wants(&v))) {
		uint8_t *in;

		if (want > size || want > VENCRYPT_VERSION_BYTES)
			return;
		in = malloc(want);
		memcpy(in, data, want);
		vencrypt_take(&v, in);
		free(in);
		if (v.out_len > sizeof(v.out))
			abort();
		data += want;
		size -= want;
	}
	if (v.stage == VENCRYPT_READY && v.minor != 7 && v.minor != 8)
		abort();
}

static void memory(const uint8_t *data, size_t size)
{
	static struct vnc_shared s;
	struct vnc_seen seen = {0};
	uint64_t word;

	for (size_t at = 0; at + 16 <= size; at += 16) {
		memcpy(&word, data + at, 8);
		atomic_store(&s.size, data[at] & 1 ? word : (word & 0x3fff00003fffull));
		memcpy(&word, data + at + 8, 8);
		atomic_store(&s.seq, (uint32_t)word);
		atomic_store(&s.tile[(word >> 32) % (VNC_ROWS * VNC_COLS)],
			     (uint32_t)word ^ data[at]);
		vnc_frame_size(&s, &seen.width, &seen.height);
		if (!seen.width || !seen.height || seen.width > DISPLAY_SIZE_MAX ||
		    seen.height > DISPLAY_SIZE_MAX)
			abort();
		vnc_frame_changes(&s, &seen, rectangle, &seen);
	}
}

static void request(const uint8_t *data, size_t size)
{
	struct http_request r;
	char *text = malloc(size ? size : 1);

	memcpy(text, data, size);
	if (http_parse(text, size, &r) == HTTP_OK &&
	    (r.path[0] != '/' || strlen(r.path) >= sizeof(r.path) ||
	     strlen(r.token) >= sizeof(r.token) || strlen(r.session) >= sizeof(r.session) ||
	     (r.key[0] && strlen(r.key) != WS_KEY_CHARS) || r.len > size))
		abort();
	free(text);
}

/* Frames in pieces give the same as frames at once, and no byte that was not sent. */
static size_t frames(const uint8_t *data, size_t size, size_t piece, uint8_t *out)
{
	uint8_t *copy = malloc(size ? size : 1), *got;
	struct ws_in in = {0};
	size_t n = 0, at = 0, used, got_len;
	unsigned code = 0;

	memcpy(copy, data, size);
	while (at < size) {
		size_t len = size - at < piece ? size - at : piece;
		enum ws_what what = ws_next(&in, copy + at, len, &used, &got, &got_len, &code);

		if (used > len || in.control_len > WS_CONTROL_MAX || in.left > WS_FRAME_MAX)
			abort();
		if (what == WS_GOT_DATA) {
			if (!got_len || got < copy + at || got + got_len > copy + at + used)
				abort();
			memcpy(out + n, got, got_len);
			n += got_len;
		}
		if (what == WS_GOT_BAD && code != WS_PROTOCOL && code != WS_TOO_BIG)
			abort();
		if (what == WS_GOT_BAD || what == WS_GOT_CLOSE)
			break;
		if (!used)
			abort();
		at += used;
	}
	free(copy);
	return n;
}

static void websocket(const uint8_t *data, size_t size)
{
	uint8_t *one = malloc(size + 1), *two = malloc(size + 1);
	size_t n = frames(data, size, size + 1, one);

	if (n != frames(data, size, 1 + size % 7, two) || memcmp(one, two, n) != 0)
		abort();
	free(one);
	free(two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 6) {
	case 0:
		messages(data + 1, size - 1);
		break;
	case 1:
		memory(data + 1, size - 1);
		break;
	case 2:
		websocket(data + 1, size - 1);
		break;
	case 3:
		scale(data + 1, size - 1);
		break;
	case 4:
		negotiation(data + 1, size - 1);
		break;
	default:
		request(data + 1, size - 1);
	}
	return 0;
}
