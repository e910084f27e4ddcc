// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PS/2 keyboard: scan-code sets 1, 2 and 3, all commands, a bounded queue.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)".
 * Command table: docs/devices/ps2_keyboard.md. Saved state: version 1.
 *
 * Replies to commands go before key strokes. A stroke is queued whole or not at all, so that a
 * prefix never stands alone. Repetition is done by whoever presses the keys.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/ps2_keyboard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

#define REPLY_LEN 8u
#define KEYS_LEN 32u

#define REPLY_ACK 0xfau
#define REPLY_RESEND 0xfeu
#define REPLY_ECHO 0xeeu
#define REPLY_BAT_OK 0xaau

#define CMD_LEDS 0xedu
#define CMD_ECHO 0xeeu
#define CMD_SCAN_SET 0xf0u
#define CMD_ID 0xf2u
#define CMD_TYPEMATIC 0xf3u
#define CMD_ENABLE 0xf4u
#define CMD_DISABLE 0xf5u
#define CMD_DEFAULTS 0xf6u
#define CMD_ALL_TYPEMATIC 0xf7u
#define CMD_ALL_MAKE_BREAK 0xf8u
#define CMD_ALL_MAKE 0xf9u
#define CMD_ALL_BOTH 0xfau
#define CMD_KEY_TYPEMATIC 0xfbu
#define CMD_KEY_MAKE_BREAK 0xfcu
#define CMD_KEY_MAKE 0xfdu
#define CMD_RESEND 0xfeu
#define CMD_RESET 0xffu

#define KEY_EXTENDED 0x80u
#define KEY_PRINT 0xb7u
#define KEY_PAUSE 0xc6u
#define KEY_LCTRL 0x1du
#define KEY_RCTRL 0x9du
#define KEY_LSHIFT 0x2au
#define KEY_RSHIFT 0x36u
#define KEY_LALT 0x38u
#define KEY_RALT 0xb8u

#define TYPEMATIC_DEFAULT 0x2bu /* 10.9 characters a second after 500 ms */

struct queue {
	uint8_t data[KEYS_LEN];
	uint8_t head, count;
};

struct ps2_keyboard {
	struct device dev;
	void (*ready)(void *opaque);
	void *opaque;
	uint8_t reply[REPLY_LEN];
	uint8_t reply_count;
	struct queue keys;
	uint8_t command;  /* waits for its argument, 0 for none */
	uint8_t enabled;  /* scanning */
	uint8_t scan_set; /* 1..3 */
	uint8_t leds, typematic;
	uint8_t last;	       /* last byte sent, for RESEND */
	uint8_t down[32];      /* keys held, a bit each, by our key number */
	uint8_t no_break[32];  /* set 3: keys without a break code, by set-3 code */
	uint8_t no_repeat[32]; /* set 3: keys without repetition */
};

/* Set-2 and set-3 make codes of each key, by set-1 code; the set-2 prefix is that of set 1. */
struct key_codes {
	uint8_t set2, set3;
};

