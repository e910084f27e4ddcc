// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 8042 keyboard controller.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller". Register table: docs/devices/i8042.md. Saved state: version 1.
 *
 * There is one output buffer. Whenever it is free it takes, in this order, the controller's own
 * answers, a byte of the keyboard, a byte of the mouse. The next byte follows at once when the
 * guest has read one; a real line would take a millisecond.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/i8042.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

#define STATUS_OBF 0x01u
#define STATUS_SYS 0x04u
#define STATUS_CMD 0x08u
#define STATUS_UNLOCKED 0x10u
#define STATUS_AUX 0x20u

/* The command byte, RAM byte 0. */
#define MODE_KBD_INT 0x01u
#define MODE_AUX_INT 0x02u
#define MODE_SYS 0x04u
#define MODE_KBD_OFF 0x10u
#define MODE_AUX_OFF 0x20u
#define MODE_TRANSLATE 0x40u

#define OUT_RESET 0x01u
#define OUT_A20 0x02u
#define OUT_KBD_OBF 0x10u
#define OUT_AUX_OBF 0x20u
#define OUT_ONES 0xccu

#define ANSWERS 16u
#define RAM_BYTES 32u

struct i8042 {
	struct device dev;
	struct irq_line irq1, irq12, a20, reset_line;
	struct ps2_keyboard *kbd;
	struct ps2_mouse *mouse;
	uint8_t ram[RAM_BYTES];
	uint8_t status;	      /* OBF, CMD and AUX as the guest sees them; SYS */
	uint8_t data;	      /* output buffer, also after it was read */
	uint8_t command;      /* waits for its data byte at port 0x60, 0 for none */
	uint8_t outport;      /* RESET and A20 bits */
	uint8_t break_prefix; /* translation: F0 was seen */
	uint8_t answer[ANSWERS],
		answer_aux; /* the controller's; answer_aux marks them as the mouse's */
	uint8_t answers;
	uint8_t irq_level[2];
};

