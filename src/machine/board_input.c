// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and pointers of people, for the PS/2 keyboard and mouse. Threads: with the VM lock held. */
#include <errno.h>
#include <stdlib.h>

#include "devices/legacy/i8042.h"
#include "input/input.h"
#include "machine/board_int.h"

struct board_input {
	struct ps2_keyboard *keyboard;
	struct ps2_mouse *mouse;
	int dx, dy, dz; /* since the last sync */
	unsigned buttons;
	struct input_sink keyboard_sink, mouse_sink;
};

static void key_event(void *opaque, const struct input_event *ev)
{
	struct board_input *p = opaque;
	uint8_t key = input_key_ps2((enum input_key)ev->code);

	if (key)
		ps2_keyboard_key(p->keyboard, key, ev->down);
}

static bool keyboard_idle(void *opaque)
{
	struct board_input *p = opaque;

	return !ps2_keyboard_has_data(p->keyboard);
}

static void mouse_event(void *opaque, const struct input_event *ev)
{
	static const unsigned bits[INPUT_BUTTONS] = {
		[INPUT_LEFT] = PS2_MOUSE_LEFT,	 [INPUT_MIDDLE] = PS2_MOUSE_MIDDLE,
		[INPUT_RIGHT] = PS2_MOUSE_RIGHT, [INPUT_SIDE] = PS2_MOUSE_SIDE,
		[INPUT_EXTRA] = PS2_MOUSE_EXTRA,
	};
	struct board_input *p = opaque;
	unsigned bit = ev->kind == INPUT_BUTTON ? bits[ev->code] : 0;

	if (ev->kind == INPUT_REL && ev->code == INPUT_X)
		p->dx += ev->value;
	else if (ev->kind == INPUT_REL)
		p->dy -= ev->value; /* up counts */
	else if (bit)
		p->buttons = ev->down ? p->buttons | bit : p->buttons & ~bit;
	else if (ev->down && ev->code == INPUT_WHEEL_UP)
		p->dz--;
	else if (ev->down && ev->code == INPUT_WHEEL_DOWN)
		p->dz++;
}

static void mouse_sync(void *opaque)
{
	struct board_input *p = opaque;

	ps2_mouse_move(p->mouse, p->dx, p->dy, p->dz, p->buttons);
	p->dx = p->dy = p->dz = 0;
}

static bool mouse_idle(void *opaque)
{
	struct board_input *p = opaque;

	return !ps2_mouse_has_data(p->mouse);
}

int board_wire_input(struct board *b)
{
	struct board_input *p = calloc(1, sizeof(*p));

	b->ps2 = p;
	b->input = input_new(b->vm->loop);
	if (!p || !b->input)
		return -ENOMEM;
	p->keyboard = i8042_keyboard(b->kbc);
	p->mouse = i8042_mouse(b->kbc);
	p->keyboard_sink = (struct input_sink){
		.name = "PS/2 Keyboard",
		.can = INPUT_CAN_KEYS,
		.opaque = p,
		.event = key_event,
		.idle = keyboard_idle,
	};
	p->mouse_sink = (struct input_sink){
		.name = "PS/2 Mouse",
		.can = INPUT_CAN_REL,
		.opaque = p,
		.event = mouse_event,
		.sync = mouse_sync,
		.idle = mouse_idle,
	};
	input_add(b->input, &p->keyboard_sink);
	input_add(b->input, &p->mouse_sink);
	return 0;
}

void board_free_input(struct board *b)
{
	input_free(b->input);
	free(b->ps2);
}

struct input *board_input(struct board *b)
{
	return b->input;
}