/* clang-format off */
static const struct key_codes plain_keys[0x59] = {
	[0x01] = {0x76, 0x08}, [0x02] = {0x16, 0x16}, [0x03] = {0x1e, 0x1e}, [0x04] = {0x26, 0x26},
	[0x05] = {0x25, 0x25}, [0x06] = {0x2e, 0x2e}, [0x07] = {0x36, 0x36}, [0x08] = {0x3d, 0x3d},
	[0x09] = {0x3e, 0x3e}, [0x0a] = {0x46, 0x46}, [0x0b] = {0x45, 0x45}, [0x0c] = {0x4e, 0x4e},
	[0x0d] = {0x55, 0x55}, [0x0e] = {0x66, 0x66}, [0x0f] = {0x0d, 0x0d}, [0x10] = {0x15, 0x15},
	[0x11] = {0x1d, 0x1d}, [0x12] = {0x24, 0x24}, [0x13] = {0x2d, 0x2d}, [0x14] = {0x2c, 0x2c},
	[0x15] = {0x35, 0x35}, [0x16] = {0x3c, 0x3c}, [0x17] = {0x43, 0x43}, [0x18] = {0x44, 0x44},
	[0x19] = {0x4d, 0x4d}, [0x1a] = {0x54, 0x54}, [0x1b] = {0x5b, 0x5b}, [0x1c] = {0x5a, 0x5a},
	[0x1d] = {0x14, 0x11}, [0x1e] = {0x1c, 0x1c}, [0x1f] = {0x1b, 0x1b}, [0x20] = {0x23, 0x23},
	[0x21] = {0x2b, 0x2b}, [0x22] = {0x34, 0x34}, [0x23] = {0x33, 0x33}, [0x24] = {0x3b, 0x3b},
	[0x25] = {0x42, 0x42}, [0x26] = {0x4b, 0x4b}, [0x27] = {0x4c, 0x4c}, [0x28] = {0x52, 0x52},
	[0x29] = {0x0e, 0x0e}, [0x2a] = {0x12, 0x12}, [0x2b] = {0x5d, 0x5c}, [0x2c] = {0x1a, 0x1a},
	[0x2d] = {0x22, 0x22}, [0x2e] = {0x21, 0x21}, [0x2f] = {0x2a, 0x2a}, [0x30] = {0x32, 0x32},
	[0x31] = {0x31, 0x31}, [0x32] = {0x3a, 0x3a}, [0x33] = {0x41, 0x41}, [0x34] = {0x49, 0x49},
	[0x35] = {0x4a, 0x4a}, [0x36] = {0x59, 0x59}, [0x37] = {0x7c, 0x7e}, [0x38] = {0x11, 0x19},
	[0x39] = {0x29, 0x29}, [0x3a] = {0x58, 0x14}, [0x3b] = {0x05, 0x07}, [0x3c] = {0x06, 0x0f},
	[0x3d] = {0x04, 0x17}, [0x3e] = {0x0c, 0x1f}, [0x3f] = {0x03, 0x27}, [0x40] = {0x0b, 0x2f},
	[0x41] = {0x83, 0x37}, [0x42] = {0x0a, 0x3f}, [0x43] = {0x01, 0x47}, [0x44] = {0x09, 0x4f},
	[0x45] = {0x77, 0x76}, [0x46] = {0x7e, 0x5f}, [0x47] = {0x6c, 0x6c}, [0x48] = {0x75, 0x75},
	[0x49] = {0x7d, 0x7d}, [0x4a] = {0x7b, 0x84}, [0x4b] = {0x6b, 0x6b}, [0x4c] = {0x73, 0x73},
	[0x4d] = {0x74, 0x74}, [0x4e] = {0x79, 0x7c}, [0x4f] = {0x69, 0x69}, [0x50] = {0x72, 0x72},
	[0x51] = {0x7a, 0x7a}, [0x52] = {0x70, 0x70}, [0x53] = {0x71, 0x71}, [0x56] = {0x61, 0x13},
	[0x57] = {0x78, 0x56}, [0x58] = {0x07, 0x5e},
};

/* Keys with an E0 prefix in sets 1 and 2, by the code after it. */
static const struct key_codes extended_keys[0x6e] = {
	[0x10] = {0x15, 0}, [0x19] = {0x4d, 0}, [0x1c] = {0x5a, 0x79}, [0x1d] = {0x14, 0x58},
	[0x20] = {0x23, 0}, [0x21] = {0x2b, 0}, [0x22] = {0x34, 0}, [0x24] = {0x3b, 0},
	[0x2e] = {0x21, 0}, [0x30] = {0x32, 0}, [0x32] = {0x3a, 0}, [0x35] = {0x4a, 0x77},
	[0x38] = {0x11, 0x39}, [0x47] = {0x6c, 0x6e}, [0x48] = {0x75, 0x63}, [0x49] = {0x7d, 0x6f},
	[0x4b] = {0x6b, 0x61}, [0x4d] = {0x74, 0x6a}, [0x4f] = {0x69, 0x65}, [0x50] = {0x72, 0x60},
	[0x51] = {0x7a, 0x6d}, [0x52] = {0x70, 0x67}, [0x53] = {0x71, 0x64}, [0x5b] = {0x1f, 0x8b},
	[0x5c] = {0x27, 0x8c}, [0x5d] = {0x2f, 0x8d}, [0x5e] = {0x37, 0}, [0x5f] = {0x3f, 0},
	[0x63] = {0x5e, 0}, [0x65] = {0x10, 0}, [0x66] = {0x18, 0}, [0x67] = {0x20, 0},
	[0x68] = {0x28, 0}, [0x69] = {0x30, 0}, [0x6a] = {0x38, 0}, [0x6b] = {0x40, 0},
	[0x6c] = {0x48, 0}, [0x6d] = {0x50, 0},
};
/* clang-format on */

