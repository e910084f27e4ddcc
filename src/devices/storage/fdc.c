// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Floppy controller: registers, phases, media, saved state.
 * Source: 82078 data sheet (290475) §2 (registers), §3 (reset), §4 (phases). Register table:
 * docs/devices/fdc.md. Saved state: version 1; a request under way is made again.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/storage/fdc_int.h"

enum {
	REG_SRA,
	REG_SRB,
	REG_DOR,
	REG_TDR,
	REG_MSR, /* w: DSR */
	REG_FIFO,
	REG_DIR = 7, /* w: CCR */
};

#define MSR_RQM 0x80u
#define MSR_TO_HOST 0x40u
#define MSR_NO_DMA 0x20u
#define MSR_BUSY 0x10u
#define DSR_RESET 0x80u
#define DIR_CHANGED 0x80u

/* What images are, by their size. */
static const struct fdc_format formats[] = {
	{163840, 40, 1, 8, FDC_RATE_250K, FDC_TYPE_360K},
	{184320, 40, 1, 9, FDC_RATE_250K, FDC_TYPE_360K},
	{327680, 40, 2, 8, FDC_RATE_250K, FDC_TYPE_360K},
	{368640, 40, 2, 9, FDC_RATE_250K, FDC_TYPE_360K},
	{737280, 80, 2, 9, FDC_RATE_250K, FDC_TYPE_720K},
	{1228800, 80, 2, 15, FDC_RATE_500K, FDC_TYPE_1M2},
	{1474560, 80, 2, 18, FDC_RATE_500K, FDC_TYPE_1M44},
	{1720320, 80, 2, 21, FDC_RATE_500K, FDC_TYPE_1M44},
	{2949120, 80, 2, 36, FDC_RATE_1M, FDC_TYPE_2M88},
};
#define FORMAT_1M44 6u

/* ---- Phases ------------------------------------------------------------------------------------- */

void fdc_set_irq(struct fdc *f, bool on)
{
	on = on && f->dor & DOR_DMA;
	if (f->irq == on)
		return;
	f->irq = on;
	irq_set(&f->cfg.irq, on);
}

struct fdc_drive *fdc_current(struct fdc *f)
{
	return &f->drive[f->cmd[1] & 3];
}

void fdc_ready(struct fdc *f)
{
	f->phase = FDC_COMMAND;
	f->step = STEP_NONE;
	f->fifo_pos = f->fifo_len = 0;
}

void fdc_result(struct fdc *f, unsigned n, bool irq)
{
	f->phase = FDC_RESULT;
	f->fifo_pos = 0;
	f->fifo_len = (uint8_t)n;
	if (irq) {
		f->reset_senses = 0;
		fdc_set_irq(f, true);
	}
}

static bool moves_bytes(const struct fdc *f)
{
	return f->phase == FDC_EXECUTE && (f->step == STEP_TO_HOST || f->step == STEP_FROM_HOST);
}

static bool by_fifo(const struct fdc *f)
{
	return f->specify[1] & SPECIFY_NO_DMA || !(f->dor & DOR_DMA);
}

static uint8_t read_fifo(struct fdc *f)
{
	uint8_t v = 0;

	if (f->phase == FDC_RESULT) {
		fdc_set_irq(f, false);
		v = f->fifo[f->fifo_pos++];
		if (f->fifo_pos >= f->fifo_len)
			fdc_ready(f);
	} else if (moves_bytes(f) && f->step == STEP_TO_HOST && by_fifo(f)) {
		fdc_set_irq(f, false);
		v = f->buf[f->pos++ % FDC_SECTOR];
		fdc_pump(f);
	}
	return v;
}

