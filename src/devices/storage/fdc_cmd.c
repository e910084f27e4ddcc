// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Floppy controller: the table of commands, and those that move no data.
 * Source: 82078 data sheet (290475) §5 (command set), §6.2 (control commands).
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/range.h"
#include "devices/storage/fdc_int.h"

#define VERSION 0x90u /* as the 82077AA, which all drivers know */
#define PART_ID 0x41u
#define TRACKS_MAX 83u

static void one_byte(struct fdc *f, uint8_t val)
{
	f->fifo[0] = val;
	fdc_result(f, 1, false);
}

static void invalid(struct fdc *f)
{
	one_byte(f, ST0_INVALID);
}

/* ---- Heads -------------------------------------------------------------------------------------- */

static void seek_to(struct fdc *f, unsigned track)
{
	struct fdc_drive *d = fdc_current(f);

	if (d->type) {
		d->track = (uint8_t)min_u64(track, TRACKS_MAX);
		/* A step with a medium in it clears the change line. */
		if (d->queue)
			d->changed = 0;
	}
	f->seek_st0 = (uint8_t)(ST0_SEEK_END | (f->cmd[1] & 7));
	f->reset_senses = 0;
	fdc_ready(f);
	fdc_set_irq(f, true);
}

static void recalibrate(struct fdc *f)
{
	f->cmd[1] &= 3;
	seek_to(f, 0);
	/* No drive, no track 0. */
	if (!fdc_current(f)->type)
		f->seek_st0 |= ST0_ABNORMAL | ST0_EQUIPMENT;
}

static void seek(struct fdc *f)
{
	seek_to(f, f->cmd[2]);
}

static void relative_seek(struct fdc *f)
{
	unsigned track = fdc_current(f)->track, n = f->cmd[2];

	if (f->cmd[0] & 0x40)
		seek_to(f, track + n);
	else
		seek_to(f, track > n ? track - n : 0);
}

static void sense_interrupt(struct fdc *f)
{
	uint8_t n = f->reset_senses;

	fdc_set_irq(f, false);
	if (n) {
		f->fifo[0] = (uint8_t)(0xc0 | (4 - n));
		f->reset_senses--;
	} else if (f->seek_st0) {
		f->fifo[0] = f->seek_st0;
		f->seek_st0 = 0;
	} else {
		invalid(f);
		return;
	}
	f->fifo[1] = f->drive[f->fifo[0] & 3].track;
	fdc_result(f, 2, false);
}

static void sense_drive(struct fdc *f)
{
	const struct fdc_drive *d = fdc_current(f);
	uint8_t st3 = (uint8_t)(0x28 | (f->cmd[1] & 7));

	if (d->type && !d->track)
		st3 |= 0x10;
	if (d->read_only)
		st3 |= 0x40;
	one_byte(f, st3);
}

/* The next address field that comes by. */
static void read_id(struct fdc *f)
{
	struct fdc_drive *d = fdc_current(f);

	f->cyl = d->track;
	f->head = f->cmd[1] >> 2 & 1;
	f->sec = 1;
	if (!d->type || !d->queue) {
		fdc_end_transfer(f, ST0_ABNORMAL | ST0_NOT_READY, ST1_NO_ADDRESS, 0);
	} else if (!fdc_rate_fits(f, d) || f->cyl >= d->format.tracks ||
		   f->head >= d->format.heads) {
		fdc_end_transfer(f, ST0_ABNORMAL, ST1_NO_ADDRESS, 0);
	} else {
		d->sector = (uint8_t)(d->sector % d->format.sectors + 1);
		f->sec = d->sector;
		fdc_end_transfer(f, 0, 0, 0);
	}
}

/* ---- Settings ----------------------------------------------------------------------------------- */

static void specify(struct fdc *f)
{
	memcpy(f->specify, f->cmd + 1, 2);
	fdc_ready(f);
}

static void configure(struct fdc *f)
{
	memcpy(f->config, f->cmd + 2, 2);
	fdc_ready(f);
}

static void perpendicular(struct fdc *f)
{
	f->perpendicular = f->cmd[1];
	fdc_ready(f);
}

static void version(struct fdc *f)
{
	one_byte(f, VERSION);
}

static void part_id(struct fdc *f)
{
	one_byte(f, PART_ID);
}

static void lock(struct fdc *f)
{
	f->lock = f->cmd[0] >> 7;
	one_byte(f, (uint8_t)(f->lock << 4));
}

static void power_down(struct fdc *f)
{
	one_byte(f, f->cmd[1]);
}

static void option(struct fdc *f)
{
	fdc_ready(f);
}

static void dump_registers(struct fdc *f)
{
	const uint8_t regs[10] = {
		f->drive[0].track, f->drive[1].track,
		f->drive[2].track, f->drive[3].track,
		f->specify[0],	   f->specify[1],
		f->cmd[6],	   (uint8_t)(f->lock << 7 | (f->perpendicular & 0x7f)),
		f->config[0],	   f->config[1],
	};

	memcpy(f->fifo, regs, sizeof(regs));
	fdc_result(f, sizeof(regs), false);
}

/* ---- The table ---------------------------------------------------------------------------------- */

static const struct {
	uint8_t op, mask; /* which bits of the first byte tell it */
	uint8_t len;
	void (*fn)(struct fdc *f);
} commands[] = {
	{0x06, 0x1f, 9, fdc_read_data},
	{0x0c, 0x1f, 9, fdc_read_data}, /* of deleted data: none is ever marked so */
	{0x02, 0x9f, 9, fdc_read_data}, /* READ TRACK */
	{0x05, 0x3f, 9, fdc_write_data},
	{0x09, 0x3f, 9, fdc_write_data},
	{0x16, 0x1f, 9, fdc_verify},
	{0x0d, 0xbf, 6, fdc_format_track},
	{0x0a, 0xbf, 2, read_id},
	{0x07, 0xff, 2, recalibrate},
	{0x08, 0xff, 1, sense_interrupt},
	{0x03, 0xff, 3, specify},
	{0x04, 0xff, 2, sense_drive},
	{0x0f, 0xff, 3, seek},
	{0x8f, 0xbf, 3, relative_seek},
	{0x13, 0xff, 4, configure},
	{0x0e, 0xff, 1, dump_registers},
	{0x10, 0xff, 1, version},
	{0x12, 0xff, 2, perpendicular},
	{0x14, 0x7f, 1, lock},
	{0x18, 0xff, 1, part_id},
	{0x17, 0xff, 2, power_down},
	{0x33, 0xff, 2, option},
};

static unsigned find(uint8_t first)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(commands) && (first & commands[i].mask) != commands[i].op)
		i++;
	return i;
}

unsigned fdc_command_len(uint8_t first)
{
	unsigned i = find(first);

	return i < ARRAY_SIZE(commands) ? commands[i].len : 1;
}

void fdc_execute(struct fdc *f)
{
	unsigned i = find(f->cmd[0]);

	f->phase = FDC_EXECUTE;
	f->step = STEP_NONE;
	if (i == ARRAY_SIZE(commands))
		invalid(f);
	else
		commands[i].fn(f);
}
