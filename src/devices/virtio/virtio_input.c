// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-input: a keyboard, a mouse, a tablet. See virtio_input.h.
 * Source: virtio 1.2 §5.8; linux/input-event-codes.h. Threads: with the VM lock held.
 * Saved state: version 1. No chain is ever out. Events for which the driver has no buffer wait in a bounded row.
 */
#include "devices/virtio/virtio_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define QUEUE_EVENTS 0u
#define QUEUE_STATUS 1u
#define EVENT_BYTES 8u
#define ROW 256u

/* Configuration space (§5.8.4): what is selected, how long it is, itself. */
#define CFG_SELECT 0u
#define CFG_SUBSEL 1u
#define CFG_SIZE 2u
#define CFG_DATA 8u
#define CFG_BYTES 128u
#define DATA_BYTES (CFG_BYTES - CFG_DATA)

#define SELECT_NAME 1u
#define SELECT_SERIAL 2u
#define SELECT_IDS 3u
#define SELECT_PROPERTIES 0x10u
#define SELECT_BITS 0x11u
#define SELECT_ABS 0x12u

/* Linux' types and codes of events. */
#define EV_SYN 0u
#define EV_KEY 1u
#define EV_REL 2u
#define EV_ABS 3u
#define EV_LED 0x11u
#define EV_REP 0x14u
#define REL_HWHEEL 6u
#define REL_WHEEL 8u
#define BTN_LEFT 0x110u
#define BTN_RIGHT 0x111u
#define BTN_MIDDLE 0x112u
#define BTN_SIDE 0x113u
#define BTN_EXTRA 0x114u
#define BUS_VIRTUAL 6u

struct row_event {
	uint16_t type, code;
	uint32_t value;
};

struct virtio_input {
	struct virtio_dev v;
	enum virtio_input_kind kind;
	struct input_sink sink;
	bool told; /* since the last sync */
	/* Saved. */
	struct row_event row[ROW];
	uint16_t head, count;
};

static const struct {
	const char *name;
	uint16_t pci_class, product;
	unsigned can;
} kinds[] = {
	[VIRTIO_INPUT_KEYBOARD] = {"Lodge Virtio Keyboard", 0x0900, 1, INPUT_CAN_KEYS},
	[VIRTIO_INPUT_MOUSE] = {"Lodge Virtio Mouse", 0x0902, 2, INPUT_CAN_REL},
	[VIRTIO_INPUT_TABLET] = {"Lodge Virtio Tablet", 0x0980, 3, INPUT_CAN_ABS},
};

/* ---- Events -------------------------------------------------------------------------------------- */

static void flush(struct virtio_input *s)
{
	bool any = false;

	while (s->count) {
		const struct row_event *e = &s->row[s->head];
		struct vq_chain *c = virtio_pop(&s->v, QUEUE_EVENTS);
		uint8_t raw[EVENT_BYTES];

		if (!c)
			break;
		st_le16(raw, e->type);
		st_le16(raw + 2, e->code);
		st_le32(raw + 4, e->value);
		virtqueue_push(c->vq, c, vq_chain_write(c, 0, raw, sizeof(raw)));
		s->head = (uint16_t)((s->head + 1u) % ROW);
		s->count--;
		any = true;
	}
	if (any)
		virtio_notify(&s->v, QUEUE_EVENTS);
}

static void put(struct virtio_input *s, unsigned type, unsigned code, int32_t value)
{
	if (s->count == ROW)
		return;
	s->row[(s->head + s->count++) % ROW] =
		(struct row_event){(uint16_t)type, (uint16_t)code, (uint32_t)value};
	s->told = true;
}

static void put_button(struct virtio_input *s, const struct input_event *ev)
{
	static const uint16_t code[INPUT_BUTTONS] = {[INPUT_LEFT] = BTN_LEFT,
						     [INPUT_MIDDLE] = BTN_MIDDLE,
						     [INPUT_RIGHT] = BTN_RIGHT,
						     [INPUT_SIDE] = BTN_SIDE,
						     [INPUT_EXTRA] = BTN_EXTRA};

	if (code[ev->code])
		put(s, EV_KEY, code[ev->code], ev->down);
	else if (!ev->down)
		return;
	else if (ev->code == INPUT_WHEEL_UP || ev->code == INPUT_WHEEL_DOWN)
		put(s, EV_REL, REL_WHEEL, ev->code == INPUT_WHEEL_UP ? 1 : -1);
	else
		put(s, EV_REL, REL_HWHEEL, ev->code == INPUT_WHEEL_RIGHT ? 1 : -1);
}