/* Scan codes of set 2 as their set-1 codes; from 0x80 on all but two stand for themselves. */
static const uint8_t set2_to_set1[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static uint8_t *mode(struct i8042 *c)
{
	return &c->ram[0];
}

static void drive_irq(struct i8042 *c, unsigned which, bool level)
{
	if (c->irq_level[which] == level)
		return;
	c->irq_level[which] = level;
	irq_set(which ? &c->irq12 : &c->irq1, level);
}

static void update_irqs(struct i8042 *c)
{
	bool full = c->status & STATUS_OBF, aux = c->status & STATUS_AUX;
	uint8_t m = *mode(c);

	/* A disabled keyboard does not interrupt for the controller's answers. */
	drive_irq(c, 0, full && !aux && m & MODE_KBD_INT && !(m & MODE_KBD_OFF));
	drive_irq(c, 1, full && aux && m & MODE_AUX_INT);
}

/* One byte of the keyboard through the translation. False when it only was a prefix. */
static bool translate(struct i8042 *c, uint8_t in, uint8_t *out)
{
	if (!(*mode(c) & MODE_TRANSLATE)) {
		c->break_prefix = 0;
		*out = in;
		return true;
	}
	if (in == 0xf0) {
		c->break_prefix = 1;
		return false;
	}
	uint8_t code = in < 128 ? set2_to_set1[in] : in == 0x83 ? 0x41 : in == 0x84 ? 0x54 : in;

	/* Codes that stand for themselves (answers, prefixes) have bit 7 set already. */
	*out = (uint8_t)(c->break_prefix ? code | 0x80 : code);
	c->break_prefix = 0;
	return true;
}

static void fill(struct i8042 *c, uint8_t val, bool aux)
{
	c->data = val;
	c->status |= STATUS_OBF;
	c->status = (uint8_t)(aux ? c->status | STATUS_AUX : c->status & ~STATUS_AUX);
}

/* Put the next byte into the output buffer if it is free. */
static void pump(struct i8042 *c)
{
	uint8_t val;

	while (!(c->status & STATUS_OBF)) {
		if (c->answers) {
			val = c->answer[0];
			memmove(c->answer, c->answer + 1, --c->answers);
			fill(c, val, c->answer_aux);
		} else if (!(*mode(c) & MODE_KBD_OFF) && ps2_keyboard_has_data(c->kbd)) {
			if (translate(c, ps2_keyboard_read(c->kbd), &val))
				fill(c, val, false);
		} else if (!(*mode(c) & MODE_AUX_OFF) && ps2_mouse_has_data(c->mouse)) {
			fill(c, ps2_mouse_read(c->mouse), true);
		} else {
			break;
		}
	}
	update_irqs(c);
}

static void on_ready(void *opaque)
{
	pump(opaque);
}

/* The controller answers by itself. */
static void answer(struct i8042 *c, uint8_t val, bool aux)
{
	/* Of two answers for different devices the newer one counts. */
	if (c->answer_aux != aux)
		c->answers = 0;
	c->answer_aux = aux;
	if (c->answers < ANSWERS)
		c->answer[c->answers++] = val;
}

static void write_outport(struct i8042 *c, uint8_t val)
{
	c->outport = val & (OUT_RESET | OUT_A20);
	irq_set(&c->a20, val & OUT_A20);
	if (!(val & OUT_RESET)) {
		/* The line is let go by the reset itself. */
		c->outport |= OUT_RESET;
		irq_pulse(&c->reset_line);
	}
}

static uint8_t read_outport(const struct i8042 *c)
{
	uint8_t v = (uint8_t)(OUT_ONES | c->outport);

	if (c->status & STATUS_OBF)
		v |= c->status & STATUS_AUX ? OUT_AUX_OBF : OUT_KBD_OBF;
	return v;
}

static void set_mode(struct i8042 *c, uint8_t set, uint8_t clear)
{
	*mode(c) = (uint8_t)((*mode(c) | set) & ~clear);
}

static void write_command(struct i8042 *c, uint8_t val)
{
	c->status |= STATUS_CMD;
	c->command = 0;
	if (val >= 0x20 && val < 0x40) {
		answer(c, c->ram[val & 31], false);
		return;
	}
	if (val >= 0xf0) { /* pulse the low output bits for 6 us: only bit 0 is wired */
		if (!(val & OUT_RESET))
			irq_pulse(&c->reset_line);
		return;
	}
	switch (val) {
	case 0xa4: /* is a password set? no */
		answer(c, 0xf1, false);
		break;
	case 0xa7:
		set_mode(c, MODE_AUX_OFF, 0);
		break;
	case 0xa8:
		set_mode(c, 0, MODE_AUX_OFF);
		break;
	case 0xa9: /* tests of the two lines: good */
	case 0xab:
		answer(c, 0x00, false);
		break;
	case 0xaa: /* self test: good */
		c->status |= STATUS_SYS;
		c->answers = 0;
		answer(c, 0x55, false);
		break;
	case 0xad:
		set_mode(c, MODE_KBD_OFF, 0);
		break;
	case 0xae:
		set_mode(c, 0, MODE_KBD_OFF);
		break;
	case 0xc0: /* input port: keyboard not locked, no jumpers */
		answer(c, 0x80, false);
		break;
	case 0xd0:
		answer(c, read_outport(c), false);
		break;
	case 0xdd: /* A20 off and on; not in IBM's, but everywhere */
		write_outport(c, c->outport & (uint8_t)~OUT_A20);
		break;
	case 0xdf:
		write_outport(c, c->outport | OUT_A20);
		break;
	case 0xe0: /* test inputs: both clocks low */
		answer(c, 0x00, false);
		break;
	default:
		/* 60..7f write RAM, d1 the output port, d2 and d3 the output buffer, d4 the mouse.
		 */
		if ((val >= 0x60 && val < 0x80) || (val >= 0xd1 && val <= 0xd4))
			c->command = val;
		break;
	}
}

static void write_ram(struct i8042 *c, unsigned i, uint8_t val)
{
	c->ram[i] = val;
	/* Bit 2 is the status register's SYS bit. */
	if (i == 0)
		c->status = (uint8_t)((c->status & ~STATUS_SYS) | (val & MODE_SYS));
}

static void write_data(struct i8042 *c, uint8_t val)
{
	uint8_t cmd = c->command;

	c->status &= (uint8_t)~STATUS_CMD;
	c->command = 0;
	switch (cmd) {
	case 0: /* sending to the keyboard enables its line */
		set_mode(c, 0, MODE_KBD_OFF);
		ps2_keyboard_write(c->kbd, val);
		break;
	case 0xd1:
		write_outport(c, val);
		break;
	case 0xd2:
		answer(c, val, false);
		break;
	case 0xd3:
		answer(c, val, true);
		break;
	case 0xd4:
		set_mode(c, 0, MODE_AUX_OFF);
		ps2_mouse_write(c->mouse, val);
		break;
	default:
		write_ram(c, cmd & 31, val);
		break;
	}
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *c = dev;
	uint8_t v = c->data;

	(void)off;
	(void)size;
	if (c->status & STATUS_OBF) {
		c->status &= (uint8_t) ~(STATUS_OBF | STATUS_AUX);
		/* The line falls between two bytes: the controllers want an edge. */
		update_irqs(c);
		pump(c);
	}
	return v;
}

static void data_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)off;
	(void)size;
	write_data(dev, (uint8_t)val);
	pump(dev);
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
	const struct i8042 *c = dev;

	(void)off;
	(void)size;
	return c->status | STATUS_UNLOCKED;
}