static bool bit_get(const uint8_t *map, uint8_t n)
{
	return map[n >> 3] >> (n & 7) & 1;
}

static void bit_set(uint8_t *map, uint8_t n, bool on)
{
	uint8_t bit = (uint8_t)(1u << (n & 7));

	map[n >> 3] = (uint8_t)(on ? map[n >> 3] | bit : map[n >> 3] & ~bit);
}

static void notify(struct ps2_keyboard *k)
{
	if (k->ready)
		k->ready(k->opaque);
}

/* A reply to a command. There is always room: a command begins with an empty reply queue. */
static void reply(struct ps2_keyboard *k, uint8_t val)
{
	if (k->reply_count < REPLY_LEN)
		k->reply[k->reply_count++] = val;
}

static void queue_keys(struct ps2_keyboard *k, const uint8_t *codes, unsigned n)
{
	struct queue *q = &k->keys;

	if (!k->enabled || q->count + n > KEYS_LEN)
		return;
	for (unsigned i = 0; i < n; i++)
		q->data[(q->head + q->count++) % KEYS_LEN] = codes[i];
	notify(k);
}

bool ps2_keyboard_has_data(const struct ps2_keyboard *k)
{
	return k->reply_count || k->keys.count;
}

uint8_t ps2_keyboard_read(struct ps2_keyboard *k)
{
	struct queue *q = &k->keys;

	if (k->reply_count) {
		k->last = k->reply[0];
		memmove(k->reply, k->reply + 1, --k->reply_count);
	} else if (q->count) {
		k->last = q->data[q->head];
		q->head = (q->head + 1) % KEYS_LEN;
		q->count--;
	}
	return k->last;
}

uint8_t ps2_keyboard_leds(const struct ps2_keyboard *k)
{
	return k->leds;
}

/* Keys. */

static bool held(const struct ps2_keyboard *k, uint8_t a, uint8_t b)
{
	return bit_get(k->down, a) || bit_get(k->down, b);
}

/* One code of set 1 or 2 with its prefix, down or up. Returns the bytes written. */
static unsigned encode(const struct ps2_keyboard *k, uint8_t *out, bool extended, uint8_t set1,
		       uint8_t set2, bool down)
{
	unsigned n = 0;

	if (extended)
		out[n++] = 0xe0;
	if (k->scan_set == 1) {
		out[n++] = (uint8_t)(down ? set1 : set1 | 0x80);
	} else {
		if (!down)
			out[n++] = 0xf0;
		out[n++] = set2;
	}
	return n;
}

/* Print Screen: with a shift of its own, bare with Shift or Ctrl, SysRq with Alt. */
static void key_print(struct ps2_keyboard *k, bool down)
{
	uint8_t out[8];
	unsigned n = 0;

	if (held(k, KEY_LALT, KEY_RALT)) {
		n = encode(k, out, false, 0x54, 0x84, down);
	} else if (held(k, KEY_LCTRL, KEY_RCTRL) || held(k, KEY_LSHIFT, KEY_RSHIFT)) {
		n = encode(k, out, true, 0x37, 0x7c, down);
	} else if (down) {
		n = encode(k, out, true, 0x2a, 0x12, true);
		n += encode(k, out + n, true, 0x37, 0x7c, true);
	} else {
		n = encode(k, out, true, 0x37, 0x7c, false);
		n += encode(k, out + n, true, 0x2a, 0x12, false);
	}
	queue_keys(k, out, n);
}

/* Pause: everything when it goes down, nothing when it comes up, no repetition. */
static void key_pause(struct ps2_keyboard *k, bool down, bool was_down)
{
	static const uint8_t set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const uint8_t set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
	uint8_t out[8];
	unsigned n;

	if (!down || was_down)
		return;
	if (held(k, KEY_LCTRL, KEY_RCTRL)) { /* Break */
		n = encode(k, out, true, 0x46, 0x7e, true);
		n += encode(k, out + n, true, 0x46, 0x7e, false);
		queue_keys(k, out, n);
	} else if (k->scan_set == 1) {
		queue_keys(k, set1, sizeof(set1));
	} else {
		queue_keys(k, set2, sizeof(set2));
	}
}

