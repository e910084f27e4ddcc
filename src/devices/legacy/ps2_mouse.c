// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PS/2 mouse: the standard 3-byte protocol, IntelliMouse (wheel), IntelliMouse Explorer (5
 * buttons). Source: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft,
 * "IntelliMouse". Command table: docs/devices/ps2_mouse.md. Saved state: version 1.
 *
 * Movement is summed up and becomes a packet when the queue has room for a whole one.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/ps2_mouse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

#define QUEUE_LEN 16u
#define REPLY_LEN 8u
#define MAX_MOVE (1 << 20) /* movement summed up while nobody reads */

#define REPLY_ACK 0xfau
#define REPLY_RESEND 0xfeu

#define CMD_SCALE_1_1 0xe6u
#define CMD_SCALE_2_1 0xe7u
#define CMD_RESOLUTION 0xe8u
#define CMD_STATUS 0xe9u
#define CMD_STREAM 0xeau
#define CMD_READ 0xebu
#define CMD_UNWRAP 0xecu
#define CMD_WRAP 0xeeu
#define CMD_REMOTE 0xf0u
#define CMD_ID 0xf2u
#define CMD_RATE 0xf3u
#define CMD_ENABLE 0xf4u
#define CMD_DISABLE 0xf5u
#define CMD_DEFAULTS 0xf6u
#define CMD_RESEND 0xfeu
#define CMD_RESET 0xffu

/* Status byte 1. */
#define STATUS_REMOTE 0x40u
#define STATUS_ENABLED 0x20u
#define STATUS_SCALE_2_1 0x10u

enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_EXPLORER = 4 };

struct ps2_mouse {
	struct device dev;
	void (*ready)(void *opaque);
	void *opaque;
	uint8_t reply[REPLY_LEN];
	uint8_t reply_count;
	uint8_t queue[QUEUE_LEN]; /* packets */
	uint8_t head, count;
	uint8_t command; /* waits for its argument, 0 for none */
	uint8_t status;	 /* STATUS_* bits */
	uint8_t wrap;
	uint8_t resolution, rate, id;
	uint8_t knock[2]; /* the two rates set before this one */
	uint8_t buttons, sent_buttons;
	uint8_t last;	     /* last byte sent */
	uint32_t dx, dy, dz; /* not yet reported; two's complement */
};

static void notify(struct ps2_mouse *m)
{
	if (m->ready)
		m->ready(m->opaque);
}

static void reply(struct ps2_mouse *m, uint8_t val)
{
	if (m->reply_count < REPLY_LEN)
		m->reply[m->reply_count++] = val;
}

