// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NOR flash with the Intel command set. See pflash.h.
 * Source: Intel 28F640J3 data sheet, table of commands and status register; JESD68.01 for the query
 * table. As QEMU's and other than the chip: programming sets bits as well as clearing them, and a
 * cleared status register is 0 (by which OVMF tells flash from RAM and ROM); it is ready (SR.7) after
 * the next operation.
 * Threads: with the VM lock held. Saved state: version 1, the array is saved as memory.
 */
#include "devices/legacy/pflash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

/* Commands. */
#define CMD_ARRAY_OLD 0x00u
#define CMD_PROGRAM_OLD 0x10u
#define CMD_ERASE 0x20u
#define CMD_PROGRAM 0x40u
#define CMD_CLEAR_STATUS 0x50u
#define CMD_LOCK 0x60u
#define CMD_STATUS 0x70u
#define CMD_ID 0x90u
#define CMD_QUERY 0x98u
#define CMD_CONFIRM 0xd0u
#define CMD_BUFFER 0xe8u
#define CMD_ARRAY 0xffu
#define LOCK_SET 0x01u

/* Status register. */
#define SR_READY 0x80u
#define SR_ERASE_ERROR 0x20u
#define SR_PROGRAM_ERROR 0x10u
#define SR_PROTECTED 0x02u
#define SR_SEQUENCE_ERROR (SR_ERASE_ERROR | SR_PROGRAM_ERROR)

#define BUFFER_BITS 8u
#define BUFFER_BYTES (1u << BUFFER_BITS)
#define ID_MAKER 0x89u
#define ID_DEVICE 0x18u
#define QUERY_BYTES 0x3fu

/* What the next write means. */
enum cycle {
	CYCLE_COMMAND,
	CYCLE_SECOND,  /* of a command of two */
	CYCLE_DATA,    /* into the buffer */
	CYCLE_CONFIRM, /* the buffer is full: write it? */
	CYCLES,
};

struct pflash {
	struct device dev;
	struct pflash_config cfg;
	uint8_t query[QUERY_BYTES];
	uint8_t cmd, status, cycle;
	uint32_t buffer_at;   /* where the buffer goes, on a buffer's boundary */
	uint32_t buffer_left; /* bytes still to come */
	uint8_t buffer[BUFFER_BYTES];
	uint8_t buffer_has[BUFFER_BYTES]; /* 1: this byte was written */
};

/* ---- The array ---------------------------------------------------------------------------------- */

static void read_array(struct pflash *f)
{
	f->cmd = CMD_ARRAY;
	f->cycle = CYCLE_COMMAND;
	f->cfg.read_mode(f->cfg.opaque, true);
}

/* Reads are of registers from now on. */
static void leave_array(struct pflash *f, uint8_t cmd)
{
	f->cmd = cmd;
	f->cfg.read_mode(f->cfg.opaque, false);
}

/* The end of an operation: reads show the status. */
static void finish(struct pflash *f, uint8_t error)
{
	f->status = (uint8_t)(f->status | SR_READY | error);
	f->cycle = CYCLE_COMMAND;
	f->cmd = CMD_STATUS;
}

static void program(struct pflash *f, uint32_t off, uint8_t val)
{
	if (f->cfg.read_only) {
		finish(f, SR_PROGRAM_ERROR | SR_PROTECTED);
		return;
	}
	f->cfg.bytes[off] = val;
	f->cfg.changed(f->cfg.opaque, off, 1);
	finish(f, 0);
}

static void erase(struct pflash *f, uint32_t off)
{
	uint32_t start = (uint32_t)align_down(off, PFLASH_SECTOR);

	if (f->cfg.read_only) {
		finish(f, SR_ERASE_ERROR | SR_PROTECTED);
		return;
	}
	memset(f->cfg.bytes + start, 0xff, PFLASH_SECTOR);
	f->cfg.changed(f->cfg.opaque, start, PFLASH_SECTOR);
	finish(f, 0);
}

