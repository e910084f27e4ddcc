// SPDX-License-Identifier: GPL-2.0-or-later
/* The row of events. See input.h. Threads: with the VM lock held. */
#include "input/input.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/range.h"

/* Behind INPUT_ROW_MAX: what lets go, and what ends a group. */
#define ROW_ROOM (INPUT_ROW_MAX + 512u)
#define NS_PER_MS 1000000ull
#define LOOK_NS (2 * NS_PER_MS)
#define MERGE_BACK 6u
#define REL_MAX (1 << 20)

struct input {
	struct list sinks; /* the current ones first */
	struct io_timer timer;
	struct input_event row[ROW_ROOM];
	unsigned head, count;
	bool pumping;
	bool delaying;	   /* the delay in front has begun */
	uint64_t since_ns; /* when the event in front began to wait; 0: it does not */
	/* As those who send see it. */
	bool key_down[INPUT_KEYS], button_down[INPUT_BUTTONS];
	/* Absolute positions without a device for them. */
	uint32_t width, height;
	bool has_last[2];
	int32_t last[2];
	/* Devices that were told something since their last sync. */
	unsigned told;
};

/* ---- Devices ------------------------------------------------------------------------------------ */

const struct input_sink *input_current(const struct input *in, unsigned can)
{
	struct input_sink *s;

	list_for_each_entry (s, &in->sinks, link) {
		if ((s->can & can) && (!s->active || s->active(s->opaque)))
			return s;
	}
	return NULL;
}

const struct input_sink *input_each(const struct input *in, const struct input_sink *before)
{
	const struct list *next = before ? before->link.next : in->sinks.next;

	return next == &in->sinks ? NULL : container_of(next, struct input_sink, link);
}

void input_add(struct input *in, struct input_sink *s)
{
	/* In front of all others. */
	list_add_tail(in->sinks.next, &s->link);
}

void input_remove(struct input *in, struct input_sink *s)
{
	(void)in;
	list_del(&s->link);
}

/* Which device an event is for. Buttons go where movements go. */
static const struct input_sink *target(const struct input *in, const struct input_event *ev)
{
	const struct input_sink *s = NULL;

	switch (ev->kind) {
	case INPUT_KEY:
		return input_current(in, INPUT_CAN_KEYS);
	case INPUT_REL:
		s = input_current(in, INPUT_CAN_REL);
		return s;
	case INPUT_ABS:
	case INPUT_BUTTON:
		s = input_current(in, INPUT_CAN_ABS);
		return s ? s : input_current(in, INPUT_CAN_REL);
	default:
		return NULL;
	}
}

/* ---- Out of the row ----------------------------------------------------------------------------- */

static void sync_sinks(struct input *in)
{
	struct input_sink *s;

	list_for_each_entry (s, &in->sinks, link) {
		if (s->sync && (s->can & in->told))
			s->sync(s->opaque);
	}
	in->told = 0;
}

/* An absolute position, for a mouse: so far from the last one. */
static bool to_movement(struct input *in, struct input_event *ev)
{
	uint32_t dots = ev->code == INPUT_X ? in->width : in->height;
	int32_t at = (int32_t)((int64_t)ev->value * (dots ? dots - 1 : 0) / INPUT_ABS_MAX);
	int32_t by = in->has_last[ev->code] ? at - in->last[ev->code] : 0;

	in->has_last[ev->code] = true;
	in->last[ev->code] = at;
	ev->kind = INPUT_REL;
	ev->value = by;
	return by != 0;
}

static void deliver(struct input *in, struct input_event ev)
{
	const struct input_sink *s = target(in, &ev);

	if (ev.kind == INPUT_SYNC) {
		sync_sinks(in);
		return;
	}
	if (!s || (ev.kind == INPUT_ABS && !(s->can & INPUT_CAN_ABS) && !to_movement(in, &ev)))
		return;
	s->event(s->opaque, &ev);
	in->told |= s->can;
}

/* The event in front can go; if not, when to look again. */
static bool may_go(struct input *in, const struct input_event *ev, uint64_t now)
{
	const struct input_sink *s = target(in, ev);

	if ((ev->kind != INPUT_KEY && ev->kind != INPUT_BUTTON) || !s || !s->idle ||
	    s->idle(s->opaque))
		return true;
	if (!in->since_ns)
		in->since_ns = now;
	if (now - in->since_ns >= INPUT_WAIT_MS * NS_PER_MS)
		return true;
	io_timer_arm(&in->timer, now + LOOK_NS);
	return false;
}

static void pump(struct input *in)
{
	uint64_t now = clock_vm_ns();

	/* A device may tell its guest, whose answer comes back here. */
	if (in->pumping || in->delaying)
		return;
	in->pumping = true;
	while (in->count) {
		struct input_event ev = in->row[in->head];

		if (ev.kind == INPUT_DELAY) {
			sync_sinks(in); /* what was told is seen before the delay */
			in->delaying = true;
			io_timer_arm(&in->timer, now + (uint32_t)ev.value * NS_PER_MS);
			break;
		}
		if (!may_go(in, &ev, now)) {
			sync_sinks(in);
			break;
		}
		in->since_ns = 0;
		in->head = (in->head + 1) % ROW_ROOM;
		in->count--;
		deliver(in, ev);
	}
	in->pumping = false;
}

