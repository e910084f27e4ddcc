/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A floppy disk controller, 82078 in AT mode, with two drives.
 * Source: Intel 82078 data sheet (290475), 82077AA data sheet (290166); IBM PC AT technical reference for
 * the digital output and input registers.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_FDC_H
#define LODGE_DEVICES_STORAGE_FDC_H

#include "base/err.h"
#include "block/queue.h"
#include "bus/bus.h"
#include "bus/device.h"
#include "devices/legacy/i8237.h"

#define FDC_DRIVES 2u
#define FDC_PORT 0x3f0u
#define FDC_IRQ 6u
#define FDC_DMA 2u
#define FDC_SIZE_MAX 2949120u

/* Drive types as CMOS has them. */
enum fdc_type {
	FDC_TYPE_NONE,
	FDC_TYPE_360K,
	FDC_TYPE_1M2,
	FDC_TYPE_720K,
	FDC_TYPE_1M44,
	FDC_TYPE_2M88
};

struct fdc_config {
	struct irq_line irq;
	struct i8237_pair *dma; /* channel FDC_DMA is taken */
};

struct fdc;

/* NULL when out of memory. The configuration is copied. */
struct fdc *fdc_new(const struct fdc_config *cfg);
/* Waits for its requests. NULL is allowed. */
void fdc_free(struct fdc *f);
struct device *fdc_device(struct fdc *f);
/* Ports base to base+5, and base+7. 0 or -ENOMEM. */
int fdc_map(struct fdc *f, struct bus *bus, uint16_t base) MUST_CHECK;
/*
 * Plug in drive `unit` with the medium `queue` (borrowed), or NULL for none. The type of the drive goes by the
 * medium, unless one is given. -EBUSY, or -EINVAL with a sentence for an image that is no floppy.
 */
int fdc_add_drive(struct fdc *f, unsigned unit, struct blk_queue *queue, bool read_only,
		  enum fdc_type type, struct lodge_err *err) MUST_CHECK;
enum fdc_type fdc_drive_type(const struct fdc *f, unsigned unit);
/* Another medium, or NULL for none: the change line says so. -EINVAL as above. */
int fdc_set_medium(struct fdc *f, unsigned unit, struct blk_queue *queue, bool read_only,
		   struct lodge_err *err) MUST_CHECK;

#endif
