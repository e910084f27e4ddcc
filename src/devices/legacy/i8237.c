// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two 8237A DMA controllers, page registers and the POST port.
 * Source: Intel 8237A data sheet (231466); 82371SB (PIIX3) data sheet (290550) §2.5.1.
 * Register table: docs/devices/i8237.md. Saved state: version 1.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/i8237.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bus/shortcut.h"

#define CHANNELS 4u

#define COMMAND_DISABLE 0x04u
#define MODE_DECREMENT 0x20u
#define MODE_AUTOINIT 0x10u
#define MODE_TRANSFER 0x0cu
#define TRANSFER_VERIFY 0x00u
#define TRANSFER_TO_MEMORY 0x04u
#define TRANSFER_FROM_MEMORY 0x08u
#define PIECE 256u /* bytes copied at a time */

/* Registers 8..15 of a controller. */
enum {
	REG_STATUS = 8, /* r; w: command */
	REG_REQUEST,
	REG_MASK_BIT,
	REG_MODE,
	REG_CLEAR_FF,
	REG_TEMPORARY, /* r; w: master clear */
	REG_CLEAR_MASK,
	REG_MASK_ALL,
};

struct chip {
	uint16_t base_addr[CHANNELS], base_count[CHANNELS];
	uint16_t addr[CHANNELS], count[CHANNELS];
	uint8_t mode[CHANNELS];
	uint8_t command, mask, request, status;
	uint8_t high_byte; /* the flip-flop */
};

struct i8237_pair {
	struct device dev;
	struct chip chip[2];
	uint8_t page[16]; /* ports 0x80..0x8f, 0x80 being the POST code */
	/* Not saved. */
	struct mem *mem;
	struct bus_shortcut post; /* port 0x80, which systems write to let time pass */
	struct {
		void (*ready)(void *opaque);
		void *opaque;
	} listener[2 * CHANNELS];
};

/* Page register of each channel: its port less 0x80. */
static const uint8_t page_of[2 * CHANNELS] = {7, 3, 1, 2, 15, 11, 9, 10};

static void master_clear(struct chip *c)
{
	c->command = 0;
	c->status = 0;
	c->request = 0;
	c->high_byte = 0;
	c->mask = 0x0f;
}

static void write_half(uint16_t *reg, bool high, uint8_t val)
{
	*reg = (uint16_t)(high ? (*reg & 0x00ff) | val << 8 : (*reg & 0xff00) | val);
}

/* Registers 0..7: address and count of each channel, low byte first. */
static void write_channel(struct chip *c, unsigned reg, uint8_t val)
{
	unsigned ch = reg >> 1;
	bool high = c->high_byte;

	if (reg & 1) {
		write_half(&c->base_count[ch], high, val);
		c->count[ch] = c->base_count[ch];
	} else {
		write_half(&c->base_addr[ch], high, val);
		c->addr[ch] = c->base_addr[ch];
	}
	c->high_byte = !high;
}

static void chip_write(struct chip *c, unsigned reg, uint8_t val)
{
	uint8_t bit = (uint8_t)(1u << (val & 3));

	if (reg < REG_STATUS) {
		write_channel(c, reg, val);
		return;
	}
	switch (reg) {
	case REG_STATUS:
		c->command = val;
		break;
	case REG_REQUEST:
		c->request = (uint8_t)(val & 4 ? c->request | bit : c->request & ~bit);
		break;
	case REG_MASK_BIT:
		c->mask = (uint8_t)(val & 4 ? c->mask | bit : c->mask & ~bit);
		break;
	case REG_MODE:
		c->mode[val & 3] = val;
		break;
	case REG_CLEAR_FF:
		c->high_byte = 0;
		break;
	case REG_TEMPORARY:
		master_clear(c);
		break;
	case REG_CLEAR_MASK:
		c->mask = 0;
		break;
	default:
		c->mask = val & 0x0f;
		break;
	}
}