static void key_set3(struct ps2_keyboard *k, uint8_t code, bool down, bool was_down)
{
	const uint8_t out[2] = {0xf0, code};

	if (!code)
		return;
	if (!down && !bit_get(k->no_break, code))
		queue_keys(k, out, 2);
	else if (down && !(was_down && bit_get(k->no_repeat, code)))
		queue_keys(k, out + 1, 1);
}

void ps2_keyboard_key(struct ps2_keyboard *k, uint8_t key, bool down)
{
	uint8_t set1 = key & 0x7f;
	bool extended = key & KEY_EXTENDED;
	bool was_down = bit_get(k->down, key);
	struct key_codes codes = {0, 0};
	uint8_t out[4];

	if (!extended && set1 < ARRAY_SIZE(plain_keys))
		codes = plain_keys[set1];
	else if (extended && set1 < ARRAY_SIZE(extended_keys))
		codes = extended_keys[set1];
	if (key == KEY_PRINT)
		codes = (struct key_codes){0x7c, 0x57};
	else if (key == KEY_PAUSE)
		codes = (struct key_codes){0x77, 0x62};
	if (!codes.set2 || (!down && !was_down))
		return;
	bit_set(k->down, key, down);
	if (k->scan_set == 3)
		key_set3(k, codes.set3, down, was_down);
	else if (key == KEY_PRINT)
		key_print(k, down);
	else if (key == KEY_PAUSE)
		key_pause(k, down, was_down);
	else
		queue_keys(k, out, encode(k, out, extended, set1, codes.set2, down));
}

/* Commands. */

/* The states of set 3 at power-on: most keys repeat and have no break code. */
static void set3_defaults(struct ps2_keyboard *k)
{
	static const uint8_t make_break[] = {0x11, 0x12, 0x14, 0x19, 0x59};
	/* Right-hand Ctrl and Alt, locks, function, navigation and Windows keys: make only. */
	static const uint8_t make_only[] = {
		0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57,
		0x58, 0x5e, 0x5f, 0x62, 0x65, 0x67, 0x6d, 0x6e, 0x6f, 0x76, 0x77, 0x79, 0x7e, 0x84,
		0x8b, 0x8c, 0x8d, 0x6c, 0x69, 0x7d, 0x7a, 0x75, 0x72, 0x6b, 0x74, 0x73, 0x70, 0x71,
	};

	memset(k->no_break, 0xff, sizeof(k->no_break));
	memset(k->no_repeat, 0, sizeof(k->no_repeat));
	for (unsigned i = 0; i < ARRAY_SIZE(make_break); i++) {
		bit_set(k->no_break, make_break[i], false);
		bit_set(k->no_repeat, make_break[i], true);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(make_only); i++)
		bit_set(k->no_repeat, make_only[i], true);
}

static void set_defaults(struct ps2_keyboard *k)
{
	k->typematic = TYPEMATIC_DEFAULT;
	k->scan_set = 2;
	set3_defaults(k);
	k->keys.count = 0;
}

static void set_key_type(struct ps2_keyboard *k, uint8_t code, uint8_t cmd)
{
	bool breaks = cmd == CMD_KEY_MAKE_BREAK;
	bool repeats = cmd == CMD_KEY_TYPEMATIC;

	bit_set(k->no_break, code, !breaks);
	bit_set(k->no_repeat, code, !repeats);
}

static void set_all_types(struct ps2_keyboard *k, uint8_t cmd)
{
	bool breaks = cmd == CMD_ALL_MAKE_BREAK || cmd == CMD_ALL_BOTH;
	bool repeats = cmd == CMD_ALL_TYPEMATIC || cmd == CMD_ALL_BOTH;

	memset(k->no_break, breaks ? 0 : 0xff, sizeof(k->no_break));
	memset(k->no_repeat, repeats ? 0 : 0xff, sizeof(k->no_repeat));
}

/* The byte after a command that takes one. */
static void write_argument(struct ps2_keyboard *k, uint8_t cmd, uint8_t val)
{
	switch (cmd) {
	case CMD_LEDS:
		k->leds = val & 7;
		break;
	case CMD_TYPEMATIC:
		k->typematic = val & 0x7f;
		break;
	case CMD_SCAN_SET:
		if (val > 3) {
			reply(k, REPLY_RESEND);
			return;
		}
		reply(k, REPLY_ACK);
		if (val == 0)
			reply(k, k->scan_set);
		else
			k->scan_set = val;
		return;
	default: /* FB..FD: a key of set 3, and more may follow */
		set_key_type(k, val, cmd);
		k->command = cmd;
		break;
	}
	reply(k, REPLY_ACK);
}