static void on_timer(void *opaque)
{
	struct input *in = opaque;

	if (in->delaying) {
		in->delaying = false;
		in->head = (in->head + 1) % ROW_ROOM;
		in->count--;
	}
	pump(in);
}

/* ---- Into the row ------------------------------------------------------------------------------- */

static struct input_event *from_end(struct input *in, unsigned n)
{
	return &in->row[(in->head + in->count - n) % ROW_ROOM];
}

static int32_t clamp(int64_t v)
{
	return (int32_t)(v > REL_MAX ? REL_MAX : v < -REL_MAX ? -REL_MAX : v);
}

/* A movement behind movements: one of them. */
static bool merge(struct input *in, const struct input_event *ev)
{
	for (unsigned n = 1; n <= in->count && n <= MERGE_BACK; n++) {
		struct input_event *old = from_end(in, n);

		if (old->kind == ev->kind && old->code == ev->code && ev->kind == INPUT_ABS) {
			old->value = ev->value;
			return true;
		}
		if (old->kind == ev->kind && old->code == ev->code && ev->kind == INPUT_REL) {
			old->value = clamp((int64_t)old->value + ev->value);
			return true;
		}
		if (old->kind != INPUT_SYNC && old->kind != INPUT_REL && old->kind != INPUT_ABS)
			return false;
	}
	return false;
}

static int put(struct input *in, const struct input_event *ev, unsigned most)
{
	if (in->count >= most)
		return -EAGAIN;
	in->count++;
	*from_end(in, 1) = *ev;
	return 0;
}

static int check(const struct input_event *ev)
{
	switch (ev->kind) {
	case INPUT_KEY:
		return ev->code > 0 && ev->code < INPUT_KEYS ? 0 : -EINVAL;
	case INPUT_BUTTON:
		return ev->code < INPUT_BUTTONS ? 0 : -EINVAL;
	case INPUT_REL:
		return ev->code <= INPUT_Y && ev->value >= -REL_MAX && ev->value <= REL_MAX
			       ? 0
			       : -EINVAL;
	case INPUT_ABS:
		return ev->code <= INPUT_Y && ev->value >= 0 && ev->value <= INPUT_ABS_MAX
			       ? 0
			       : -EINVAL;
	case INPUT_DELAY:
		return ev->value >= 0 && ev->value <= (int32_t)INPUT_DELAY_MAX_MS ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* Keys and buttons: what is up needs no letting go, and what is down always can be. */
static int put_press(struct input *in, const struct input_event *ev)
{
	bool *down = ev->kind == INPUT_KEY ? &in->key_down[ev->code] : &in->button_down[ev->code];
	int r;

	if (!ev->down && !*down)
		return 0;
	r = put(in, ev, ev->down ? INPUT_ROW_MAX : ROW_ROOM);
	if (!r)
		*down = ev->down;
	return r;
}

int input_send(struct input *in, const struct input_event *ev)
{
	int r = check(ev);

	if (!r && ev->kind != INPUT_DELAY && !target(in, ev))
		r = -ENODEV;
	if (r)
		return r;
	if (ev->kind == INPUT_KEY || ev->kind == INPUT_BUTTON)
		r = put_press(in, ev);
	else if (!merge(in, ev))
		r = put(in, ev, INPUT_ROW_MAX);
	if (!r)
		pump(in);
	return r;
}

void input_sync(struct input *in)
{
	const struct input_event ev = {.kind = INPUT_SYNC};

	if (in->count && from_end(in, 1)->kind == INPUT_SYNC)
		return;
	/* Without room for it, the next one ends this group, too. */
	if (!put(in, &ev, ROW_ROOM))
		pump(in);
}

int input_send_key(struct input *in, enum input_key key, bool down)
{
	const struct input_event ev = {.kind = INPUT_KEY, .code = (uint16_t)key, .down = down};
	int r = input_send(in, &ev);

	input_sync(in);
	return r;
}

void input_release_all(struct input *in)
{
	for (uint16_t k = 0; k < INPUT_KEYS + INPUT_BUTTONS; k++) {
		const struct input_event ev = {
			.kind = k < INPUT_KEYS ? INPUT_KEY : INPUT_BUTTON,
			.code = (uint16_t)(k < INPUT_KEYS ? k : k - INPUT_KEYS),
		};

		if (k < INPUT_KEYS ? in->key_down[k] : in->button_down[k - INPUT_KEYS])
			(void)!put_press(in, &ev);
	}
	input_sync(in);
	pump(in);
}

/* ---- Life --------------------------------------------------------------------------------------- */

struct input *input_new(struct io_loop *loop)
{
	struct input *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	list_init(&in->sinks);
	io_timer_init(&in->timer, loop, on_timer, in);
	in->width = 640;
	in->height = 480;
	return in;
}

void input_free(struct input *in)
{
	if (!in)
		return;
	io_timer_cancel(&in->timer);
	free(in);
}

void input_set_screen(struct input *in, uint32_t width, uint32_t height)
{
	if (in->width == width && in->height == height)
		return;
	in->width = width;
	in->height = height;
	in->has_last[INPUT_X] = in->has_last[INPUT_Y] = false;
}

unsigned input_room(const struct input *in)
{
	return in->count < INPUT_ROW_MAX ? INPUT_ROW_MAX - in->count : 0;
}

unsigned input_waiting(const struct input *in)
{
	return in->count;
}