static void program_buffer(struct pflash *f)
{
	if (f->cfg.read_only) {
		finish(f, SR_PROGRAM_ERROR | SR_PROTECTED);
		return;
	}
	for (uint32_t i = 0; i < BUFFER_BYTES; i++) {
		if (f->buffer_has[i])
			f->cfg.bytes[f->buffer_at + i] = f->buffer[i];
	}
	f->cfg.changed(f->cfg.opaque, f->buffer_at, BUFFER_BYTES);
	finish(f, 0);
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static void first_cycle(struct pflash *f, uint8_t val)
{
	switch (val) {
	case CMD_PROGRAM_OLD:
	case CMD_PROGRAM:
	case CMD_ERASE:
	case CMD_LOCK:
		leave_array(f, val);
		f->cycle = CYCLE_SECOND;
		break;
	case CMD_BUFFER:
		leave_array(f, val);
		f->status |= SR_READY; /* the buffer is free */
		f->cycle = CYCLE_SECOND;
		break;
	case CMD_STATUS:
	case CMD_ID:
	case CMD_QUERY:
		leave_array(f, val);
		break;
	case CMD_CLEAR_STATUS:
		f->status = 0;
		read_array(f);
		break;
	case CMD_CONFIRM: /* resume, of nothing */
		break;
	case CMD_ARRAY_OLD:
	case CMD_ARRAY:
		read_array(f);
		break;
	default:
		log_trace(LOG_GUEST_ERR, "pflash: unknown command %#x\n", val);
		read_array(f);
		break;
	}
}

static void second_cycle(struct pflash *f, uint32_t off, uint8_t val)
{
	switch (f->cmd) {
	case CMD_PROGRAM_OLD:
	case CMD_PROGRAM:
		program(f, off, val);
		break;
	case CMD_ERASE:
		if (val == CMD_CONFIRM)
			erase(f, off);
		else
			finish(f, SR_SEQUENCE_ERROR);
		break;
	case CMD_BUFFER:
		/* The count, less one. */
		f->buffer_left = val + 1u;
		f->buffer_at = UINT32_MAX;
		memset(f->buffer_has, 0, sizeof(f->buffer_has));
		f->cycle = CYCLE_DATA;
		break;
	default: /* CMD_LOCK: lock bits are there, and mean nothing */
		finish(f, val == LOCK_SET || val == CMD_CONFIRM ? 0 : SR_SEQUENCE_ERROR);
		break;
	}
}

/* All bytes of a buffer lie in the row of the first one. */
static void data_cycle(struct pflash *f, uint32_t off, uint8_t val)
{
	if (f->buffer_at == UINT32_MAX)
		f->buffer_at = (uint32_t)align_down(off, BUFFER_BYTES);
	if (off - f->buffer_at >= BUFFER_BYTES) {
		finish(f, SR_SEQUENCE_ERROR);
		return;
	}
	f->buffer[off - f->buffer_at] = val;
	f->buffer_has[off - f->buffer_at] = 1;
	if (!--f->buffer_left)
		f->cycle = CYCLE_CONFIRM;
}

static void flash_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct pflash *f = opaque;
	uint8_t byte = (uint8_t)val;

	(void)size;
	if (off >= f->cfg.len)
		return;
	switch ((enum cycle)f->cycle) {
	case CYCLE_SECOND:
		second_cycle(f, (uint32_t)off, byte);
		break;
	case CYCLE_DATA:
		data_cycle(f, (uint32_t)off, byte);
		break;
	case CYCLE_CONFIRM:
		if (byte == CMD_CONFIRM)
			program_buffer(f);
		else
			finish(f, SR_SEQUENCE_ERROR);
		break;
	default:
		first_cycle(f, byte);
		break;
	}
}

static uint64_t flash_read(void *opaque, uint64_t off, unsigned size)
{
	const struct pflash *f = opaque;

	(void)size;
	switch (f->cmd) {
	case CMD_ARRAY:
		return off < f->cfg.len ? f->cfg.bytes[off] : 0xff;
	case CMD_ID:
		return (off & 0xff) == 0 ? ID_MAKER : (off & 0xff) == 1 ? ID_DEVICE : 0;
	case CMD_QUERY:
		return off < QUERY_BYTES ? f->query[off] : 0;
	default:
		return f->status;
	}
}

