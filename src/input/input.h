/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people do with keyboard and pointer, on its way to the guest's devices.
 *
 * Events go through one row, in order. An event waits there while the device it is for has not been read by the
 * guest, INPUT_WAIT_MS at most, and delays may stand between events; without either it goes on at once. The row
 * is bounded: what presses is refused when it is full, what lets go always finds room.
 *
 * Keys go to the keyboard that was added last, pointers to the device that was added last and knows their
 * kind. Without an absolute one, absolute positions become movements by as many dots of the screen.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_INPUT_INPUT_H
#define LODGE_INPUT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "input/keys.h"
#include "io/loop.h"

#define INPUT_ROW_MAX 1024u
#define INPUT_WAIT_MS 500u
#define INPUT_DELAY_MAX_MS 60000u
/* Absolute positions are 0 to this, from edge to edge. */
#define INPUT_ABS_MAX 0x7fff

enum input_kind { INPUT_KEY, INPUT_BUTTON, INPUT_REL, INPUT_ABS, INPUT_DELAY, INPUT_SYNC };
enum input_axis { INPUT_X, INPUT_Y };
enum input_button {
	INPUT_LEFT,
	INPUT_MIDDLE,
	INPUT_RIGHT,
	INPUT_WHEEL_UP,
	INPUT_WHEEL_DOWN,
	INPUT_SIDE,
	INPUT_EXTRA,
	INPUT_WHEEL_LEFT,
	INPUT_WHEEL_RIGHT,
	INPUT_BUTTONS
};

struct input_event {
	uint8_t kind;  /* enum input_kind */
	bool down;     /* KEY, BUTTON */
	uint16_t code; /* enum input_key, input_button, input_axis */
	int32_t value; /* REL: dots; ABS: 0 to INPUT_ABS_MAX; DELAY: milliseconds */
};

/* What a device takes. */
#define INPUT_CAN_KEYS 1u
#define INPUT_CAN_REL 2u
#define INPUT_CAN_ABS 4u

struct input_sink {
	const char *name;
	unsigned can;
	void *opaque;
	/* Buttons come with either kind of movement. */
	void (*event)(void *opaque, const struct input_event *ev);
	/* What belongs together has come. May be NULL. */
	void (*sync)(void *opaque);
	/* The guest uses it. May be NULL: always. While it does not, others get what is for it. */
	bool (*active)(void *opaque);
	/* The guest has taken what it was told. May be NULL: always. */
	bool (*idle)(void *opaque);
	struct list link; /* the hub's */
};

struct input;

struct input *input_new(struct io_loop *loop);
void input_free(struct input *in); /* NULL is allowed */
/* The sink is borrowed until it is removed. */
void input_add(struct input *in, struct input_sink *s);
void input_remove(struct input *in, struct input_sink *s);
/* The one that gets such events (INPUT_CAN_*), or NULL. */
const struct input_sink *input_current(const struct input *in, unsigned can);
/* Each device that takes them, the current one first. */
const struct input_sink *input_each(const struct input *in, const struct input_sink *before);

/* How large the screen is, by which absolute positions become movements. */
void input_set_screen(struct input *in, uint32_t width, uint32_t height);

/* How many more events find room now. */
unsigned input_room(const struct input *in);
/* How many wait. */
unsigned input_waiting(const struct input *in);
/*
 * One event. -EINVAL: there is no such key, button or axis; -ENODEV: no device takes it; -EAGAIN: the row is full,
 * and it is lost.
 */
int input_send(struct input *in, const struct input_event *ev);
/* What was sent since the last time belongs together. */
void input_sync(struct input *in);
/* A key goes down or up, that alone. */
int input_send_key(struct input *in, enum input_key key, bool down);
/* Let go of every key and button that is down, those in the row first. */
void input_release_all(struct input *in);

#endif