static uint8_t chip_read(struct chip *c, unsigned reg)
{
	if (reg < REG_STATUS) {
		uint16_t v = reg & 1 ? c->count[reg >> 1] : c->addr[reg >> 1];
		bool high = c->high_byte;

		c->high_byte = !high;
		return (uint8_t)(high ? v >> 8 : v);
	}
	if (reg == REG_STATUS) {
		/* Requests in the high half; reading clears the terminal counts in the low. */
		uint8_t v = (uint8_t)(c->status | c->request << 4);

		c->status = 0;
		return v;
	}
	/* PIIX3 gives the masks here; the temporary register of no transfer is 0. */
	return reg == REG_MASK_ALL ? c->mask | 0xf0 : 0;
}

/* ---- Transfers ---------------------------------------------------------------------------------- */

static bool channel_ready(const struct chip *c, unsigned ch)
{
	return !(c->command & COMMAND_DISABLE) && !(c->mask & 1u << ch);
}

/* The count has run out: reload, or mask. */
static void terminal_count(struct chip *c, unsigned ch)
{
	c->status |= (uint8_t)(1u << ch);
	c->request &= (uint8_t) ~(1u << ch);
	if (c->mode[ch] & MODE_AUTOINIT) {
		c->addr[ch] = c->base_addr[ch];
		c->count[ch] = c->base_count[ch];
	} else {
		c->mask |= (uint8_t)(1u << ch);
	}
}

/* `n` bytes at the channel's address, which wraps within its page of 64 K units. */
static void move_units(struct i8237_pair *p, unsigned channel, uint8_t *buf, uint32_t units,
		       bool to_memory)
{
	struct chip *c = &p->chip[channel / CHANNELS];
	unsigned ch = channel % CHANNELS, shift = channel / CHANNELS;
	uint32_t page = (uint32_t)p->page[page_of[channel]] << 16, size = 1u << shift;
	bool down = c->mode[ch] & MODE_DECREMENT;

	if (shift)
		page &= ~0x1ffffu;
	while (units) {
		uint32_t n = 1;
		gpa_t at = page + ((uint32_t)c->addr[ch] << shift);
		int r = 0;

		/* Downwards unit by unit; upwards up to the end of the page. */
		if (!down)
			n = (uint32_t)min_u64(min_u64(units, 0x10000u - c->addr[ch]), PIECE);
		if ((c->mode[ch] & MODE_TRANSFER) == TRANSFER_VERIFY)
			r = 0;
		else if (to_memory)
			r = mem_write(p->mem, at, buf, n * size);
		else
			r = mem_read(p->mem, at, buf, n * size);
		if (r && !to_memory)
			memset(buf, 0xff, n * size); /* nobody drives the bus */
		buf += n * size;
		c->addr[ch] = (uint16_t)(down ? c->addr[ch] - n : c->addr[ch] + n);
		units -= n;
	}
}

uint32_t i8237_transfer(struct i8237_pair *p, unsigned channel, uint8_t *buf, uint32_t len,
			bool to_memory, bool *tc)
{
	struct chip *c = &p->chip[channel / CHANNELS];
	unsigned ch = channel % CHANNELS, shift = channel / CHANNELS;
	uint8_t type = c->mode[ch] & MODE_TRANSFER;
	uint32_t units;

	*tc = false;
	if (!p->mem || !channel_ready(c, ch) ||
	    type == (to_memory ? TRANSFER_FROM_MEMORY : TRANSFER_TO_MEMORY) ||
	    type == MODE_TRANSFER)
		return 0;
	units = (uint32_t)min_u64(len >> shift, c->count[ch] + 1u);
	move_units(p, channel, buf, units, to_memory);
	*tc = units == c->count[ch] + 1u;
	c->count[ch] = (uint16_t)(c->count[ch] - units);
	if (*tc)
		terminal_count(c, ch);
	return units << shift;
}

void i8237_set_listener(struct i8237_pair *p, unsigned channel, void (*ready)(void *opaque),
			void *opaque)
{
	p->listener[channel].ready = ready;
	p->listener[channel].opaque = opaque;
}