static void write_command(struct ps2_keyboard *k, uint8_t val)
{
	if (val == CMD_ECHO) {
		reply(k, REPLY_ECHO);
		return;
	}
	if (val == CMD_RESEND) {
		reply(k, k->last);
		return;
	}
	if (val < CMD_LEDS || val == 0xef || val == 0xf1) {
		reply(k, REPLY_RESEND);
		return;
	}
	reply(k, REPLY_ACK);
	switch (val) {
	case CMD_LEDS:
	case CMD_SCAN_SET:
	case CMD_TYPEMATIC:
	case CMD_KEY_TYPEMATIC:
	case CMD_KEY_MAKE_BREAK:
	case CMD_KEY_MAKE:
		k->command = val;
		break;
	case CMD_ID:
		reply(k, 0xab);
		reply(k, 0x83);
		break;
	case CMD_ENABLE:
		k->keys.count = 0;
		k->enabled = 1;
		break;
	case CMD_DISABLE:
		set_defaults(k);
		k->enabled = 0;
		break;
	case CMD_DEFAULTS:
		set_defaults(k);
		break;
	case CMD_RESET:
		set_defaults(k);
		k->enabled = 1;
		k->leds = 0;
		reply(k, REPLY_BAT_OK);
		break;
	default:
		set_all_types(k, val);
		break;
	}
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t val)
{
	uint8_t cmd = k->command;

	/* A new byte ends whatever was being answered. */
	k->reply_count = 0;
	k->command = 0;
	/* A command in place of an argument counts as a command. */
	if (cmd && val < CMD_LEDS)
		write_argument(k, cmd, val);
	else
		write_command(k, val);
	notify(k);
}

static void keyboard_reset(struct device *dev)
{
	struct ps2_keyboard *k = (struct ps2_keyboard *)dev;

	k->reply_count = 0;
	k->command = 0;
	k->enabled = 1;
	k->leds = 0;
	k->last = 0;
	memset(k->down, 0, sizeof(k->down));
	k->keys = (struct queue){0};
	set_defaults(k);
}

static int keyboard_post_load(struct device *dev)
{
	struct ps2_keyboard *k = (struct ps2_keyboard *)dev;

	if (k->reply_count > REPLY_LEN || k->keys.head >= KEYS_LEN || k->keys.count > KEYS_LEN ||
	    k->scan_set < 1 || k->scan_set > 3 || k->leds > 7)
		return -EINVAL;
	return 0;
}

static const struct state_field keyboard_fields[] = {
	STATE_BUFFER(struct ps2_keyboard, reply),
	STATE_FIELD(struct ps2_keyboard, reply_count),
	STATE_BUFFER(struct ps2_keyboard, keys.data),
	STATE_FIELD(struct ps2_keyboard, keys.head),
	STATE_FIELD(struct ps2_keyboard, keys.count),
	STATE_FIELD(struct ps2_keyboard, command),
	STATE_FIELD(struct ps2_keyboard, enabled),
	STATE_FIELD(struct ps2_keyboard, scan_set),
	STATE_FIELD(struct ps2_keyboard, leds),
	STATE_FIELD(struct ps2_keyboard, typematic),
	STATE_FIELD(struct ps2_keyboard, last),
	STATE_BUFFER(struct ps2_keyboard, down),
	STATE_BUFFER(struct ps2_keyboard, no_break),
	STATE_BUFFER(struct ps2_keyboard, no_repeat),
	STATE_END,
};

static const struct device_class keyboard_class = {
	.name = "ps2-keyboard",
	.version = 1,
	.reset = keyboard_reset,
	.fields = keyboard_fields,
	.post_load = keyboard_post_load,
};

struct ps2_keyboard *ps2_keyboard_new(void (*ready)(void *opaque), void *opaque)
{
	struct ps2_keyboard *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->dev.cls = &keyboard_class;
	k->ready = ready;
	k->opaque = opaque;
	keyboard_reset(&k->dev);
	return k;
}

void ps2_keyboard_free(struct ps2_keyboard *k)
{
	free(k);
}

struct device *ps2_keyboard_device(struct ps2_keyboard *k)
{
	return &k->dev;
}