static int clamp(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* Take what fits -limit..limit out of an accumulator. */
static int take(uint32_t *acc, int lo, int hi)
{
	int v = clamp((int)*acc, lo, hi);

	*acc -= (uint32_t)v;
	return v;
}

/* Scaling 2:1, for packets in stream mode. */
static int scale_2_1(int v)
{
	static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
	int a = v < 0 ? -v : v;
	int s = (unsigned)a < ARRAY_SIZE(small) ? small[a] : 2 * a;

	return v < 0 ? -s : s;
}

static bool has_motion(const struct ps2_mouse *m)
{
	return m->dx || m->dy || (m->dz && m->id != ID_PLAIN) || m->buttons != m->sent_buttons;
}

/* Write one packet and return its length (3 or 4). */
static unsigned make_packet(struct ps2_mouse *m, uint8_t *p, bool scaled)
{
	/* With scaling a count of 127 still fits the nine bits. */
	int lim = scaled ? 127 : 255;
	int dx = take(&m->dx, -lim, lim), dy = take(&m->dy, -lim, lim);
	int dz = m->id == ID_PLAIN ? (int)(m->dz = 0) : take(&m->dz, -8, 7);

	if (scaled) {
		dx = scale_2_1(dx);
		dy = scale_2_1(dy);
	}
	m->sent_buttons = m->buttons;
	p[0] = (uint8_t)(0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
	p[1] = (uint8_t)dx;
	p[2] = (uint8_t)dy;
	if (m->id == ID_WHEEL)
		p[3] = (uint8_t)dz;
	else if (m->id == ID_EXPLORER)
		p[3] = (uint8_t)((dz & 15) | (m->buttons & 0x18) << 1);
	return m->id == ID_PLAIN ? 3u : 4u;
}

/* Queue packets while there is something to say and room to say it. */
static void report(struct ps2_mouse *m)
{
	if (m->status & STATUS_REMOTE || !(m->status & STATUS_ENABLED) || m->wrap)
		return;
	while (has_motion(m) && m->count + 4u <= QUEUE_LEN) {
		uint8_t p[4];
		unsigned n = make_packet(m, p, m->status & STATUS_SCALE_2_1);

		for (unsigned i = 0; i < n; i++)
			m->queue[(m->head + m->count++) % QUEUE_LEN] = p[i];
	}
}

bool ps2_mouse_has_data(const struct ps2_mouse *m)
{
	return m->reply_count || m->count;
}

uint8_t ps2_mouse_read(struct ps2_mouse *m)
{
	if (m->reply_count) {
		m->last = m->reply[0];
		memmove(m->reply, m->reply + 1, --m->reply_count);
	} else if (m->count) {
		m->last = m->queue[m->head];
		m->head = (m->head + 1) % QUEUE_LEN;
		m->count--;
		report(m);
	}
	return m->last;
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
	m->buttons = buttons & 0x1f;
	/* Only Explorer reports the two side buttons. */
	if (m->id != ID_EXPLORER)
		m->buttons &= 7;
	if (!(m->status & STATUS_ENABLED) && !(m->status & STATUS_REMOTE))
		return;
	m->dx = (uint32_t)clamp((int)m->dx + clamp(dx, -MAX_MOVE, MAX_MOVE), -MAX_MOVE, MAX_MOVE);
	m->dy = (uint32_t)clamp((int)m->dy + clamp(dy, -MAX_MOVE, MAX_MOVE), -MAX_MOVE, MAX_MOVE);
	m->dz = (uint32_t)clamp((int)m->dz + clamp(dz, -MAX_MOVE, MAX_MOVE), -MAX_MOVE, MAX_MOVE);
	report(m);
	if (m->count)
		notify(m);
}

static void forget_motion(struct ps2_mouse *m)
{
	m->dx = m->dy = m->dz = 0;
	m->count = 0;
	m->sent_buttons = m->buttons;
}

static void set_defaults(struct ps2_mouse *m)
{
	m->rate = 100;
	m->resolution = 2;
	m->status = 0;
	m->wrap = 0;
	forget_motion(m);
}

/* Three rates in a row switch the protocol: 200 100 80 the wheel, 200 200 80 the five buttons. */
static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
	m->rate = rate;
	if (rate == 80 && m->knock[0] == 200 && m->knock[1] == 100)
		m->id = ID_WHEEL;
	else if (rate == 80 && m->knock[0] == 200 && m->knock[1] == 200)
		m->id = ID_EXPLORER;
	m->knock[0] = m->knock[1];
	m->knock[1] = rate;
}

static void reply_status(struct ps2_mouse *m)
{
	uint8_t b = m->buttons;

	/* Here left is bit 2, middle bit 1, right bit 0. */
	reply(m, (uint8_t)(m->status | (b & PS2_MOUSE_LEFT ? 4 : 0) |
			   (b & PS2_MOUSE_MIDDLE ? 2 : 0) | (b & PS2_MOUSE_RIGHT ? 1 : 0)));
	reply(m, m->resolution);
	reply(m, m->rate);
}

static void reply_packet(struct ps2_mouse *m)
{
	uint8_t p[4];
	unsigned n = make_packet(m, p, false);

	for (unsigned i = 0; i < n; i++)
		reply(m, p[i]);
}

static void full_reset(struct ps2_mouse *m)
{
	set_defaults(m);
	m->id = ID_PLAIN;
	m->knock[0] = m->knock[1] = 0;
}

static void write_argument(struct ps2_mouse *m, uint8_t cmd, uint8_t val)
{
	if (cmd == CMD_RESOLUTION && val > 3) {
		reply(m, REPLY_RESEND);
		return;
	}
	reply(m, REPLY_ACK);
	if (cmd == CMD_RATE)
		set_rate(m, val);
	else
		m->resolution = val;
}

static void write_command(struct ps2_mouse *m, uint8_t val)
{
	if (val == CMD_RESEND) {
		reply(m, m->last);
		return;
	}
	reply(m, REPLY_ACK);
	switch (val) {
	case CMD_SCALE_1_1:
		m->status &= (uint8_t)~STATUS_SCALE_2_1;
		break;
	case CMD_SCALE_2_1:
		m->status |= STATUS_SCALE_2_1;
		break;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->command = val;
		break;
	case CMD_STATUS:
		reply_status(m);
		break;
	case CMD_STREAM:
		m->status &= (uint8_t)~STATUS_REMOTE;
		forget_motion(m);
		break;
	case CMD_READ:
		reply_packet(m);
		break;
	case CMD_UNWRAP:
		m->wrap = 0;
		break;
	case CMD_WRAP:
		m->wrap = 1;
		m->count = 0;
		break;
	case CMD_REMOTE:
		m->status |= STATUS_REMOTE;
		forget_motion(m);
		break;
	case CMD_ID:
		reply(m, m->id);
		break;
	case CMD_ENABLE:
		m->status |= STATUS_ENABLED;
		forget_motion(m);
		break;
	case CMD_DISABLE:
		m->status &= (uint8_t)~STATUS_ENABLED;
		forget_motion(m);
		break;
	case CMD_DEFAULTS:
		set_defaults(m);
		break;
	case CMD_RESET:
		full_reset(m);
		reply(m, 0xaa);
		reply(m, m->id);
		break;
	default: /* an invalid command */
		m->reply[0] = REPLY_RESEND;
		break;
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t val)
{
	uint8_t cmd = m->command;

	m->reply_count = 0;
	m->command = 0;
	if (m->wrap && val != CMD_RESET && val != CMD_UNWRAP)
		reply(m, val);
	else if (cmd)
		write_argument(m, cmd, val);
	else
		write_command(m, val);
	notify(m);
}

static void mouse_reset(struct device *dev)
{
	struct ps2_mouse *m = (struct ps2_mouse *)dev;

	m->reply_count = 0;
	m->command = 0;
	m->head = 0;
	m->last = 0;
	m->buttons = 0;
	full_reset(m);
}

static int mouse_post_load(struct device *dev)
{
	struct ps2_mouse *m = (struct ps2_mouse *)dev;
	const uint32_t *moves[3] = {&m->dx, &m->dy, &m->dz};

	for (unsigned i = 0; i < 3; i++) {
		if ((int32_t)*moves[i] > MAX_MOVE || (int32_t)*moves[i] < -MAX_MOVE)
			return -EINVAL;
	}
	if (m->reply_count > REPLY_LEN || m->head >= QUEUE_LEN || m->count > QUEUE_LEN ||
	    (m->id != ID_PLAIN && m->id != ID_WHEEL && m->id != ID_EXPLORER))
		return -EINVAL;
	return 0;
}

static const struct state_field mouse_fields[] = {
	STATE_BUFFER(struct ps2_mouse, reply),
	STATE_FIELD(struct ps2_mouse, reply_count),
	STATE_BUFFER(struct ps2_mouse, queue),
	STATE_FIELD(struct ps2_mouse, head),
	STATE_FIELD(struct ps2_mouse, count),
	STATE_FIELD(struct ps2_mouse, command),
	STATE_FIELD(struct ps2_mouse, status),
	STATE_FIELD(struct ps2_mouse, wrap),
	STATE_FIELD(struct ps2_mouse, resolution),
	STATE_FIELD(struct ps2_mouse, rate),
	STATE_FIELD(struct ps2_mouse, id),
	STATE_BUFFER(struct ps2_mouse, knock),
	STATE_FIELD(struct ps2_mouse, buttons),
	STATE_FIELD(struct ps2_mouse, sent_buttons),
	STATE_FIELD(struct ps2_mouse, last),
	STATE_FIELD(struct ps2_mouse, dx),
	STATE_FIELD(struct ps2_mouse, dy),
	STATE_FIELD(struct ps2_mouse, dz),
	STATE_END,
};

static const struct device_class mouse_class = {
	.name = "ps2-mouse",
	.version = 1,
	.reset = mouse_reset,
	.fields = mouse_fields,
	.post_load = mouse_post_load,
};

struct ps2_mouse *ps2_mouse_new(void (*ready)(void *opaque), void *opaque)
{
	struct ps2_mouse *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->dev.cls = &mouse_class;
	m->ready = ready;
	m->opaque = opaque;
	mouse_reset(&m->dev);
	return m;
}

void ps2_mouse_free(struct ps2_mouse *m)
{
	free(m);
}

struct device *ps2_mouse_device(struct ps2_mouse *m)
{
	return &m->dev;
}