static void on_event(void *opaque, const struct input_event *ev)
{
	struct virtio_input *s = opaque;
	uint16_t key;

	/* What belongs together goes whole or not at all, as far as there is room. */
	if (s->count > ROW - 8)
		return;
	switch (ev->kind) {
	case INPUT_KEY:
		key = input_key_evdev((enum input_key)ev->code);
		if (key)
			put(s, EV_KEY, key, ev->down);
		break;
	case INPUT_BUTTON:
		put_button(s, ev);
		break;
	case INPUT_REL:
		put(s, EV_REL, ev->code == INPUT_X ? 0 : 1, ev->value);
		break;
	case INPUT_ABS:
		put(s, EV_ABS, ev->code == INPUT_X ? 0 : 1, ev->value);
		break;
	default:
		break;
	}
}

static void on_sync(void *opaque)
{
	struct virtio_input *s = opaque;

	if (s->told)
		put(s, EV_SYN, 0, 0);
	s->told = false;
	flush(s);
}

static bool is_active(void *opaque)
{
	return virtio_running(&((struct virtio_input *)opaque)->v);
}

static bool is_idle(void *opaque)
{
	return !((struct virtio_input *)opaque)->count;
}

/* ---- Configuration space ------------------------------------------------------------------------- */

static void set_bit(uint8_t *bits, unsigned n, unsigned *size)
{
	bits[n / 8] = (uint8_t)(bits[n / 8] | 1u << n % 8);
	if (n / 8 + 1 > *size)
		*size = n / 8 + 1;
}

static unsigned event_bits(const struct virtio_input *s, unsigned type, uint8_t *bits)
{
	bool is_keyboard = s->kind == VIRTIO_INPUT_KEYBOARD;
	unsigned size = 0;

	if (type == EV_KEY && is_keyboard) {
		for (unsigned k = 1; k < INPUT_KEYS; k++) {
			uint16_t code = input_key_evdev((enum input_key)k);

			if (code && code < DATA_BYTES * 8)
				set_bit(bits, code, &size);
		}
	} else if (type == EV_KEY) {
		for (unsigned b = BTN_LEFT; b <= BTN_EXTRA; b++)
			set_bit(bits, b, &size);
	} else if (type == EV_REL && !is_keyboard) {
		set_bit(bits, REL_WHEEL, &size);
		set_bit(bits, REL_HWHEEL, &size);
		if (s->kind == VIRTIO_INPUT_MOUSE)
			bits[0] |= 3;
	} else if (type == EV_ABS && s->kind == VIRTIO_INPUT_TABLET) {
		set_bit(bits, 0, &size);
		set_bit(bits, 1, &size);
	} else if (type == EV_REP && is_keyboard) {
		set_bit(bits, 0, &size);
	} else if (type == EV_LED && is_keyboard) {
		for (unsigned led = 0; led < 3; led++)
			set_bit(bits, led, &size);
	}
	return size;
}

static unsigned describe(const struct virtio_input *s, unsigned select, unsigned subsel,
			 uint8_t *data)
{
	const char *name = kinds[s->kind].name;

	switch (select) {
	case SELECT_NAME:
		memcpy(data, name, strlen(name));
		return (unsigned)strlen(name);
	case SELECT_IDS:
		st_le16(data, BUS_VIRTUAL);
		st_le16(data + 2, 0x0627);
		st_le16(data + 4, kinds[s->kind].product);
		st_le16(data + 6, 1);
		return 8;
	case SELECT_BITS:
		return event_bits(s, subsel, data);
	case SELECT_ABS:
		if (s->kind != VIRTIO_INPUT_TABLET || subsel > 1)
			return 0;
		st_le32(data + 4, INPUT_ABS_MAX); /* from 0 */
		return 20;
	default: /* no serial number, no properties */
		return 0;
	}
}