/* After a register write: whoever waits for a channel looks again. */
static void tell_listeners(struct i8237_pair *p, unsigned chip)
{
	for (unsigned ch = 0; ch < CHANNELS; ch++) {
		unsigned n = chip * CHANNELS + ch;

		if (p->listener[n].ready && channel_ready(&p->chip[chip], ch))
			p->listener[n].ready(p->listener[n].opaque);
	}
}

static uint64_t first_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(&((struct i8237_pair *)dev)->chip[0], (unsigned)off & 15);
}

static void first_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	chip_write(&((struct i8237_pair *)dev)->chip[0], (unsigned)off & 15, (uint8_t)val);
	if (off >= REG_STATUS)
		tell_listeners(dev, 0);
}

/* The 16-bit controller has its registers at even ports. */
static uint64_t second_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(&((struct i8237_pair *)dev)->chip[1], (unsigned)off >> 1 & 15);
}

static void second_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	chip_write(&((struct i8237_pair *)dev)->chip[1], (unsigned)off >> 1 & 15, (uint8_t)val);
	if (off >> 1 >= REG_STATUS)
		tell_listeners(dev, 1);
}

static uint64_t page_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return ((struct i8237_pair *)dev)->page[off & 15];
}

static void page_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	((struct i8237_pair *)dev)->page[off & 15] = (uint8_t)val;
}

static const struct bus_ops first_ops = {first_read, first_write, 1, 1};
static const struct bus_ops second_ops = {second_read, second_write, 1, 1};
static const struct bus_ops page_ops = {page_read, page_write, 1, 1};

int i8237_map(struct i8237_pair *p, struct bus *bus)
{
	struct bus_region *pages = bus_map_pio(bus, 0x80, 16, &page_ops, p, "dma pages");

	if (!pages || !bus_map_pio(bus, 0x00, 16, &first_ops, p, "i8237") ||
	    !bus_map_pio(bus, 0xc0, 32, &second_ops, p, "i8237 16-bit"))
		return -ENOMEM;
	bus_shortcut_init(&p->post, pages, BUS_SHORTCUT_LATE, 0, 1);
	bus_shortcut_arm(&p->post, true);
	return 0;
}

static void i8237_reset(struct device *dev)
{
	struct i8237_pair *p = (struct i8237_pair *)dev;

	memset(p->chip, 0, sizeof(p->chip));
	memset(p->page, 0, sizeof(p->page));
	master_clear(&p->chip[0]);
	master_clear(&p->chip[1]);
}

#define CHIP_FIELDS(i)                                              \
	STATE_ARRAY(struct i8237_pair, chip[i].base_addr),          \
		STATE_ARRAY(struct i8237_pair, chip[i].base_count), \
		STATE_ARRAY(struct i8237_pair, chip[i].addr),       \
		STATE_ARRAY(struct i8237_pair, chip[i].count),      \
		STATE_BUFFER(struct i8237_pair, chip[i].mode),      \
		STATE_FIELD(struct i8237_pair, chip[i].command),    \
		STATE_FIELD(struct i8237_pair, chip[i].mask),       \
		STATE_FIELD(struct i8237_pair, chip[i].request),    \
		STATE_FIELD(struct i8237_pair, chip[i].status),     \
		STATE_FIELD(struct i8237_pair, chip[i].high_byte)

static const struct state_field i8237_fields[] = {
	CHIP_FIELDS(0),
	CHIP_FIELDS(1),
	STATE_BUFFER(struct i8237_pair, page),
	STATE_END,
};

static const struct device_class i8237_class = {
	.name = "i8237",
	.version = 1,
	.reset = i8237_reset,
	.fields = i8237_fields,
};

struct i8237_pair *i8237_new(struct mem *mem)
{
	struct i8237_pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dev.cls = &i8237_class;
	p->mem = mem;
	i8237_reset(&p->dev);
	return p;
}

void i8237_free(struct i8237_pair *p)
{
	if (p)
		bus_shortcut_arm(&p->post, false);
	free(p);
}

struct device *i8237_device(struct i8237_pair *p)
{
	return &p->dev;
}
