// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the processes of viewers and the VM's process tell each other, both ways: any message to the VM gives events
 * that devices take, and as many releases as presses; any shared memory gives a viewer sizes and rectangles inside
 * the picture; and a browser's request. Run: make t T=fuzz/vnc
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnc/frame.h"
#include "vnc/told.h"

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
						 .resize = resize};
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
			vnc_told_message(&t, &m, data[at], &screen);
			continue;
		}
		m.kind %= 12;
		m.slot %= VNC_VIEWERS_MAX + 1;
		vnc_told_message(&t, &m, sizeof(m), &screen);
		if (t.lookers > VNC_VIEWERS_MAX)
			abort();
	}
	vnc_told_gone(&t, &screen);
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
	switch (data[0] % 4) {
	case 0:
		messages(data + 1, size - 1);
		break;
	case 1:
		memory(data + 1, size - 1);
		break;
	case 2:
		websocket(data + 1, size - 1);
		break;
	default:
		request(data + 1, size - 1);
	}
	return 0;
}
