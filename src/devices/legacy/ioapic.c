// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O APIC. See ioapic.h.
 * Source: Intel 82093AA data sheet (290566-001) §3; EOI register: Intel ICH data sheets.
 * Threads: with the VM lock held.
 * Saved state: version 1.
 *
 * 1. An edge counts only while its pin is not masked (§3.2.4, interrupt mask).
 * 2. A level request is sent once, sets remote IRR, and is sent again when the line is still
 *    asserted after the EOI of its vector.
 * 3. Remote IRR is set only if a local APIC took the message; until then each event that may have
 *    changed that sends it again, so that a level request is never lost.
 * 4. Making an entry edge-triggered clears remote IRR: how guests acknowledge without EOI register.
 */
#include "devices/legacy/ioapic.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

/* Memory window (§3.1). */
#define IOREGSEL 0x00u
#define IOWIN 0x10u
#define IOEOI 0x40u

/* Registers behind it (§3.2). */
#define REG_ID 0x00u
#define REG_VER 0x01u
#define REG_ARB 0x02u
#define REG_REDIR 0x10u

#define VERSION 0x20u
#define ID_SHIFT 24
#define ID_MASK 0xfu

/* Redirection entry (§3.2.4). */
#define RTE_VECTOR 0xffull
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL (1ull << 11)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE 0xff0000000001afffull

struct ioapic {
	struct device dev;
	struct apic_bus *ab;
	uint8_t reset_id;
	uint8_t id;
	uint8_t index;
	bool rests;	/* the one at work is elsewhere: nothing is sent from here */
	uint32_t lines; /* pins asserted now */
	uint64_t redir[IOAPIC_PINS];
};

static struct apic_msg ioapic_msg(const struct ioapic *io, unsigned n)
{
	uint64_t e = io->redir[n];

	return (struct apic_msg){
		.dest = (uint32_t)(e >> RTE_DEST_SHIFT),
		.logical = e & RTE_LOGICAL,
		.level = e & RTE_LEVEL,
		.mode = (uint8_t)(e >> RTE_MODE_SHIFT & 7),
		.vector = (uint8_t)(e & RTE_VECTOR),
	};
}

static void ioapic_route(struct ioapic *io, unsigned n)
{
	const struct apic_msg msg = ioapic_msg(io, n);

	if (io->rests)
		return;
	apic_bus_route(io->ab, n, &msg);
}

static bool ioapic_send(struct ioapic *io, unsigned n)
{
	const struct apic_msg msg = ioapic_msg(io, n);

	log_trace(LOG_IRQ, "ioapic: pin %u sends vector 0x%02x\n", n, msg.vector);
	return apic_bus_deliver(io->ab, &msg);
}

/* Send the level request of pin n if there is one that nobody serves yet. */
static void ioapic_service(struct ioapic *io, unsigned n)
{
	uint64_t e = io->redir[n];

	if (io->rests || !(e & RTE_LEVEL) || (e & (RTE_MASKED | RTE_REMOTE_IRR)) ||
	    !(io->lines >> n & 1))
		return;
	if (ioapic_send(io, n))
		io->redir[n] |= RTE_REMOTE_IRR;
}

void ioapic_set_pin(void *ioapic, unsigned n, bool level)
{
	struct ioapic *io = ioapic;
	bool was;

	if (n >= IOAPIC_PINS)
		return;
	was = io->lines >> n & 1;
	io->lines = level ? io->lines | 1u << n : io->lines & ~(1u << n);
	if (io->redir[n] & RTE_LEVEL)
		ioapic_service(io, n);
	else if (!io->rests && level && !was && !(io->redir[n] & RTE_MASKED))
		ioapic_send(io, n);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		if (!(io->redir[n] & RTE_REMOTE_IRR) || (io->redir[n] & RTE_VECTOR) != vector)
			continue;
		io->redir[n] &= ~RTE_REMOTE_IRR;
		ioapic_service(io, n);
	}
}

void ioapic_retry(struct ioapic *io)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		ioapic_service(io, n);
}