static void command_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)off;
	(void)size;
	write_command(dev, (uint8_t)val);
	pump(dev);
}

static const struct bus_ops data_ops = {data_read, data_write, 1, 1};
static const struct bus_ops status_ops = {status_read, command_write, 1, 1};

int i8042_map(struct i8042 *c, struct bus *bus)
{
	if (!bus_map_pio(bus, 0x60, 1, &data_ops, c, "i8042 data") ||
	    !bus_map_pio(bus, 0x64, 1, &status_ops, c, "i8042 status"))
		return -ENOMEM;
	return 0;
}

/* As after power-on firmware tests: interrupts on, translation on, A20 open. */
static void i8042_reset(struct device *dev)
{
	struct i8042 *c = (struct i8042 *)dev;

	memset(c->ram, 0, sizeof(c->ram));
	*mode(c) = MODE_KBD_INT | MODE_AUX_INT | MODE_TRANSLATE | MODE_SYS;
	c->status = STATUS_CMD | STATUS_SYS;
	c->data = 0;
	c->command = 0;
	c->break_prefix = 0;
	c->answers = 0;
	c->answer_aux = 0;
	c->outport = OUT_RESET | OUT_A20;
	irq_set(&c->a20, true);
	update_irqs(c);
}

static int i8042_post_load(struct device *dev)
{
	struct i8042 *c = (struct i8042 *)dev;

	if (c->answers > ANSWERS || c->answer_aux > 1 ||
	    c->status & ~(STATUS_OBF | STATUS_SYS | STATUS_CMD | STATUS_AUX))
		return -EINVAL;
	if (c->command && !(c->command >= 0x60 && c->command < 0x80) &&
	    !(c->command >= 0xd1 && c->command <= 0xd4))
		return -EINVAL;
	c->outport &= OUT_RESET | OUT_A20;
	irq_set(&c->a20, c->outport & OUT_A20);
	c->irq_level[0] = c->irq_level[1] = 0;
	irq_set(&c->irq1, false);
	irq_set(&c->irq12, false);
	/* Not pump(): the keyboard and the mouse may not be loaded yet. */
	update_irqs(c);
	return 0;
}

static const struct state_field i8042_fields[] = {
	STATE_BUFFER(struct i8042, ram),    STATE_FIELD(struct i8042, status),
	STATE_FIELD(struct i8042, data),    STATE_FIELD(struct i8042, command),
	STATE_FIELD(struct i8042, outport), STATE_FIELD(struct i8042, break_prefix),
	STATE_BUFFER(struct i8042, answer), STATE_FIELD(struct i8042, answer_aux),
	STATE_FIELD(struct i8042, answers), STATE_END,
};

static const struct device_class i8042_class = {
	.name = "i8042",
	.version = 1,
	.reset = i8042_reset,
	.fields = i8042_fields,
	.post_load = i8042_post_load,
};

struct i8042 *i8042_new(const struct i8042_config *cfg)
{
	struct i8042 *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->dev.cls = &i8042_class;
	c->irq1 = cfg->irq1;
	c->irq12 = cfg->irq12;
	c->a20 = cfg->a20;
	c->reset_line = cfg->reset;
	c->kbd = ps2_keyboard_new(on_ready, c);
	c->mouse = ps2_mouse_new(on_ready, c);
	if (!c->kbd || !c->mouse) {
		i8042_free(c);
		return NULL;
	}
	i8042_reset(&c->dev);
	return c;
}

void i8042_free(struct i8042 *c)
{
	if (!c)
		return;
	ps2_keyboard_free(c->kbd);
	ps2_mouse_free(c->mouse);
	free(c);
}

struct device *i8042_device(struct i8042 *c)
{
	return &c->dev;
}

struct ps2_keyboard *i8042_keyboard(struct i8042 *c)
{
	return c->kbd;
}

struct ps2_mouse *i8042_mouse(struct i8042 *c)
{
	return c->mouse;
}