static void write_fifo(struct fdc *f, uint8_t val)
{
	if (moves_bytes(f) && f->step == STEP_FROM_HOST && by_fifo(f)) {
		fdc_set_irq(f, false);
		f->buf[f->pos++ % FDC_SECTOR] = val;
		fdc_pump(f);
		return;
	}
	if (f->phase != FDC_COMMAND || !(f->dor & DOR_RUN))
		return;
	if (!f->fifo_pos)
		f->fifo_len = (uint8_t)fdc_command_len(val);
	f->fifo[f->fifo_pos++] = val;
	if (f->fifo_pos < f->fifo_len)
		return;
	memset(f->cmd, 0, sizeof(f->cmd));
	memcpy(f->cmd, f->fifo, f->fifo_len);
	fdc_execute(f);
}

static uint8_t read_msr(const struct fdc *f)
{
	if (!(f->dor & DOR_RUN))
		return 0;
	switch (f->phase) {
	case FDC_COMMAND:
		return MSR_RQM | (f->fifo_pos ? MSR_BUSY : 0);
	case FDC_RESULT:
		return MSR_RQM | MSR_TO_HOST | MSR_BUSY;
	default:
		break;
	}
	if (!moves_bytes(f) || !by_fifo(f))
		return MSR_BUSY;
	return (uint8_t)(MSR_RQM | MSR_BUSY | (f->specify[1] & SPECIFY_NO_DMA ? MSR_NO_DMA : 0) |
			 (f->step == STEP_TO_HOST ? MSR_TO_HOST : 0));
}

/* ---- Reset -------------------------------------------------------------------------------------- */

/* Commands are given up; settings go unless they are locked (§3.1). */
static void soft_reset(struct fdc *f)
{
	fdc_set_irq(f, false);
	fdc_ready(f);
	f->waiting = false;
	f->stale = f->busy;
	f->seek_st0 = 0;
	f->perpendicular &= 0x7c;
	if (!f->lock)
		f->config[0] = f->config[1] = 0;
}

/* The end of a reset is told by an interrupt, for each of four drives. */
static void leave_reset(struct fdc *f)
{
	if (f->config[0] & CONFIG_NO_POLL)
		return;
	f->reset_senses = 4;
	fdc_set_irq(f, true);
}

static void write_dor(struct fdc *f, uint8_t val)
{
	uint8_t old = f->dor;

	f->dor = val;
	if (old & DOR_RUN && !(val & DOR_RUN))
		soft_reset(f);
	if (!(old & DOR_RUN) && val & DOR_RUN)
		leave_reset(f);
	if (!(val & DOR_DMA))
		fdc_set_irq(f, false);
	fdc_pump(f);
}

static void write_dsr(struct fdc *f, uint8_t val)
{
	f->rate = val & 3;
	if (val & DSR_RESET && f->dor & DOR_RUN) {
		soft_reset(f);
		leave_reset(f);
	}
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static uint8_t read_dir(const struct fdc *f)
{
	unsigned n = f->dor & DOR_DRIVE;
	bool motor = f->dor & 0x10u << n;

	return n < FDC_DRIVES && motor && (f->drive[n].changed || !f->drive[n].queue) &&
			       f->drive[n].type
		       ? DIR_CHANGED
		       : 0;
}

static uint64_t fdc_read(void *dev, uint64_t off, unsigned size)
{
	struct fdc *f = dev;

	(void)size;
	switch (off) {
	case REG_SRA:
		return f->irq ? 0x80 : 0;
	case REG_SRB:
		return 0xc0 | (f->dor & DOR_DRIVE ? 0x20u : 0) | (f->dor >> 4 & 3u);
	case REG_DOR:
		return f->dor;
	case REG_TDR:
		return f->tdr;
	case REG_MSR:
		return read_msr(f);
	case REG_FIFO:
		return read_fifo(f);
	default:
		return 0xff;
	}
}

static void fdc_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct fdc *f = dev;

	(void)size;
	switch (off) {
	case REG_DOR:
		write_dor(f, (uint8_t)val);
		break;
	case REG_TDR:
		f->tdr = val & 3;
		break;
	case REG_MSR:
		write_dsr(f, (uint8_t)val);
		break;
	case REG_FIFO:
		write_fifo(f, (uint8_t)val);
		break;
	default:
		break;
	}
}