static uint32_t ioapic_reg_read(const struct ioapic *io)
{
	unsigned n = (io->index - REG_REDIR) / 2;

	switch (io->index) {
	case REG_ID:
	case REG_ARB: /* follows the ID on a system without the serial APIC bus */
		return (uint32_t)io->id << ID_SHIFT;
	case REG_VER:
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	default:
		if (io->index < REG_REDIR || n >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(io->redir[n] >> (io->index & 1 ? 32 : 0));
	}
}

static void ioapic_redir_write(struct ioapic *io, unsigned n, bool high, uint32_t val)
{
	unsigned shift = high ? 32 : 0;
	uint64_t mask = RTE_WRITABLE & ((uint64_t)UINT32_MAX << shift);

	io->redir[n] = (io->redir[n] & ~mask) | ((uint64_t)val << shift & mask);
	if (!(io->redir[n] & RTE_LEVEL))
		io->redir[n] &= ~RTE_REMOTE_IRR;
	ioapic_route(io, n);
	ioapic_service(io, n);
}

static void ioapic_reg_write(struct ioapic *io, uint32_t val)
{
	unsigned n = (io->index - REG_REDIR) / 2;

	if (io->index == REG_ID)
		io->id = (uint8_t)(val >> ID_SHIFT & ID_MASK);
	else if (io->index >= REG_REDIR && n < IOAPIC_PINS)
		ioapic_redir_write(io, n, io->index & 1, val);
}

/* Registers are 32 bits at multiples of 16; narrower reads see their bytes. */
static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	struct ioapic *io = dev;
	unsigned byte = (unsigned)off & 0xf;
	uint32_t val;

	(void)size;
	switch (off & 0xf0) {
	case IOREGSEL:
		val = io->index;
		break;
	case IOWIN:
		val = ioapic_reg_read(io);
		break;
	default:
		val = 0;
	}
	return byte < 4 ? val >> (8 * byte) : 0;
}

static void ioapic_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct ioapic *io = dev;

	(void)size;
	switch (off & 0xff) {
	case IOREGSEL:
		io->index = (uint8_t)val;
		break;
	case IOWIN:
		ioapic_reg_write(io, (uint32_t)val);
		break;
	case IOEOI:
		ioapic_eoi(io, (uint8_t)val);
		break;
	default:
		break;
	}
}

const struct bus_ops ioapic_mmio_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.min_size = 1,
	.max_size = 4,
};

void ioapic_rest(struct ioapic *io)
{
	io->rests = true;
}

void ioapic_get_regs(const struct ioapic *io, struct ioapic_regs *out)
{
	*out = (struct ioapic_regs){.lines = io->lines, .id = io->id, .index = io->index};
	memcpy(out->redir, io->redir, sizeof(out->redir));
}

void ioapic_set_regs(struct ioapic *io, const struct ioapic_regs *in)
{
	io->lines = in->lines & ((1u << IOAPIC_PINS) - 1);
	io->id = in->id & ID_MASK;
	io->index = in->index;
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		io->redir[n] = in->redir[n] & (RTE_WRITABLE | RTE_REMOTE_IRR);
}

bool ioapic_end_unheld(struct ioapic *io, const uint32_t held[8])
{
	bool any = false;

	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		uint8_t v = io->redir[n] & RTE_VECTOR;

		if (!(io->redir[n] & RTE_REMOTE_IRR) || held[v / 32] >> v % 32 & 1)
			continue;
		io->redir[n] &= ~RTE_REMOTE_IRR;
		ioapic_service(io, n);
		any = true;
	}
	return any;
}

static void ioapic_reset(struct device *dev)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);

	io->id = io->reset_id;
	io->index = 0;
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		io->redir[n] = RTE_MASKED;
		ioapic_route(io, n);
	}
	/* Lines belong to those who drive them: they are not touched. */
}

static int ioapic_post_load(struct device *dev)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);

	io->id &= ID_MASK;
	io->lines &= (1u << IOAPIC_PINS) - 1;
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		io->redir[n] &= RTE_WRITABLE | RTE_REMOTE_IRR;
		if (!(io->redir[n] & RTE_LEVEL))
			io->redir[n] &= ~RTE_REMOTE_IRR;
		ioapic_route(io, n);
	}
	return 0;
}

static const struct state_field ioapic_fields[] = {
	STATE_FIELD(struct ioapic, id),
	STATE_FIELD(struct ioapic, index),
	STATE_FIELD(struct ioapic, lines),
	STATE_ARRAY(struct ioapic, redir),
	STATE_END,
};

static const struct device_class ioapic_class = {
	.name = "ioapic",
	.version = 1,
	.reset = ioapic_reset,
	.fields = ioapic_fields,
	.post_load = ioapic_post_load,
};

struct ioapic *ioapic_new(struct apic_bus *ab, uint8_t id)
{
	struct ioapic *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->dev.cls = &ioapic_class;
	list_init(&io->dev.link);
	io->ab = ab;
	io->reset_id = id & ID_MASK;
	ioapic_reset(&io->dev);
	if (!apic_bus_add_ioapic(ab, io)) {
		free(io);
		return NULL;
	}
	return io;
}

void ioapic_free(struct ioapic *io)
{
	if (!io)
		return;
	apic_bus_del_ioapic(io->ab, io);
	free(io);
}

struct device *ioapic_device(struct ioapic *io)
{
	return &io->dev;
}