static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_input *s = container_of(v, struct virtio_input, v);
	uint8_t *cfg = v->config.val;

	(void)off;
	(void)size;
	memset(cfg + CFG_DATA, 0, DATA_BYTES);
	cfg[CFG_SIZE] = (uint8_t)describe(s, cfg[CFG_SELECT], cfg[CFG_SUBSEL], cfg + CFG_DATA);
}

/* ---- Queues ---------------------------------------------------------------------------------------- */

/* LEDs and the like: taken, and nobody looks at them. */
static void take_status(struct virtio_input *s)
{
	unsigned n = 0;

	while (n < VIRTIO_BATCH) {
		struct vq_chain *c = virtio_pop(&s->v, QUEUE_STATUS);

		if (!c)
			break;
		virtqueue_push(c->vq, c, 0);
		n++;
	}
	if (n == VIRTIO_BATCH)
		virtio_again(&s->v, QUEUE_STATUS);
	virtio_notify(&s->v, QUEUE_STATUS);
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_input *s = container_of(v, struct virtio_input, v);

	if (q == QUEUE_EVENTS)
		flush(s);
	else
		take_status(s);
}

static void reset(struct virtio_dev *v)
{
	struct virtio_input *s = container_of(v, struct virtio_input, v);

	s->head = s->count = 0;
	s->told = false;
}

#define OPS(class)                                                                     \
	{                                                                              \
		.id = VIRTIO_ID_INPUT, .pci_class = (class), .config_size = CFG_BYTES, \
		.kick = kick, .config_written = config_written, .reset = reset,        \
	}
static const struct virtio_ops ops[] = {
	[VIRTIO_INPUT_KEYBOARD] = OPS(0x0900),
	[VIRTIO_INPUT_MOUSE] = OPS(0x0902),
	[VIRTIO_INPUT_TABLET] = OPS(0x0980),
};

/* ---- Life ------------------------------------------------------------------------------------------ */

static int post_load(struct device *dev)
{
	struct virtio_input *s = container_of(dev, struct virtio_input, v.pci.dev);

	if (virtio_dev_loaded(&s->v) || s->v.vq[QUEUE_EVENTS].out || s->v.vq[QUEUE_STATUS].out ||
	    s->head >= ROW || s->count > ROW)
		return -EINVAL;
	config_written(&s->v, 0, 0);
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_input, v),
	STATE_FIELD(struct virtio_input, v.config.val[CFG_SELECT]),
	STATE_FIELD(struct virtio_input, v.config.val[CFG_SUBSEL]),
	STATE_EACH(struct virtio_input, row, type),
	STATE_EACH(struct virtio_input, row, code),
	STATE_EACH(struct virtio_input, row, value),
	STATE_FIELD(struct virtio_input, head),
	STATE_FIELD(struct virtio_input, count),
	STATE_END,
};

static const struct device_class virtio_input_class = {
	.name = "virtio-input",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

struct virtio_input *virtio_input_new(const struct virtio_input_config *cfg, struct lodge_err *err)
{
	struct virtio_input *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-input device");
		return NULL;
	}
	s->kind = cfg->kind;
	s->sink = (struct input_sink){
		.name = kinds[s->kind].name,
		.can = kinds[s->kind].can,
		.opaque = s,
		.event = on_event,
		.sync = on_sync,
		.active = is_active,
		.idle = is_idle,
	};
	if (virtio_dev_init(&s->v, &cfg->virtio, &virtio_input_class, &ops[s->kind], err)) {
		free(s);
		return NULL;
	}
	virtio_config_reg(&s->v, "select", CFG_SELECT, 1, 0, 0xff);
	virtio_config_reg(&s->v, "subsel", CFG_SUBSEL, 1, 0, 0xff);
	return s;
}

void virtio_input_free(struct virtio_input *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_input_device(struct virtio_input *s)
{
	return &s->v.pci.dev;
}

struct input_sink *virtio_input_sink(struct virtio_input *s)
{
	return &s->sink;
}