/* The eighth port, next to the hard disk's. */
static uint64_t dir_read(void *dev, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return read_dir(dev);
}

static void ccr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)off;
	(void)size;
	((struct fdc *)dev)->rate = val & 3;
}

static const struct bus_ops fdc_ops = {fdc_read, fdc_write, 1, 1};
static const struct bus_ops dir_ops = {dir_read, ccr_write, 1, 1};

int fdc_map(struct fdc *f, struct bus *bus, uint16_t base)
{
	if (!bus_map_pio(bus, base, 6, &fdc_ops, f, "fdc") ||
	    !bus_map_pio(bus, base + REG_DIR, 1, &dir_ops, f, "fdc dir"))
		return -ENOMEM;
	return 0;
}

/* ---- Reset and saved state ----------------------------------------------------------------------- */

static void fdc_reset(struct device *dev)
{
	struct fdc *f = (struct fdc *)dev;

	fdc_quiesce(f);
	f->lock = 0;
	soft_reset(f);
	f->dor = f->tdr = 0;
	f->rate = FDC_RATE_250K;
	f->reset_senses = 0;
	f->perpendicular = 0;
	f->last = f->formatting = 0;
	f->pos = 0;
	f->cyl = f->head = f->sec = 0;
	memset(f->specify, 0, sizeof(f->specify));
	memset(f->fifo, 0, sizeof(f->fifo));
	memset(f->cmd, 0, sizeof(f->cmd));
	memset(f->buf, 0, sizeof(f->buf));
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		f->drive[i].track = f->drive[i].sector = 0;
		f->drive[i].changed = 1;
	}
	irq_set(&f->cfg.irq, false);
	f->irq = 0;
}

static bool state_ok(const struct fdc *f)
{
	if (f->phase >= FDC_PHASES || f->step >= STEP_STEPS || f->irq > 1 || f->rate > 3 ||
	    f->reset_senses > 4 || f->lock > 1 || f->last > 1 || f->pos >= FDC_SECTOR)
		return false;
	if ((f->step != STEP_NONE) != (f->phase == FDC_EXECUTE))
		return false;
	if (f->phase == FDC_EXECUTE && fdc_command_len(f->cmd[0]) < 6)
		return false;
	if (f->phase == FDC_EXECUTE && (f->cmd[0] & 0x1f) == 0x0d &&
	    (!f->formatting || f->step == STEP_TO_HOST || f->pos >= 4))
		return false;
	if (f->fifo_len > FDC_FIFO || f->fifo_pos > f->fifo_len)
		return false;
	return f->phase != FDC_RESULT || f->fifo_pos < f->fifo_len;
}

static int fdc_post_load(struct device *dev)
{
	struct fdc *f = (struct fdc *)dev;

	fdc_quiesce(f);
	if (!state_ok(f) ||
	    (f->phase == FDC_COMMAND && f->fifo_len && f->fifo_pos == f->fifo_len)) {
		fdc_ready(f);
		f->pos = 0;
		return -EINVAL;
	}
	irq_set(&f->cfg.irq, f->irq);
	if (f->phase == FDC_EXECUTE && f->step == STEP_IO)
		fdc_submit(f);
	return 0;
}