const struct bus_ops pflash_ops = {flash_read, flash_write, 1, 1};

/* JESD68.01 §2: 8 bits wide, so that byte n of the table is at address n. */
static void fill_query(struct pflash *f)
{
	uint32_t sectors = f->cfg.len / PFLASH_SECTOR;
	uint8_t *q = f->query;

	memcpy(q + 0x10, "QRY", 3);
	q[0x13] = 1;					     /* command set: Intel */
	q[0x15] = 0x31;					     /* its own table */
	q[0x1b] = 0x45, q[0x1c] = 0x55;			     /* 4.5 to 5.5 V */
	q[0x1f] = 7;					     /* 2^7 us a byte, */
	q[0x20] = 7;					     /* the same a buffer, */
	q[0x21] = 10;					     /* 2^10 ms an erase; at most */
	q[0x23] = q[0x24] = q[0x25] = 4;		     /* 2^4 times that */
	q[0x27] = (uint8_t)(31 - __builtin_clz(f->cfg.len)); /* 2^n bytes */
	if (f->cfg.len & (f->cfg.len - 1))
		q[0x27]++;
	q[0x2a] = BUFFER_BITS;
	q[0x2c] = 1; /* one region of sectors: */
	q[0x2d] = (uint8_t)(sectors - 1);
	q[0x2e] = (uint8_t)((sectors - 1) >> 8);
	q[0x2f] = (uint8_t)(PFLASH_SECTOR >> 8);
	q[0x30] = (uint8_t)(PFLASH_SECTOR >> 16);
	memcpy(q + 0x31, "PRI10", 5); /* version 1.0, no features */
}

/* ---- Device ------------------------------------------------------------------------------------- */

static void pflash_reset(struct device *dev)
{
	struct pflash *f = (struct pflash *)dev;

	f->status = 0;
	f->buffer_left = 0;
	read_array(f);
}

static int pflash_post_load(struct device *dev)
{
	struct pflash *f = (struct pflash *)dev;

	if (f->cycle >= CYCLES || f->buffer_left > BUFFER_BYTES ||
	    (f->cycle == CYCLE_DATA && !f->buffer_left))
		return -EINVAL;
	if (f->buffer_at != UINT32_MAX &&
	    (f->buffer_at % BUFFER_BYTES || !range_ok(f->buffer_at, BUFFER_BYTES, f->cfg.len)))
		return -EINVAL;
	if (f->cycle == CYCLE_CONFIRM && f->buffer_at == UINT32_MAX)
		return -EINVAL;
	f->cfg.read_mode(f->cfg.opaque, f->cmd == CMD_ARRAY);
	return 0;
}

static const struct state_field pflash_fields[] = {
	STATE_FIELD(struct pflash, cmd),	 STATE_FIELD(struct pflash, status),
	STATE_FIELD(struct pflash, cycle),	 STATE_FIELD(struct pflash, buffer_at),
	STATE_FIELD(struct pflash, buffer_left), STATE_BUFFER(struct pflash, buffer),
	STATE_BUFFER(struct pflash, buffer_has), STATE_END,
};

static const struct device_class pflash_class = {
	.name = "pflash",
	.version = 1,
	.reset = pflash_reset,
	.fields = pflash_fields,
	.post_load = pflash_post_load,
};

struct pflash *pflash_new(const struct pflash_config *cfg)
{
	struct pflash *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->dev.cls = &pflash_class;
	list_init(&f->dev.link);
	f->cfg = *cfg;
	f->cmd = CMD_ARRAY;
	f->buffer_at = UINT32_MAX;
	fill_query(f);
	return f;
}

void pflash_free(struct pflash *f)
{
	free(f);
}

struct device *pflash_device(struct pflash *f)
{
	return &f->dev;
}