static const struct state_field fdc_fields[] = {
	STATE_FIELD(struct fdc, dor),
	STATE_FIELD(struct fdc, tdr),
	STATE_FIELD(struct fdc, rate),
	STATE_FIELD(struct fdc, irq),
	STATE_FIELD(struct fdc, reset_senses),
	STATE_FIELD(struct fdc, seek_st0),
	STATE_BUFFER(struct fdc, specify),
	STATE_BUFFER(struct fdc, config),
	STATE_FIELD(struct fdc, perpendicular),
	STATE_FIELD(struct fdc, lock),
	STATE_FIELD(struct fdc, phase),
	STATE_FIELD(struct fdc, step),
	STATE_BUFFER(struct fdc, fifo),
	STATE_FIELD(struct fdc, fifo_pos),
	STATE_FIELD(struct fdc, fifo_len),
	STATE_BUFFER(struct fdc, cmd),
	STATE_FIELD(struct fdc, cyl),
	STATE_FIELD(struct fdc, head),
	STATE_FIELD(struct fdc, sec),
	STATE_FIELD(struct fdc, last),
	STATE_FIELD(struct fdc, formatting),
	STATE_FIELD(struct fdc, pos),
	STATE_BUFFER(struct fdc, buf),
	STATE_EACH(struct fdc, drive, track),
	STATE_EACH(struct fdc, drive, changed),
	STATE_EACH(struct fdc, drive, sector),
	STATE_END,
};

static const struct device_class fdc_class = {
	.name = "fdc",
	.version = 1,
	.reset = fdc_reset,
	.fields = fdc_fields,
	.post_load = fdc_post_load,
};

/* ---- Media -------------------------------------------------------------------------------------- */

/* Its format by its size; an odd size up to 1.44 MB is the beginning of such a disk. */
static int choose_format(const struct blk *b, struct fdc_format *out, struct lodge_err *err)
{
	uint64_t size = blk_size(b);

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].bytes == size) {
			*out = formats[i];
			return 0;
		}
	}
	if (!size || size > formats[FORMAT_1M44].bytes)
		return err_set(err, -EINVAL,
			       "an image of %llu bytes is no floppy: they have 163840, 184320, "
			       "327680, 368640, 737280, 1228800, 1474560, 1720320 or 2949120",
			       (unsigned long long)size);
	*out = formats[FORMAT_1M44];
	return 0;
}

int fdc_set_medium(struct fdc *f, unsigned unit, struct blk_queue *queue, bool read_only,
		   struct lodge_err *err)
{
	struct fdc_drive *d = &f->drive[unit];
	struct fdc_format format = {0};
	int r = queue ? choose_format(blk_queue_image(queue), &format, err) : 0;

	if (r)
		return r;
	if (f->busy && f->req_queue == d->queue)
		blk_queue_drain(d->queue);
	d->queue = queue;
	d->read_only = read_only;
	d->format = format;
	d->changed = 1;
	return 0;
}

int fdc_add_drive(struct fdc *f, unsigned unit, struct blk_queue *queue, bool read_only,
		  enum fdc_type type, struct lodge_err *err)
{
	struct fdc_drive *d = &f->drive[unit];
	int r;

	if (d->type)
		return err_set(err, -EBUSY, "floppy drive %u is there already", unit);
	r = fdc_set_medium(f, unit, queue, read_only, err);
	if (r)
		return r;
	if (type == FDC_TYPE_NONE)
		type = queue ? (enum fdc_type)d->format.type : FDC_TYPE_2M88;
	d->type = (uint8_t)type;
	return 0;
}

enum fdc_type fdc_drive_type(const struct fdc *f, unsigned unit)
{
	return (enum fdc_type)f->drive[unit].type;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void dma_ready(void *opaque)
{
	fdc_pump(opaque);
}

struct fdc *fdc_new(const struct fdc_config *cfg)
{
	struct fdc *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->dev.cls = &fdc_class;
	f->cfg = *cfg;
	i8237_set_listener(cfg->dma, FDC_DMA, dma_ready, f);
	fdc_reset(&f->dev);
	return f;
}

void fdc_free(struct fdc *f)
{
	if (!f)
		return;
	fdc_quiesce(f);
	i8237_set_listener(f->cfg.dma, FDC_DMA, NULL, NULL);
	free(f);
}

struct device *fdc_device(struct fdc *f)
{
	return &f->dev;
}
